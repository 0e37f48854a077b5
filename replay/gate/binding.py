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
from replay.contracts import Finding, Reason, Ruling
from replay.corpus.tokens import query_tokens, tokens
from replay.gate.case import Case, Span
from replay.gate.lexicon import canonical, without_default
from replay.gate.standing import definitions, is_argument, is_conditional, is_example, is_test
from replay.statements import names_given, stated

ABSENT_WEIGHT = 0.5
# Words that carry a claim's grammar and not its subject, beyond those that the query drops already.
_FUNCTION_WORDS = frozenset(
    """
    after again all allow also another any at before between both derive directly each give given least limit
    limited many more most much named no otherwise over per same say says so stop such take than then these they
    those through turn two under unless until up use while who will
    """.split()  # noqa: SIM905  as in `replay.corpus.tokens`
)
# What sort of thing a claim calls its subject; the line that gives the value seldom says so.
_KINDS = frozenset("argument attribute class constant field function keyword method option parameter setting".split())  # noqa: SIM905  as above
_LISTS = re.compile(
    r"\b(?:can be|one of|any of|either|possible values|choices|options are|such as|e\.g\.|for example)\b", re.IGNORECASE
)
_STRING = re.compile(r"""(['"])((?:(?!\1).)*)\1""")
_PROSE_SPACES = 3
_DEFAULT = re.compile(r"\bdefault|\bunless\b|\botherwise\b", re.IGNORECASE)
_DERIVED = re.compile(r"\b(?:deriv(?:es?|ed)|subclass(?:es)?|inherits?|base class|extends)\b", re.IGNORECASE)
_OPEN = re.compile(r"\w(?::\s*[^=,()]{1,80}\s)?=\s?None\s*[,)]")
_CLASS = re.compile(r"\s*class\s+(?P<name>\w+)\s*\(")
# Parts of a name that turn its switch round.
_NEGATIONS = frozenset(["disable", "disabled", "exclude", "ignore", "no", "non", "not", "skip", "suppress", "without"])


def covers_subject(case: Case) -> list[Reason]:
    """The cited spans, taken together, cover the subject of the task."""
    if case.named and any(finding.claim.strip() for finding in case.answer.findings):
        return []  # of a task that names its subjects each has to be answered: `coverage.subject`
    spans = [span for finding in case.answer.findings for span in case.spans(finding)]
    subject = _subject(case)
    if not spans or not subject:
        return []
    covered = {token for span in spans for token in tokens(span.context)}
    coverage = _share(subject, covered)
    if coverage >= case.thresholds.subject_coverage:
        return []
    missing = sorted(subject.keys() - frozenset(map(canonical, covered)), key=lambda token: (-subject[token], token))
    return [
        Reason(
            rule="binding.other_subject",
            message=f"the cited lines cover {coverage:.0%} of the claim's subject; not: {', '.join(missing[:6])}",
            span=spans[0].quote,
            expectation=f"{case.thresholds.subject_coverage:.0%}",
        )
    ]


def is_in_the_package(case: Case) -> list[Reason]:
    """A task that names a package is not answered by another package's record, where the bundle says whose each is."""
    packages = {_package(record.origin) for record in case.records.values()} - {""}
    named = _named_packages(case.task.text, packages)
    if not named:
        return []
    return [
        Reason(
            rule="binding.other_package",
            message=f"the claim is about {', '.join(sorted(named))}, the cited record is from {package}",
            span=span.quote,
            expectation=", ".join(sorted(named)),
        )
        for finding in case.answer.findings
        for span in case.spans(finding)
        if (package := _package(span.record.origin)) and package not in named
    ]


def _package(origin: str) -> str:
    """The name of a distribution in `name version`."""
    return origin.partition(" ")[0].lower()


def _named_packages(text: str, packages: set[str]) -> set[str]:
    """The packages that a task names; of several, those that it names as packages: `redis-py`, `kombu's`."""
    words = {word.lower() for word in re.findall(r"[\w.-]+(?:['\u2019]s)?", text)}
    certain = {
        name
        for name in packages
        if {f"{name}-py", f"{name}-py's", f"python-{name}", f"{name}'s", f"{name}\u2019s"} & words
    }
    return certain or {name for name in packages if name in words}


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
    findings = [finding for finding in case.answer.findings if finding.found and finding.expected]
    subject = _subject(case) if findings else {}
    reasons = []
    for finding in findings:
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
    for other in case.candidates:
        said = [value for value in stated(other.quote, expected, case.about) if value.kind != "none"]
        if other.quote == span.quote or not said or any(value.same(found) for value in said):
            continue
        if _share(subject, tokens(other.frame)) > own + case.thresholds.rival_lead:
            return other.quote
    return None


def is_not_stated_elsewhere(case: Case) -> list[Reason]:
    """A value is not refuted by one line while another, as close to the subject, states it."""
    if case.answer.verdict is not Ruling.FAIL:
        return []
    findings = [finding for finding in case.answer.findings if finding.found and finding.expected]
    subject = _subject(case) if findings else {}
    reasons = []
    for finding in findings:
        expected = values.parse(finding.expected or "")
        for span in case.spans(finding):
            own = _share(subject, tokens(span.frame))
            other = next(
                (
                    other.quote
                    for other in case.candidates
                    if other.quote != span.quote
                    and not is_conditional(other)
                    and (not _DERIVED.search(case.task.text) or _CLASS.match(other.quote))
                    and any(expected.same(value) for value in stated(other.quote, expected, case.about))
                    and _share(subject, tokens(other.frame)) >= own - case.thresholds.rival_lead
                ),
                None,
            )
            if other is not None:
                reasons.append(
                    Reason(
                        rule="binding.stated_elsewhere",
                        message=f"another line, as close to the subject, says {finding.expected!r}",
                        span=other,
                        expectation=finding.expected,
                    )
                )
    return reasons


def stands_for_itself(case: Case) -> list[Reason]:
    """A line of an example, of a test, or of another definition than the task names settles nothing."""
    reasons = []
    for finding in case.answer.findings:
        if not finding.found:
            continue
        for span in case.spans(finding):
            if is_example(span):
                rule, message = "binding.example", "the cited line is shown as an example"
            elif is_test(span, case.about):
                rule, message = "binding.test_code", "the cited line belongs to tests or samples"
            elif missing := sorted(case.asked_definitions - definitions(span)):
                rule, message = "binding.other_definition", f"the cited line is not defined in {missing[0]}"
            elif _is_left_open(finding.found, span, case.about):
                rule, message = "binding.unset", "a None in a signature says that nothing was given"
            elif _DEFAULT.search(case.task.text) and is_argument(span):
                rule, message = "binding.argument", "the cited line passes a value to a call; it is no default"
            elif _DEFAULT.search(case.task.text) and is_conditional(span):
                rule, message = "binding.conditional", "the cited line holds under a condition only; a default does not"
            else:
                continue
            reasons.append(Reason(rule=rule, message=message, span=span.quote))
    return reasons


def _is_left_open(found: str, span: Span, about: Collection[str]) -> bool:
    """Is it a `name=None` of a function that the task does not name? What then holds is decided elsewhere."""
    if values.parse(found).kind != "none" or not _OPEN.search(span.quote):
        return False
    *outer, name = span.record.title.partition(" ")[0].split(".")
    if name == "__init__" and outer:
        name = outer[-1]
    return not {token for token in tokens(name) if "_" not in token} <= set(about)


def class_is_the_named(case: Case) -> list[Reason]:
    """A claim about a class is settled by the statement of that class, and the value is one of its bases."""
    reasons = []
    for finding in case.answer.findings:
        if not finding.found or not finding.expected:
            continue
        expected = values.parse(finding.expected)
        subjects = [name for name in case.named if name.kind == "word" and not name.same(expected)]
        for span in case.spans(finding):
            statement = _CLASS.match(span.quote)
            if values.shape(expected.text) != "camel" or (statement is not None and not subjects):
                continue
            if statement is None:
                if _DERIVED.search(case.task.text):
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
            if values.parse(finding.found).same(defined) or not any(defined.same(name) for name in subjects):
                reasons.append(
                    Reason(
                        rule="binding.other_class",
                        message=f"the cited line says what {statement['name']} is",
                        span=span.quote,
                        expectation=subjects[0].text,
                    )
                )
    return reasons


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
            if listed and not _is_named_default(finding.found, span.quote):
                reasons.append(
                    Reason(rule="binding.listed", message=f"the cited line lists ({listed[0]!r})", span=span.quote)
                )
            elif _only_in_prose(finding.found, span.quote):
                reasons.append(
                    Reason(rule="binding.mentioned", message="the value is only mentioned in a text", span=span.quote)
                )
    return reasons


def _is_named_default(found: str, quote: str) -> bool:
    """Does a line that lists what is possible say of this value that it is the default: `x` (default), default `x`?"""
    value = re.escape(found.strip("`'\" "))
    return (
        re.search(
            rf"{value}[`'\"]*\W{{0,3}}(?:is )?(?:the )?default"
            rf"|default\w*(?: value)?(?: is| to|:|=)?[\s`'\"]{{0,3}}{value}",
            quote,
            re.IGNORECASE,
        )
        is not None
    )


def _subject(case: Case) -> dict[str, float]:
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


def _share(subject: dict[str, float], covered: Collection[str]) -> float:
    whole = math.fsum(subject.values())
    known = frozenset(map(canonical, covered))
    return math.fsum(weight for token, weight in subject.items() if token in known) / whole if whole else 1.0


def _only_in_prose(found: str, quote: str) -> bool:
    value = values.parse(found)
    if "default" in quote.lower() or not values.occurs(value, quote):
        return False
    return not values.occurs(value, _STRING.sub(_without_prose, quote))


def _without_prose(string: re.Match[str]) -> str:
    return " " if len(re.findall(r"\s", string[2])) >= _PROSE_SPACES else string[0]
