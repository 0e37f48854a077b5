"""Literal rules: what the answer writes down exists, in the evidence or in the task. Proposals are exempt."""

from __future__ import annotations

from replay import values
from replay.contracts import Reason
from replay.gate.case import Case


def known_literals(case: Case) -> list[Reason]:
    """Every number, boolean, identifier and quoted word of a finding's claim occurs in the bundle or in the task."""
    world = "\n".join(
        [case.task.text, *case.task.checklist]
        + [f"{record.title}\n{record.path or ''}\n{record.text}" for record in case.records.values()]
    )
    return [
        Reason(rule="literals.unknown", message=f"{value.text!r} occurs nowhere in the evidence", span=finding.claim)
        for finding in case.answer.findings
        for value in values.asserted(finding.claim)
        if not values.occurs(value, world)
    ]


def found_is_cited(case: Case) -> list[Reason]:
    """The value that a finding reports stands in the line that it cites."""
    reasons = []
    for finding in case.answer.findings:
        spans = case.spans(finding)
        if not finding.found or not spans:
            continue
        value = values.parse(finding.found)
        if not any(values.occurs(value, span.quote) for span in spans):
            reasons.append(
                Reason(
                    rule="literals.found_not_cited",
                    message=f"the cited line does not say {finding.found!r}",
                    span=spans[0].quote,
                    expectation=finding.found,
                )
            )
    return reasons


def expected_is_asked(case: Case) -> list[Reason]:
    """The value that a finding says was claimed stands in the task; where the task has literals, it is one of them."""
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
