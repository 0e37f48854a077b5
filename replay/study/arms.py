"""The arms of a comparison: one task in one arm is an `Outcome`, all of them together an `ArmScore`.

A run that failed for want of an answer says nothing of the arm: it is counted aside and is in no rate.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from replay.contracts import Ruling, State
from replay.study.scoring import Share


class Arm(StrEnum):
    """What answers the tasks."""

    WITH = "with"
    WITHOUT = "without"
    TOP_LINE = "top-line"

    @property
    def label(self) -> str:
        """As tables and plots call it."""
        return _LABELS[self]

    @property
    def asks_model(self) -> bool:
        """Is a model asked?"""
        return self is not Arm.TOP_LINE


_LABELS = {
    Arm.WITH: "model with evidence",
    Arm.WITHOUT: "model from memory (baseline)",
    Arm.TOP_LINE: "no model: retrieval's top line",
}


@dataclass(frozen=True)
class Outcome:
    """One task in one arm.

    Attributes:
        custom_id: The task.
        state: How its run ended.
        ruling: What the answer says; None where none could be read.
        known: The right ruling, where it is known.
        on_line: Does the answer cite the very line that decides the task?
        invented: What the answer names that does not exist, each as a phrase.
        seconds: Retrieval, generation and gate.
        prompt_tokens: As the server counted them.
        completion_tokens: The same.
    """

    custom_id: str
    state: State
    ruling: Ruling | None = None
    known: Ruling | None = None
    on_line: bool = False
    invented: tuple[str, ...] = ()
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def ended(self) -> bool:
        """Did the gate decide on it?"""
        return self.state in {State.ACCEPTED, State.REJECTED}

    @property
    def accepted(self) -> bool:
        """Did the gate accept it?"""
        return self.state is State.ACCEPTED

    @property
    def says_right(self) -> bool:
        """Has the answer the known ruling, whether or not the gate let it out?"""
        return self.known is not None and self.ruling == self.known

    @property
    def right(self) -> bool:
        """Accepted, with the known ruling."""
        return self.accepted and self.says_right

    @property
    def wrong(self) -> bool:
        """A false accept: accepted, with another ruling than the known one."""
        return self.accepted and self.known is not None and not self.says_right


@dataclass(frozen=True)
class Known:
    """An arm against known answers. `right`, `wrong` and `undecided` are of the same tasks and sum up to them.

    Attributes:
        right: Accepted, with the known ruling.
        on_line: Of all tasks, those that are right and cite the deciding line.
        wrong: False accepts, of all tasks.
        wrong_of_accepted: False accepts, of the accepted ones.
        undecided: Not accepted.
        says_right: Answers with the known ruling, whether or not the gate let them out.
    """

    right: Share
    on_line: Share
    wrong: Share
    wrong_of_accepted: Share
    undecided: Share
    says_right: Share

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {name: rate.wire() for name, rate in vars(self).items()}


@dataclass(frozen=True)
class ArmScore:
    """How one arm did.

    Attributes:
        arm: Which one.
        tasks: Tasks with an outcome.
        failed: Of these, the ones without a verdict: no answer came. They are in no rate.
        accepted: Passed by the gate.
        undecided: Not passed.
        known: Against known answers; None where no task has one.
        inventing: Tasks whose answer names what does not exist.
        inventions: What these answers invented, counted.
        median_s: Seconds a task; None before there is one.
        prompt_tokens: Over all tasks.
        completion_tokens: Over all tasks.
    """

    arm: Arm
    tasks: int
    failed: int
    accepted: Share
    undecided: Share
    known: Known | None
    inventing: Share
    inventions: int
    median_s: float | None
    prompt_tokens: int
    completion_tokens: int

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "arm": self.arm.value,
            "baseline": self.arm is Arm.WITHOUT,
            "tasks": self.tasks,
            "failed": self.failed,
            "accepted": self.accepted.wire(),
            "undecided": self.undecided.wire(),
            "gold": self.known.wire() if self.known else None,
            "inventing": self.inventing.wire(),
            "inventions": self.inventions,
            "median_s": self.median_s,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }


def score(arm: Arm, outcomes: Sequence[Outcome]) -> ArmScore:
    """Count one arm."""
    ended = [one for one in outcomes if one.ended]
    accepted = sum(one.accepted for one in ended)
    inventing = [one for one in ended if one.invented]
    return ArmScore(
        arm=arm,
        tasks=len(outcomes),
        failed=len(outcomes) - len(ended),
        accepted=Share(accepted, len(ended)),
        undecided=Share(len(ended) - accepted, len(ended)),
        known=_against_known([one for one in ended if one.known is not None]),
        inventing=Share(len(inventing), len(ended)),
        inventions=sum(len(one.invented) for one in inventing),
        median_s=round(statistics.median(one.seconds for one in ended), 3) if ended else None,
        prompt_tokens=sum(one.prompt_tokens for one in outcomes),
        completion_tokens=sum(one.completion_tokens for one in outcomes),
    )


def _against_known(judged: Sequence[Outcome]) -> Known | None:
    if not judged:
        return None
    count, accepted = len(judged), sum(one.accepted for one in judged)
    wrong = sum(one.wrong for one in judged)
    return Known(
        right=Share(sum(one.right for one in judged), count),
        on_line=Share(sum(one.right and one.on_line for one in judged), count),
        wrong=Share(wrong, count),
        wrong_of_accepted=Share(wrong, accepted),
        undecided=Share(count - accepted, count),
        says_right=Share(sum(one.says_right for one in judged), count),
    )
