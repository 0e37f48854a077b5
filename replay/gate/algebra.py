"""Verdict algebra: the verdict follows from the findings by comparison, or it is refused.

A `pass` needs what the task asserts inside the cited span. A `fail` needs a span that states another value of the
same kind, and not the asserted one. `unsure` is honest and never accepted: it goes to the larger model.
"""

from __future__ import annotations

import builtins
import re

from replay import assertion, values
from replay.contracts import Reason, Ruling
from replay.corpus.tokens import query_tokens, tokens, words
from replay.gate.alignment import align
from replay.gate.blocking import blocking, signs
from replay.gate.case import Case
from replay.gate.opposites import opposite
from replay.gate.reading import read
from replay.gate.spans import Span, head
from replay.gate.subject import spells
from replay.statements import assigned_text, gives_alone

_EXISTENCE = re.compile(
    r"\b(?:exists?|named|called|ships?|defines?|provides?|contains?|catch(?:es)?|except (?:clause|block|handler)s?|"
    r"(?:has|have|there is) an? (?:\w+ )?(?:class|setting|option|function|method|attribute|parameter|command))\b",
    re.IGNORECASE,
)

_ERROR = re.compile(r"(?:Error|Exception|Warning|Failure|Fault)$")
_INDEFINITE = re.compile(r"(?:^|:\s)an?\s", re.IGNORECASE)
# From how many common words on, and from which share of the task's, a claim answers the task in the task's own words.
_SHARED = 2
_STATED = re.compile(r"\b(?:that|whether)\b", re.IGNORECASE)
_SHARED_SHARE = 0.5
_ROOTS = {
    name: frozenset(base.__name__ for base in error.__mro__)
    for name, error in vars(builtins).items()
    if isinstance(error, type) and issubclass(error, BaseException)
}
_CLASS = re.compile(r"\s*class\s+\w+\s*\(")


def is_decided(case: Case) -> list[Reason]:
    """An answer that declares itself unsure has not answered."""
    if case.answer.verdict is Ruling.UNSURE:
        return [Reason(rule="verdict.unsure", message="the answer is unsure")]
    return []


def pass_is_shown(case: Case) -> list[Reason]:
    """Under `pass`, found and expected are one value, and each literal of the task stands in the cited span."""
    if case.answer.verdict is not Ruling.PASS:
        return []
    reasons = _comparisons(case, want_same=True)
    quoted = dict.fromkeys(span.statement for finding in case.answer.findings for span in case.spans(finding))
    for literal in values.asserted(case.task.text):
        # A value has to stand in the quoted line itself, or what it raises says; a name may stand in what encloses it.
        is_name = literal.kind == "word" and values.IDENTIFIER.fullmatch(literal.text) is not None
        if is_name:
            shown = values.stands_whole(literal.text.lower(), case.cited) or any(
                spells(span, literal.text) for finding in case.answer.findings for span in case.spans(finding)
            )
        else:
            shown = any(values.occurs(literal, text) for text in ([case.cited] if literal.kind == "word" else quoted))
        if not shown:
            reasons.append(
                Reason(
                    rule="verdict.pass_without_literal",
                    message=f"passes, but the cited lines do not say {literal.text!r}",
                    expectation=literal.text,
                )
            )
    # The words of a message that is not in quotes: "raises ValueError: the host is empty".
    said = query_tokens(assertion.message(case.task.text))
    if said and (missing := sorted(said - tokens("\n".join([*quoted, case.cited])))):
        reasons.append(
            Reason(
                rule="verdict.pass_without_literal",
                message=f"passes, but the cited lines do not say {missing[0]!r}",
                expectation=missing[0],
            )
        )
    if assertion.raised(case.task.text) is not None:
        # And of its condition: "raises KeyError if the key is present", where the line says that it is missing.
        shown_words = [word.lower() for word in words("\n".join(quoted))]
        circumstance = case.task.text[len(assertion.before_message(case.task.text)) :]
        turned = next(
            (
                word
                for word in map(str.lower, words(circumstance))
                if word not in shown_words and any(opposite(word, other) for other in shown_words)
            ),
            None,
        )
        if turned is not None:
            reasons.append(
                Reason(
                    rule="verdict.pass_against_claim",
                    message=f"passes, but the cited lines say the opposite of {turned!r}",
                    expectation=turned,
                )
            )
    reasons += [
        Reason(rule="verdict.pass_over_failed_check", message="passes over a failed check", span=check.item)
        for check in case.answer.checks
        if check.result == "fail"
    ]
    return reasons


def pass_is_over_nothing(case: Case) -> list[Reason]:
    """Nothing passes over a blocking finding: one whose claim or cited quote reports a failure as its main clause."""
    if case.answer.verdict is not Ruling.PASS:
        return []
    quoted = [span.quote for finding in case.answer.findings for span in case.spans(finding)]
    among = signs("\n".join([*quoted, *(finding.claim for finding in case.answer.findings)]))
    if not among:
        return []
    reasons = []
    for finding in case.answer.findings:
        spans = case.spans(finding)
        texts = [finding.claim] if not case.is_verbatim(finding) else []
        texts += [span.quote for span in spans]
        reported = next(
            (
                sentence
                for text in texts
                for sentence in blocking(text, among)
                if not (_INDEFINITE.search(sentence) and _describe_an_error(spans))
            ),
            None,
        )
        if reported is not None:
            reasons.append(
                Reason(rule="verdict.pass_over_negative", message="passes over a reported failure", span=reported)
            )
    return reasons


def _describe_an_error(spans: list[Span]) -> bool:
    """Are the cited records about errors? "A certificate could not be verified" says there what the error is."""
    return bool(spans) and all(_ERROR.search(head(span.record) or span.record.title) for span in spans)


def fail_has_ground(case: Case) -> list[Reason]:
    """A `fail` rests on a counter-value, on a reported failure, on a failed check, or on a claim that denies."""
    answer = case.answer
    if answer.verdict is not Ruling.FAIL or any(check.result == "fail" for check in answer.checks):
        return []
    if any(finding.expected and finding.found for finding in answer.findings):
        return []  # `fail_is_shown` compares them
    for finding in answer.findings:
        if any(True for text in [finding.claim, *(s.quote for s in case.spans(finding))] for _ in blocking(text)):
            return []
    asserted = [value for value in values.asserted(case.task.text) if value.kind != "word"]
    for finding, _ in case.claims:
        if "not" in read(finding.claim).markers:
            return []
        stated_ = [value for value in values.asserted(finding.claim) if value.kind != "word"]
        if any(value.kind == other.kind and not value.same(other) for value in stated_ for other in asserted):
            return []
    return [Reason(rule="verdict.fail_without_ground", message="fails, and no finding says otherwise than the task")]


def pass_does_not_deny(case: Case) -> list[Reason]:
    """Under `pass`, what the task says is not denied, nor said the other way round, by the claims that answer it."""
    if case.answer.verdict is not Ruling.PASS:
        return []
    stated_at = _STATED.search(case.task.text)
    if stated_at is None:
        return []
    reasons = []
    task = read(case.task.text[stated_at.end() :]).atoms
    for finding, _ in case.claims:
        for sentence in read(finding.claim).sentences:
            alignment = align(task, sentence)
            shared = [task[here] for here, there in enumerate(alignment.at) if there >= 0 and task[here].kind == "word"]
            whole = [atom for atom in task if atom.kind == "word"]
            if len(shared) < _SHARED or len(shared) < len(whole) * _SHARED_SHARE:
                continue
            for edit in alignment.edits:
                turned = sum(atom.marker == "not" for atom in edit.said) - sum(
                    atom.marker == "not" for atom in edit.given
                )
                pair = next(
                    (
                        (one, other)
                        for one in edit.said
                        for other in edit.given
                        if "function" not in (one.kind, other.kind) and opposite(one.text, other.text)
                    ),
                    None,
                )
                if bool(turned % 2) != bool(pair):
                    reasons.append(
                        Reason(
                            rule="verdict.pass_against_claim",
                            message="passes, but the claim says the opposite of the task",
                            span=finding.claim,
                            expectation=case.task.text,
                        )
                    )
    return reasons


def fail_is_shown(case: Case) -> list[Reason]:
    """Under `fail`, a cited line states another value of the same kind, and does not state the asserted one."""
    if case.answer.verdict is not Ruling.FAIL:
        return []
    reasons = _comparisons(case, want_same=False)
    compared = [finding for finding in case.answer.findings if finding.expected and finding.found]
    quotes = [span.statement for finding in compared for span in case.spans(finding)]
    for literal in values.asserted(case.task.text):
        spoken_of = any(
            literal.same(values.parse(finding.expected or "")) or values.occurs(literal, finding.claim)
            for finding in case.answer.findings
        )
        if literal.kind != "word" and not spoken_of and not any(values.occurs(literal, quote) for quote in quotes):
            # "In Celery 5 the retries are 3": to refute the 5 by a line about retries would be to miss the claim.
            reasons.append(
                Reason(
                    rule="verdict.fail_leaves_literal",
                    message=f"fails one value of the claim and says nothing of {literal.text!r}",
                    expectation=literal.text,
                )
            )
    for finding in compared:
        if finding.expected is None or finding.found is None:
            continue
        expected, found = values.parse(finding.expected), values.parse(finding.found)
        alone = any(gives_alone(span.quote, found.text, expected, case.task.text) for span in case.spans(finding))
        if not alone and _is_own_word(found, case.task.text, is_error=assertion.is_raised(expected, case.task.text)):
            reasons.append(
                Reason(
                    rule="verdict.fail_by_own_word",
                    message=f"{finding.found!r} is a word of the claim itself, no counter-value",
                    span=finding.found,
                )
            )
        alike = expected.kind == found.kind and (
            expected.kind != "word"
            or (values.shape(expected.text) == values.shape(found.text) and not _is_spelling(expected, found))
            or (
                any(found.text == assigned_text(span.quote) for span in case.spans(finding))
                and not _is_short_for(expected, found)
            )
        )
        if not alike and "none" not in (expected.kind, found.kind):
            reasons.append(
                Reason(
                    rule="verdict.fail_of_another_kind",
                    message=f"{finding.found!r} is no counter-value to {finding.expected!r}",
                    span=finding.found,
                    expectation=expected.kind,
                )
            )
        reasons += [
            Reason(
                rule="verdict.fail_but_literal_present",
                message=f"fails, but the cited line says {finding.expected!r}",
                span=span.quote,
            )
            for span in case.spans(finding)
            if values.occurs(expected, span.quote)
        ]
    return reasons


def absence_is_not_pointed_at(case: Case) -> list[Reason]:
    """That a thing does not exist cannot be shown by citing another thing: such a claim can pass, never fail."""
    claim = _EXISTENCE.search(case.task.text)
    if case.answer.verdict is not Ruling.FAIL or claim is None:
        return []
    spans = [span for finding in case.answer.findings for span in case.spans(finding)]
    if spans and all(
        values.stands_whole(claim[0].lower(), span.statement.lower())  # a word of what is raised there
        or (claim[0].lower().startswith(("catch", "except")) and _has_known_ancestors(span.quote, case.task.text))
        for span in spans
    ):
        return []
    return [
        Reason(
            rule="verdict.fail_of_existence",
            message="the claim is that something exists; no cited line can show that it does not",
            span=claim[0],
        )
    ]


def _has_known_ancestors(quote: str, task: str) -> bool:
    """Does a class derive from errors of Python alone, none of which is what a claim says to catch it?

    Of any other base nobody knows here what it derives from in its turn.
    """
    statement = _CLASS.match(quote)
    if statement is None:
        return False
    bases = [base.strip().rpartition(".")[2] for base in quote[statement.end() :].partition(")")[0].split(",")]
    return all(base in _ROOTS and assertion.caught(task) not in _ROOTS[base] for base in bases)


def _is_spelling(one: values.Value, other: values.Value) -> bool:
    """Do two words differ in their signs alone: `utf-8` and `UTF8`?"""
    return _letters(one) == _letters(other) != ""


def _is_short_for(expected: values.Value, found: values.Value) -> bool:
    """May a text be another name of the word that is claimed: `postgres` of `PostgreSQL`, an address of `localhost`?"""
    claimed, text = _letters(expected), _letters(found)
    if any(map(str.isalpha, claimed)) and not any(map(str.isalpha, text)):
        return True
    return bool(claimed and text) and (claimed.startswith(text) or text.startswith(claimed))


def _letters(value: values.Value) -> str:
    return re.sub(r"[\W_]", "", value.text.lower())


def _is_own_word(found: values.Value, task: str, *, is_error: bool) -> bool:
    """Does the claim itself say this value, or three of the parts of this name? Then it is no counter-value.

    A class of error is named after what it is about; only its whole name counts.
    """
    if any(found.same(literal) for literal in values.asserted(task)):
        return True
    if found.kind != "word":
        return False
    name = found.text.rpartition(".")[2]
    parts = {token for token in tokens(name) if "_" not in token and token != name.lower()}
    return values.occurs(values.parse(name), task) or (not is_error and len(parts & query_tokens(task)) >= 3)


def _comparisons(case: Case, *, want_same: bool) -> list[Reason]:
    """`pass` wants found and expected to be one value in every finding; `fail` wants them to differ in one."""
    compared = [finding for finding in case.answer.findings if finding.expected and finding.found]
    differing = [
        finding
        for finding in compared
        if not values.parse(finding.expected or "").same(values.parse(finding.found or ""))
    ]
    contradicting = differing if want_same else [] if differing else compared
    return [
        Reason(
            rule="verdict.contradicts_findings",
            message=f"the verdict is {case.answer.verdict.value!r}, but expected is {finding.expected!r} "
            f"and found is {finding.found!r}",
            span=finding.found,
            expectation=finding.expected,
        )
        for finding in contradicting
    ]
