"""Coverage rules: everything that was asked got an answer."""

from __future__ import annotations

from replay import assertion, values
from replay.contracts import Reason, Ruling
from replay.gate.case import Case


def answers_checklist(case: Case) -> list[Reason]:
    """Each checklist item is answered by a check of that name; an honest `unknown` is an answer."""
    answered = {check.item for check in case.answer.checks}
    return [
        Reason(rule="coverage.unanswered", message="a checklist item is not answered", expectation=item)
        for item in case.task.checklist
        if item not in answered
    ]


def answers_steps(case: Case) -> list[Reason]:
    """Each validation step that the bundle's records ask for is answered, or declared unknown."""
    answered = {check.item for check in case.answer.checks}
    return [
        Reason(rule="coverage.unanswered_step", message="a validation step is not answered", expectation=step)
        for step in case.bundle.validation_steps
        if step not in answered
    ]


def answers_every_subject(case: Case) -> list[Reason]:
    """Each thing that the task names is spoken of by a finding that cites a record about it, or that names it."""
    if case.answer.verdict is Ruling.UNSURE or not any(finding.claim.strip() for finding in case.answer.findings):
        return []  # findings of values have rules of their own for what the task names
    excused = assertion.claimed(case.task.text) if case.answer.verdict is Ruling.FAIL else ()
    return [
        Reason(
            rule="coverage.subject", message=f"nothing is said of {name.text!r}", span=name.text, expectation=name.text
        )
        for name in case.named
        if not any(name.same(value) for value in excused) and not values.stands_whole(name.text.lower(), case.cited)
    ]
