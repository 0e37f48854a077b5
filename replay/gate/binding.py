"""Binding rules: the cited line asserts the value of the thing that is asked about, instead of mentioning it.

The right number on the wrong thing is the commonest plausible error of a small model. `replay.gate.subject` says how
far a line covers what a task is about; here no other line that was shown may be clearly closer to it and state another
value, and names, definitions, classes and switches have to be the ones that the task names.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from replay import values
from replay.contracts import Finding, Reason, Ruling
from replay.corpus.tokens import tokens
from replay.gate.case import Case, Span
from replay.gate.derivation import CLASS, DERIVED
from replay.gate.lexicon import canonical
from replay.gate.standing import definitions, is_argument, is_conditional, is_example, is_later, is_test
from replay.gate.subject import share, spells, subject_of
from replay.statements import names_given, stated

_LISTS = re.compile(
    r"\b(?:can be|one of|any of|either|possible values|choices|options are|such as|e\.g\.|for example)\b", re.IGNORECASE
)
_STRING = re.compile(r"""(['"])((?:(?!\1).)*)\1""")
_PROSE_SPACES = 3
_DEFAULT = re.compile(r"\bdefault|\bunless\b|\botherwise\b", re.IGNORECASE)
_OPEN = re.compile(r"\w(?::\s*[^=,()]{1,80}\s)?=\s?None\s*[,)]")
_RAISED = re.compile(r"\s*raise\s+(?:\w+\.)*(?P<name>\w+)")
# Arguments by which a call says a value, of what stands elsewhere.
_OF_THE_CALL = frozenset(["const", "default", "factory", "type", "value", "version"])
# Parts of a name that turn its switch round.
_NEGATIONS = frozenset(["disable", "disabled", "exclude", "ignore", "no", "non", "not", "skip", "suppress", "without"])


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
    for name in case.named:
        if any(name.same(value) or name.text.lower() in value.text.lower() for value in expected):
            continue  # the value itself, or a part of it
        if not any(values.occurs(name, frame) for frame in frames):
            continue  # the sources write it otherwise
        spans = [span for finding in case.answer.findings for span in case.spans(finding)]
        if spans and not any(
            values.occurs(name, f"{span.frame}\n{span.statement}") or spells(span, name.text) for span in spans
        ):
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
    subject = subject_of(case) if findings else {}
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
    own = share(subject, span)
    for other in case.candidates:
        said = [value for value in stated(other.quote, expected, case.about) if value.kind != "none"]
        if other.quote == span.quote or not said or any(value.same(found) for value in said):
            continue
        if _is_one_statement(other, span) or (DERIVED.search(case.task.text) and not CLASS.match(other.quote)):
            continue
        if share(subject, other) > own + case.thresholds.rival_lead:
            return other.quote
    return None


def _is_one_statement(other: Span, span: Span) -> bool:
    """Is a line part of the statement of another: the text of what is raised below the line that raises it?"""
    return other.record.record_id == span.record.record_id and other.line in span.statement_lines


def is_not_stated_elsewhere(case: Case) -> list[Reason]:
    """A value is not refuted by one line while another, as close to the subject, states it."""
    if case.answer.verdict is not Ruling.FAIL:
        return []
    findings = [finding for finding in case.answer.findings if finding.found and finding.expected]
    subject = subject_of(case) if findings else {}
    reasons = []
    for finding in findings:
        expected = values.parse(finding.expected or "")
        for span in case.spans(finding):
            own = share(subject, span)
            other = next(
                (
                    other.quote
                    for other in case.candidates
                    if other.quote != span.quote
                    and not _is_one_statement(other, span)
                    and not is_conditional(other)
                    and (not DERIVED.search(case.task.text) or CLASS.match(other.quote))
                    and any(expected.same(value) for value in stated(other.quote, expected, case.about))
                    and share(subject, other) >= own - case.thresholds.rival_lead
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


def gives_to_the_asked(case: Case) -> list[Reason]:
    """A line that gives a value to a name is about that name: the task says some part of it, or a word for one."""
    asked = frozenset(map(canonical, case.about))
    reasons = []
    for finding in case.answer.findings:
        if not finding.found:
            continue
        for span in case.spans(finding):
            given = names_given(span.quote, case.about)
            named = given and span.quote.lstrip().startswith(given[0]) and given[0] not in _OF_THE_CALL
            if named and not any(canonical(part) in asked for name in given for part in tokens(name)):
                reasons.append(
                    Reason(
                        rule="binding.other_name",
                        message=f"the cited line gives a value to {given[0]!r}, of which the task says no word",
                        span=span.quote,
                    )
                )
    return reasons


def stands_for_itself(case: Case) -> list[Reason]:  # noqa: C901  one sort of place after the other
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
            elif _DEFAULT.search(case.task.text) and is_later(span):
                rule, message = "binding.conditional", "the cited line changes a value later; a default is there before"
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
            if listed and (_raises(finding.found, span.quote) or listed[0].lower() in case.task.text.lower()):
                continue  # the text of an error, or an example that the claim itself is about
            if listed and not _is_named_default(finding.found, span.quote):
                reasons.append(
                    Reason(rule="binding.listed", message=f"the cited line lists ({listed[0]!r})", span=span.quote)
                )
            elif _only_in_prose(finding.found, span.quote):
                reasons.append(
                    Reason(rule="binding.mentioned", message="the value is only mentioned in a text", span=span.quote)
                )
    return reasons


def _raises(found: str, quote: str) -> bool:
    """Is the value what a line raises? Then a list in the text that it gives lists nothing that it could be instead."""
    raised = _RAISED.match(quote)
    return raised is not None and values.parse(raised["name"]).same(values.parse(found))


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


def _only_in_prose(found: str, quote: str) -> bool:
    value = values.parse(found)
    if "default" in quote.lower() or not values.occurs(value, quote):
        return False
    return not values.occurs(value, _STRING.sub(_without_prose, quote))


def _without_prose(string: re.Match[str]) -> str:
    return " " if len(re.findall(r"\s", string[2])) >= _PROSE_SPACES else string[0]
