"""Binding rules: the cited line is about the subject of the claim, and asserts the value instead of mentioning it.

The right number on the wrong thing is the commonest plausible error of a small model. The subject of a task is what
remains of its words when its values are taken out; the cited span, with its neighbours, the head of its definition,
its dotted name and its path, has to cover enough of it.
"""

from __future__ import annotations

import re

from replay.contracts import Reason
from replay.corpus.tokens import query_tokens, tokens
from replay.gate import values
from replay.gate.case import Case

MIN_SUBJECT_COVERAGE = 0.6
_LISTS = re.compile(
    r"\b(?:can be|one of|any of|either|possible values|choices|options are|such as|e\.g\.|for example)\b", re.IGNORECASE
)
_PROSE_STRING = re.compile(
    r"""(?P<q>['"])(?:(?!(?P=q)).)*\s(?:(?!(?P=q)).)*\s(?:(?!(?P=q)).)*\s(?:(?!(?P=q)).)*(?P=q)"""
)


def covers_subject(case: Case) -> list[Reason]:
    """The cited spans, taken together, cover the subject of the task."""
    spans = [span for finding in case.answer.findings for span in case.spans(finding)]
    subject = _subject(case)
    if not spans or not subject:
        return []
    missing = subject - {token for span in spans for token in tokens(span.context)}
    coverage = 1 - len(missing) / len(subject)
    if coverage >= MIN_SUBJECT_COVERAGE:
        return []
    return [
        Reason(
            rule="binding.other_subject",
            message=f"the cited lines cover {coverage:.0%} of the claim's subject; not: {', '.join(sorted(missing))}",
            span=spans[0].quote,
            expectation=f"{MIN_SUBJECT_COVERAGE:.0%}",
        )
    ]


def asserts_value(case: Case) -> list[Reason]:
    """A cited line that lists what is possible, or mentions the value in a sentence of a string, asserts nothing."""
    reasons = []
    for finding in case.answer.findings:
        if not finding.found:
            continue  # a finding without a value asserts its quote, whole
        for span in case.spans(finding):
            listed = _LISTS.search(span.quote)
            if listed and "default" not in span.quote.lower():
                reasons.append(
                    Reason(rule="binding.listed", message=f"the cited line lists ({listed[0]!r})", span=span.quote)
                )
            elif _only_in_prose(finding.found, span.quote):
                reasons.append(
                    Reason(rule="binding.mentioned", message="the value is only mentioned in a text", span=span.quote)
                )
    return reasons


def _subject(case: Case) -> set[str]:
    """The task's tokens without its values: neither the literals nor what the findings call expected."""
    spoken = [value.text for value in values.asserted(case.task.text) if value.kind != "word"]
    expected = [finding.expected or "" for finding in case.answer.findings]
    return set(query_tokens(case.task.text)) - set(tokens(" ".join([*spoken, *expected])))


def _only_in_prose(found: str, quote: str) -> bool:
    value = values.parse(found)
    if "default" in quote.lower() or not values.occurs(value, quote):
        return False
    return not values.occurs(value, _PROSE_STRING.sub(" ", quote))
