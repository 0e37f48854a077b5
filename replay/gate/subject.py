"""How far a cited place covers what a task is about.

The subject of a task is what remains of its words when its values are taken out. Each word weighs by how well it tells
the bundle's records apart (its idf among them); a word that none of them has may be another name for something, and
weighs a third of the most. A place covers the words that stand in it and around it, and those that its form says: a
`class` line speaks of deriving, `os.environ` of an environment variable. The thresholds were set on the audit tasks of
`data/tasks` and on claims generated from other packages.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from functools import lru_cache

from replay import values
from replay.contracts import Reason
from replay.corpus.tokens import query_tokens, tokens
from replay.gate.case import Case, Span
from replay.gate.lexicon import canonical, without_default
from replay.statements import names_given

ABSENT_WEIGHT = 0.35
# Words that carry a claim's grammar and not its subject, beyond those that the query drops already.
_FUNCTION_WORDS = frozenset(
    """
    after again all allow also another any at before between both derive directly each give given least limit
    limited many more most much named no otherwise over per same say says so stop such take than then these they
    those through turn two under unless until up use while who whoever will
    anybody anyone anything everybody everyone everything nobody none nothing somebody someone something
    """.split()  # noqa: SIM905  as in `replay.corpus.tokens`
)
# What sort of thing a claim calls its subject; the line that gives the value seldom says so.
_KINDS = frozenset("argument attribute class constant field function keyword method option parameter setting".split())  # noqa: SIM905  as above
# What a line says by its form: the words that people use of such a line, and it does not have.
_FORMS: tuple[tuple[re.Pattern[str], frozenset[str]], ...] = tuple(
    (re.compile(form), frozenset(map(canonical, said.split())))
    for form, said in (
        (r"\benviron\b|\bgetenv\(", "environment variable read look"),
        (r"^\s*class\s+\w+\s*\(", "derive inherit subclass base extend catch"),
        (r"^\s*raise\b", "raise fail answer throw error"),
        (r"\bwarn\w*\(", "warn warning issue deprecate"),
        (r"(?:[Oo]ption|add_argument)\(", "command line flag"),
        (r"\b(?:True|False)\b", "switch turn enable disable"),
    )
)
# A line that only opens a table, and its name: `worker=Namespace(`, `'worker': {`.
_TABLE = re.compile(r"""\s*['"]?(?P<name>[A-Za-z_]\w{0,100})['"]?\s*[=:]\s*[\w.]{0,100}[({\[]\s*$""")
_TRAILING_DIGITS = re.compile(r"\d+$")


def covers_subject(case: Case) -> list[Reason]:
    """The cited spans, taken together, cover the subject of the task."""
    if case.named and any(finding.claim.strip() for finding in case.answer.findings):
        return []  # of a task that names its subjects each has to be answered: `coverage.subject`
    spans = [span for finding in case.answer.findings for span in case.spans(finding)]
    subject = subject_of(case)
    if not spans or not subject:
        return []
    covered = frozenset().union(*(_said_by(span, span.context) for span in spans))
    coverage = _weight(subject, covered)
    needed = case.thresholds.subject_coverage
    if any(_gives_the_named(span, case) for span in spans):
        needed = case.thresholds.named_coverage
    if coverage >= needed:
        return []
    missing = sorted(subject.keys() - covered, key=lambda token: (-subject[token], token))
    return [
        Reason(
            rule="binding.other_subject",
            message=f"the cited lines cover {coverage:.0%} of the claim's subject; not: {', '.join(missing[:6])}",
            span=spans[0].quote,
            expectation=f"{needed:.0%}",
        )
    ]


def subject_of(case: Case) -> dict[str, float]:
    """The task's tokens without its values, each with its weight."""
    spoken = [value.text for value in values.asserted(case.task.text) if value.kind != "word"]
    expected = [finding.expected or "" for finding in case.answer.findings]
    asked = query_tokens(without_default(case.task.text)) - tokens(" ".join([*spoken, *expected]))
    # The parts of a compound are tokens of their own; the whole would count them twice.
    words = {
        token
        for token in asked
        if not (token in _FUNCTION_WORDS or token in _KINDS or len(token) < 2 or "_" in token or "." in token)
    }
    records = case.record_tokens
    weights = {}
    for token in sorted(set(map(canonical, words))):
        holders = sum(token in record for record in records)
        rarest = math.log(1 + len(records))
        weights[token] = math.log(1 + len(records) / holders) if holders else ABSENT_WEIGHT * rarest
    return weights


def share(subject: dict[str, float], span: Span) -> float:
    """The share of the subject's weight that a place covers, with its statement and what it belongs to, 0 to 1."""
    return _weight(subject, _said_by(span, span.frame))


def spells(span: Span, name: str) -> bool:
    """Is a name that of the table around a place and what the place gives a value to: `worker_pool` in `worker=…(`?"""
    lowered = name.lower()
    # The statement's own first line opens no table around it.
    around = [line for line in span.outer if line.strip() not in span.statement]
    table = next((named for line in around if (named := _TABLE.match(line))), None)
    return table is not None and any(
        lowered == f"{table['name']}_{given}".lower()
        for given in names_given(span.statement.partition("\n")[0], frozenset())
    )


def _gives_the_named(span: Span, case: Case) -> bool:
    """Does the place give a value to a name of several parts that the task spells out?"""
    given = {name.lower() for name in names_given(span.quote, case.about)}
    return any(
        name.text.lower().rpartition(".")[2] in given or spells(span, name.text)
        for name in case.named
        if "_" in name.text.strip("_")
    )


def _said_by(span: Span, text: str) -> frozenset[str]:
    """What is said in a place, in a text around it, and by its form."""
    by_form = [words for form, words in _FORMS if form.search(span.statement)]
    package = _TRAILING_DIGITS.sub("", span.record.origin.partition(" ")[0].lower())
    return _said(f"{text}\n{span.statement}\n{package}").union(*by_form)


@lru_cache(maxsize=512)  # the same few places are compared by several rules
def _said(text: str) -> frozenset[str]:
    return frozenset(map(canonical, tokens(text)))


def _weight(subject: dict[str, float], covered: Collection[str]) -> float:
    whole = math.fsum(subject.values())
    return math.fsum(weight for token, weight in subject.items() if token in covered) / whole if whole else 1.0
