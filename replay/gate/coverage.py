"""Coverage rules: every checklist item of the task got an answer."""

from __future__ import annotations

from replay.contracts import Reason
from replay.gate.case import Case


def answers_checklist(case: Case) -> list[Reason]:
    """Each item is answered by a check of that name; an honest `unknown` is an answer."""
    answered = {check.item for check in case.answer.checks}
    return [
        Reason(rule="coverage.unanswered", message="a checklist item is not answered", expectation=item)
        for item in case.task.checklist
        if item not in answered
    ]
