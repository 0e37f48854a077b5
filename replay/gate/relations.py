"""What a comparison for equality does not decide: claims that deny or compare, unknown units, counts against times.

Two values are put side by side and are one or are not. Where a claim asks for something else than that, or where
nothing says that both are measured in the same, no verdict follows.
"""

from __future__ import annotations

import re

from replay import values
from replay.contracts import Reason, Ruling
from replay.corpus.tokens import STOP_WORDS, words
from replay.gate.case import Case
from replay.gate.lexicon import without_default
from replay.statements import names_given

# Between a subject and a value; "waits at most 5 s" names a limit and is taken as equality, "is at most" is not.
_RELATION = re.compile(
    r"\b(?:not|never|cannot|(?:is|does|are|do|was)n't|no longer|at least|exceeds?|"
    r"(?:more|less|fewer|greater|longer|shorter|higher|lower|smaller|larger) than|"
    r"(?:is|are) (?:at most|up to|under|over|below|above)|between \S+ and)\b",
    re.IGNORECASE,
)
_THOUSANDFOLD = re.compile(r"\*\s*1_?000$|^1_?000\s*\*")
_MILLISECONDS = re.compile(r"\d\s*(?:ms|milliseconds?)\b", re.IGNORECASE)
# How many words on each side of a relation tell whether a source says it of the same.
_BESIDE = 4
# How many of those have to be the same.
_SHARED = 2
_UNSET = re.compile(rf"\b{values.NOT_SET}")
# What is done with an error that is not raised then: "swallows KeyError if …".
_HANDLED = re.compile(
    r"\b(?:swallow|ignor(?=e|i)|hid(?=e|i)|suppress|silenc|mask|avoid|prevent|handl(?=e|i)|tolerat|recover|retr(?=y|ie))\w*"
    r"\s[^.:;]{0,40}?(?P<name>[A-Z]\w+)"
)
# What a name ends in that gives a time.
_TIMES = frozenset(
    ["countdown", "delay", "expires", "interval", "lifetime", "period", "seconds", "timeout", "ttl", "wait"]
)
_INSIDE = re.compile(r"(?<=[a-z])(?=[A-Z])")
# A word behind a number that is no noun.
_NO_NOUN = frozenset(["as", "does", "has", "is", "its", "this", "these", "those", "unless", "was"])
_UNITS = re.compile(r"[a-z]", re.IGNORECASE)
_MILLI = re.compile(r"(?:^|[^a-z])(?:ms|msec|millis(?:econds?)?)(?:[^a-z]|$)", re.IGNORECASE)


def relation_is_equality(case: Case) -> list[Reason]:
    """Two values can be compared for being one; a claim that denies, or says more or less than, needs other reading."""
    task = without_default(case.task.text)
    expected = [values.parse(finding.expected) for finding in case.answer.findings if finding.expected]
    if any(value.kind == "none" for value in expected):
        task = _UNSET.sub(" ", task)  # there it is the value
    relation = _RELATION.search(task) or next(
        (match for match in _HANDLED.finditer(task) if any(values.word(match["name"]).same(one) for one in expected)),
        None,
    )
    if case.answer.verdict is Ruling.UNSURE or relation is None or _is_of_the_source(case, task):
        return []
    return [
        Reason(
            rule="verdict.relation",
            message=f"the claim says {relation[0]!r}; only the equality of two values is compared",
            span=relation[0],
        )
    ]


def _is_of_the_source(case: Case, task: str) -> bool:
    """Is each such word of the task one of the cited place, beside the same words, and not said of the value alone?

    "raises ValueError: not a valid port" quotes what is raised; "the limit is not 5" denies a value.
    """
    spans = [span for finding in case.answer.findings for span in case.spans(finding)]
    if not spans:
        return False
    expected = [values.parse(finding.expected) for finding in case.answer.findings if finding.expected]
    for relation in _RELATION.finditer(task):
        before, after = words(task[: relation.start()])[-_BESIDE:], words(task[relation.end() :])[:_BESIDE]
        of_value = any(values.occurs(value, " ".join(after[:2])) for value in expected)
        beside = frozenset(map(str.lower, [*before, *after])) - STOP_WORDS
        goes_on = frozenset(map(str.lower, after)) - STOP_WORDS
        if not any(
            _says_beside(_in_words(span.statement), relation[0], beside, goes_on, after if of_value else [])
            for span in spans
        ):
            return False
    return not _HANDLED.search(task)


def _in_words(text: str) -> str:
    """A text with the words of its classes apart: `MasterNotFoundError` says "not found" too.

    Other names stay whole: `do_not_retry = 5` does not say that something is "not retried 5 times".
    """
    return _INSIDE.sub(" ", text)


def _says_beside(text: str, relation: str, beside: frozenset[str], goes_on: frozenset[str], exactly: list[str]) -> bool:
    """Does a text have a relation beside two of these words, and directly before a value where it is said of one?

    It goes on with one of the words with which the claim goes on: "not a valid port" is not "a valid port, not a name".
    """
    for match in re.finditer(rf"(?<!\w){re.escape(relation)}(?!\w)", text, re.IGNORECASE):
        following = words(text[match.end() :])[:_BESIDE]
        around = {word.lower() for word in [*words(text[: match.start()])[-_BESIDE:], *following]}
        if exactly and [word.lower() for word in following[:1]] != [word.lower() for word in exactly[:1]]:
            continue
        if goes_on and not goes_on & set(map(str.lower, following)):
            continue
        if len(beside & around) >= min(_SHARED, len(beside)) and beside:
            return True
    return False


def unit_is_known(case: Case) -> list[Reason]:
    """A bare number is as many milliseconds as a claim says only where the cited place speaks of milliseconds."""
    reasons = []
    for finding in case.answer.findings:
        expected, found = values.parse(finding.expected or ""), values.parse(finding.found or "")
        if expected.kind != "number" or not _MILLISECONDS.search(expected.text) or _UNITS.search(found.text):
            continue
        in_seconds = min(expected.forms, key=lambda form: float(form.partition(":")[2]))
        if _THOUSANDFOLD.search(found.text):
            continue  # seconds, written out in milliseconds
        if in_seconds not in found.forms and not any(_MILLI.search(span.context) for span in case.spans(finding)):
            reasons.append(
                Reason(
                    rule="verdict.unit_unknown",
                    message=f"nothing says that {finding.found!r} is in milliseconds",
                    span=finding.found,
                )
            )
    return reasons


def count_is_no_duration(case: Case) -> list[Reason]:
    """A name that gives a time does not say how many of something there are: `retry_delay = 180` has no 5 retries."""
    reasons = []
    for finding in case.answer.findings:
        expected = values.parse(finding.expected or "")
        if expected.kind != "number" or not finding.found:
            continue
        counted = re.search(rf"(?<![\w.]){re.escape(expected.text)}\s+(?P<noun>[a-z]+s)\b", case.task.text)
        # "5 seconds" says itself what it counts.
        if counted is None or counted["noun"] in _NO_NOUN or _UNITS.search(expected.text):
            continue
        if counted["noun"].removesuffix("s") in values.PLAIN_UNITS:
            continue
        for span in case.spans(finding):
            heads = {name.lower().rpartition("_")[2] for name in names_given(span.quote, case.about)}
            if heads and heads <= _TIMES:
                reasons.append(
                    Reason(
                        rule="verdict.unit_unknown",
                        message=f"the claim counts {counted['noun']}, and the cited line gives a time",
                        span=span.quote,
                        expectation=counted[0],
                    )
                )
    return reasons
