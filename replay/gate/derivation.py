"""Binding of claims about classes: what a class derives from is said by its own statement, and by no other."""

from __future__ import annotations

import builtins
import re

from replay import assertion, values
from replay.contracts import Reason, Ruling
from replay.corpus.tokens import query_tokens, tokens
from replay.gate.case import Case

DERIVED = re.compile(r"\b(?:deriv(?:es?|ed)|subclass(?:es)?|inherits?|base class|extends)\b", re.IGNORECASE)
"""What says of a claim that it is about what a class derives from."""
CLASS = re.compile(r"\s*class\s+(?P<name>\w+)\s*\(")
"""The statement of a class with bases."""
# What every error derives from, whatever stands in its own statement; and what asks for that statement alone.
_OF_ALL = frozenset(["BaseException", "Exception", "object"])
_KINDS_OF_ERROR = frozenset(["error", "exception", "warning"])
_DIRECTLY = re.compile(r"\b(?:parent|direct(?:ly)?|immediate(?:ly)?|base(?: class)?|superclass)\b", re.IGNORECASE)
_CATCHES = re.compile(r"\b(?:catch(?:es|ing)?|caught|handl(?:es?|ing)|except (?:clause|block)s?)\b", re.IGNORECASE)


def derivation_is_read(case: Case) -> list[Reason]:
    """A claim about what a class derives from is settled by a class that it names, and never against a root of all.

    `class A(B)` says of A that it derives from B; of what B derives from it says nothing, so that "A derives from
    Exception" is not refuted by it.
    """
    asked = case.task.text
    base = assertion.base(asked)
    if base is None or case.answer.verdict is Ruling.UNSURE:
        return []
    named = query_tokens(asked) - tokens(base)
    reasons = []
    for span in (span for finding in case.answer.findings for span in case.spans(finding)):
        statement = CLASS.match(span.quote)
        if statement is None:
            continue
        own = {part for part in tokens(statement["name"]) if "_" not in part and part != statement["name"].lower()}
        told = (own or tokens(statement["name"])) - _KINDS_OF_ERROR
        if told and not told & named:
            message = f"the claim does not speak of {statement['name']}"
        elif case.answer.verdict is Ruling.FAIL and not _DIRECTLY.search(asked) and _leads_to(base, span.quote):
            message = f"what derives from another class may well derive from {base} in the end"
        else:
            continue
        reasons.append(Reason(rule="binding.other_class", message=message, span=span.quote, expectation=base))
    return reasons


def _leads_to(base: str, statement: str) -> bool:
    """May a class with this statement derive from a base that is not named there, as far as Python itself tells?"""
    parents = [getattr(builtins, name, None) for name in re.findall(r"\w+", statement)]
    return base in _OF_ALL or any(
        isinstance(parent, type) and base in [ancestor.__name__ for ancestor in parent.__mro__] for parent in parents
    )


def class_is_the_named(case: Case) -> list[Reason]:
    """A claim about a class is settled by the statement of that class, and the value is one of its bases."""
    reasons = []
    asked = case.task.text
    catches = _CATCHES.search(asked) and not DERIVED.search(asked) and assertion.caught(asked) is None
    for finding in case.answer.findings:
        if not finding.found or not finding.expected:
            continue
        expected = values.parse(finding.expected)
        subjects = [name for name in case.named if name.kind == "word" and not name.same(expected)]
        for span in case.spans(finding):
            statement = CLASS.match(span.quote)
            if statement is not None and catches:
                reasons.append(
                    Reason(
                        rule="binding.other_class",
                        message="which of the two errors is caught with the other is not read out of this claim",
                        span=span.quote,
                    )
                )
                continue
            if statement is not None and values.parse(finding.found).same(values.word(statement["name"])):
                reasons.append(
                    Reason(
                        rule="binding.other_class",
                        message=f"the cited line says what {statement['name']} is, and not that it is itself",
                        span=span.quote,
                    )
                )
                continue
            if values.shape(expected.text) != "camel" or (statement is not None and not subjects):
                continue
            if statement is None:
                if DERIVED.search(case.task.text):
                    reasons.append(
                        Reason(
                            rule="binding.other_class",
                            message="what a class derives from is said by its own statement",
                            span=span.quote,
                            expectation="class",
                        )
                    )
                continue
            defined = values.word(statement["name"])
            if not any(defined.same(name) for name in subjects):
                reasons.append(
                    Reason(
                        rule="binding.other_class",
                        message=f"the cited line says what {statement['name']} is",
                        span=span.quote,
                        expectation=subjects[0].text,
                    )
                )
    return reasons
