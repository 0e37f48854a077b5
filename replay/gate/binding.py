"""Binding rules: the cited line is about the subject of the claim, and asserts the value instead of mentioning it.

The right number on the wrong thing is the commonest plausible error of a small model. The subject of a task is what
remains of its words when its values are taken out. Each word weighs by how well it tells the bundle's records apart
(its idf among them); a word that none of them has may be another name for something, and weighs half of the most.
The cited spans have to cover enough of that weight, and no other line that was shown may be clearly closer to the
subject and state another value. The thresholds were set on the audit tasks of `data/tasks`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from replay import values
from replay.contracts import Finding, Reason
from replay.corpus.tokens import query_tokens, tokens
from replay.gate.case import Case, Span
from replay.statements import names_given, stated

MIN_SUBJECT_COVERAGE = 0.45
RIVAL_LEAD = 0.05
ABSENT_WEIGHT = 0.5
# Words that carry a claim's grammar and not its subject, beyond those that the query drops already.
_FUNCTION_WORDS = frozenset(
    """
    after again all allow also another any at before between both derive directly each give given least limit
    limited many more most much named no otherwise over per same say says so stop such take than then these they
    those through turn two under unless until up use while who will
    """.split()  # noqa: SIM905  as in `replay.corpus.tokens`
)
_LISTS = re.compile(
    r"\b(?:can be|one of|any of|either|possible values|choices|options are|such as|e\.g\.|for example)\b", re.IGNORECASE
)
_STRING = re.compile(r"""(['"])((?:(?!\1).)*)\1""")
_PROSE_SPACES = 3
# Parts of a name that turn its switch round.
_NEGATIONS = frozenset(["disable", "disabled", "exclude", "ignore", "no", "non", "not", "skip", "suppress", "without"])


def covers_subject(case: Case) -> list[Reason]:
    """The cited spans, taken together, cover the subject of the task."""
    spans = [span for finding in case.answer.findings for span in case.spans(finding)]
    subject = _subject(case)
    if not spans or not subject:
        return []
    covered = {token for span in spans for token in tokens(span.context)}
    coverage = _share(subject, covered)
    if coverage >= MIN_SUBJECT_COVERAGE:
        return []
    missing = sorted(subject.keys() - covered, key=lambda token: (-subject[token], token))
    return [
        Reason(
            rule="binding.other_subject",
            message=f"the cited lines cover {coverage:.0%} of the claim's subject; not: {', '.join(missing[:6])}",
            span=spans[0].quote,
            expectation=f"{MIN_SUBJECT_COVERAGE:.0%}",
        )
    ]


def names_the_named(case: Case) -> list[Reason]:
    """A name that the task spells out, and that a line which could decide has, stands in the cited span as well."""
    expected = [values.parse(finding.expected) for finding in case.answer.findings if finding.expected]
    frames = [
        case.shown(line).frame
        for line in case.bundle.lines
        if any(stated(line.text, value, case.about) for value in expected)
    ]
    reasons = []
    for name in values.names(case.task.text):
        if any(name.same(value) for value in expected):
            continue
        if not any(values.occurs(name, frame) for frame in frames):
            continue  # the sources write it otherwise
        spans = [span for finding in case.answer.findings for span in case.spans(finding)]
        if spans and not any(values.occurs(name, span.frame) for span in spans):
            reasons.append(
                Reason(
                    rule="binding.other_name",
                    message=f"the cited line is not about {name.text!r}",
                    span=spans[0].quote,
                    expectation=name.text,
                )
            )
    return reasons


def has_no_rival(case: Case) -> list[Reason]:
    """No other shown line is clearly closer to the subject than the cited one and states another value."""
    subject = _subject(case)
    reasons = []
    for finding in case.answer.findings:
        if not finding.found or not finding.expected:
            continue
        for span in case.spans(finding):
            rival = _rival(case, subject, finding, span)
            if rival:
                reasons.append(
                    Reason(
                        rule="binding.rival_line",
                        message="another line is closer to the subject and says otherwise",
                        span=rival,
                        expectation=finding.found,
                    )
                )
    return reasons


def _rival(case: Case, subject: dict[str, float], finding: Finding, span: Span) -> str | None:
    found, expected = values.parse(finding.found or ""), values.parse(finding.expected or "")
    own = _share(subject, tokens(span.frame))
    for line in case.bundle.lines:
        said = stated(line.text, expected, case.about)
        if line.text == span.quote or not said or any(value.same(found) for value in said):
            continue
        if _share(subject, tokens(case.shown(line).frame)) > own + RIVAL_LEAD:
            return line.text
    return None


def switch_is_not_turned_round(case: Case) -> list[Reason]:
    """`disable_x=False` says that x is on: a switch whose name negates is no plain answer to a claim about x."""
    reasons = []
    for finding in case.answer.findings:
        if not finding.expected or values.parse(finding.expected).kind != "boolean":
            continue
        for span in case.spans(finding):
            parts = {token for name in names_given(span.quote, case.about) for token in tokens(name)}
            if negating := sorted((parts & _NEGATIONS) - case.about):
                reasons.append(
                    Reason(
                        rule="binding.negated_name",
                        message=f"the name in the cited line turns the switch round ({negating[0]})",
                        span=span.quote,
                    )
                )
    return reasons


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


def _subject(case: Case) -> dict[str, float]:
    """The task's tokens without its values, each with its weight."""
    spoken = [value.text for value in values.asserted(case.task.text) if value.kind != "word"]
    expected = [finding.expected or "" for finding in case.answer.findings]
    subject = query_tokens(case.task.text) - tokens(" ".join([*spoken, *expected]))
    records = case.record_tokens
    weights = {}
    for token in sorted(subject):
        if token in _FUNCTION_WORDS or len(token) < 2 or "_" in token or "." in token:
            continue  # the parts of a compound are tokens of their own; the whole would count them twice
        holders = sum(token in record for record in records)
        rarest = math.log(1 + len(records))
        weights[token] = math.log(1 + len(records) / holders) if holders else ABSENT_WEIGHT * rarest
    return weights


def _share(subject: dict[str, float], covered: Collection[str]) -> float:
    whole = math.fsum(subject.values())
    return math.fsum(weight for token, weight in subject.items() if token in covered) / whole if whole else 1.0


def _only_in_prose(found: str, quote: str) -> bool:
    value = values.parse(found)
    if "default" in quote.lower() or not values.occurs(value, quote):
        return False
    return not values.occurs(value, _STRING.sub(_without_prose, quote))


def _without_prose(string: re.Match[str]) -> str:
    return " " if len(re.findall(r"\s", string[2])) >= _PROSE_SPACES else string[0]
