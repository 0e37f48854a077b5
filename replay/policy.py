"""The whole routing rule, as values: what happens to a run after the gate has spoken."""

from __future__ import annotations

from dataclasses import dataclass

from replay.contracts import Reason, ReplayTask, State, Tier, Verdict


@dataclass(frozen=True)
class Settle:
    """The run ends in this state; its evidence is terminal."""

    state: State


@dataclass(frozen=True)
class Escalate:
    """The run goes to the large model with the gate's reasons; its evidence so far is not terminal."""

    reasons: tuple[Reason, ...]


Step = Settle | Escalate


def next_step(verdict: Verdict, task: ReplayTask, tier: Tier) -> Step:
    """Decide from the verdict alone: no confidence, no model's opinion, no second try on the same tier.

    A rejected local answer escalates where the task allows it. A baseline without retrieval never escalates: it
    measures the local model alone.
    """
    if verdict.accepted:
        return Settle(State.ACCEPTED)
    if tier is Tier.LOCAL and task.options.allow_escalation and task.options.retrieval:
        return Escalate(verdict.reasons)
    return Settle(State.REJECTED)
