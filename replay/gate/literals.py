"""Literal rules for findings of values: `found` is what the cited line states, `expected` what the task claims."""

from __future__ import annotations

from replay import assertion, values
from replay.contracts import Finding, Reason
from replay.gate.case import Case
from replay.statements import stated


def found_is_cited(case: Case) -> list[Reason]:
    """The value that a finding reports is one that the cited line states; a mention is not enough."""
    reasons = []
    for finding in case.answer.findings:
        spans = case.spans(finding)
        if not finding.found or not spans:
            continue
        value = values.parse(finding.found)
        if not any(_states(span.quote, value, finding, case) for span in spans):
            reasons.append(
                Reason(
                    rule="literals.found_not_cited",
                    message=f"the cited line does not say {finding.found!r}",
                    span=spans[0].quote,
                    expectation=finding.found,
                )
            )
    return reasons


def _states(quote: str, value: values.Value, finding: Finding, case: Case) -> bool:
    if not finding.expected:
        return values.occurs(value, quote)
    expected = values.parse(finding.expected)
    return any(value.same(said) for line in quote.split("\n") for said in stated(line, expected, case.about))


def expected_is_asked(case: Case) -> list[Reason]:
    """The value that a finding says was claimed stands in the task; where the task has literals, it is one of them.

    Of an answer that only points it is what the task claims: a word of its subject is no value to be refuted.
    """
    reasons = []
    claimed = values.asserted(case.task.text)
    for finding in case.answer.findings:
        if not finding.expected:
            continue
        value = values.parse(finding.expected)
        asked = values.occurs(value, case.task.text)
        numbers = [literal for literal in claimed if literal.kind != "word"]
        if numbers and value.kind != "word":
            asked = any(value.same(literal) for literal in numbers)
        if not finding.claim.strip():
            # An answer that only points. The schema offers just these; where none holds the model, no other counts.
            asked = asked and any(value.same(one) for one in assertion.claimed(case.task.text))
        if not asked:
            reasons.append(
                Reason(
                    rule="literals.expected_not_asked",
                    message=f"the task does not claim {finding.expected!r}",
                    span=case.task.text,
                    expectation=finding.expected,
                )
            )
    return reasons
