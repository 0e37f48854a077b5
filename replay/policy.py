"""The whole routing rule, as values: what happens to a run after the gate has spoken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from replay.contracts import Reason, ReplayTask, State, Tier, Verdict


@dataclass(frozen=True)
class Settle:
    """The run ends in this state; its evidence is terminal. `reason` says why, where the verdict does not."""

    state: State
    reason: str | None = None


@dataclass(frozen=True)
class Escalate:
    """The run goes to the large model with the gate's reasons; its evidence so far is not terminal."""

    reasons: tuple[Reason, ...]


Step = Settle | Escalate

UNDECIDABLE = "undecidable: no line that is offered passes the gate, whoever chooses; the large model was not asked"


def next_step(verdict: Verdict, task: ReplayTask, tier: Tier, decidable: Callable[[], bool]) -> Step:
    """Decide from the verdict alone: no confidence, no model's opinion, no second try on the same tier.

    A rejected local answer escalates where the task allows it and some answer over its bundle could be accepted: a
    large model sees the same lines, and can say no more of them. A baseline without retrieval never escalates: it
    measures the local model alone.

    Args:
        verdict: Of the gate.
        task: What it is about.
        tier: Whose answer it was.
        decidable: Tells whether the gate would accept any answer over the bundle; asked only where that matters.
    """
    if verdict.accepted:
        return Settle(State.ACCEPTED)
    if tier is Tier.LOCAL and task.options.allow_escalation and task.options.retrieval:
        return Escalate(verdict.reasons) if decidable() else Settle(State.REJECTED, UNDECIDABLE)
    return Settle(State.REJECTED)
