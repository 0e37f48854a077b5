"""One task in one round: how it goes through the pipeline, and what its evidence says of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from replay import pipeline
from replay.contracts import Attempt, EscalationOrder, ReplayRun, ReplayTask, Ruling, State, Tier
from replay.corpus.admission.candidates import ORIGIN, shown
from replay.corpus.remembering import CLOSE, closeness, worked
from replay.gate import Gate
from replay.pipeline import Engine, Generator
from replay.policy import UNDECIDABLE
from replay.study.loop import placebo
from replay.study.loop.oracle import can_be_right
from replay.study.loop.tasks import Gold

Large = Callable[[EscalationOrder], Generator]
"""Who answers what the gate did not let through."""

_PRODUCED = frozenset({ORIGIN, placebo.ORIGIN})


def through(task: ReplayTask, engine: Engine, large: Large | None) -> list[ReplayRun]:
    """Ask the local model, and where the gate hands the task on the large one over the same bundle."""
    first = pipeline.audit_local(task, engine)
    if first.escalation is None or large is None:
        return [first.run]
    second = replace(engine, generator=large(first.escalation))
    return [first.run, pipeline.audit_escalated(first.escalation, second).run]


@dataclass(frozen=True)
class Turn:
    """One task in one round, against what is known of it.

    Attributes:
        part: `work`, `kin` or `novel`.
        state: How the run ended.
        ruling: What the last answer says.
        local_ruling: What the local answer says, whether or not the gate let it out.
        handed_on: Did the gate refuse the local answer, over a bundle in which some answer could pass?
        undecidable: Did it refuse it where no answer could?
        cause: Family of the first reason for that; empty where there was none.
        own: Was the task's own answer of an earlier round in its bundle?
        remembered: Was the line of an earlier answer shown to it first?
        produced: Was it shown anything that a round before has brought?
        reachable: Is there an accepted right choice in its bundle? No answer over it could do better than that.
        large_right: Is the large model's answer accepted and right? None where it was not asked.
        tokens: Read and written, of both models.
        seconds: Retrieval, generation and gate, of both models.
    """

    custom_id: str
    part: str
    known: Ruling
    state: State
    ruling: Ruling | None
    local_ruling: Ruling | None
    handed_on: bool
    undecidable: bool
    cause: str
    own: bool
    remembered: bool
    produced: bool
    reachable: bool
    large_right: bool | None
    tokens: int
    seconds: float

    @property
    def ended(self) -> bool:
        """Did the gate decide on it?"""
        return self.state in {State.ACCEPTED, State.REJECTED}

    @property
    def accepted(self) -> bool:
        """Did the gate accept its last answer?"""
        return self.state is State.ACCEPTED

    @property
    def right(self) -> bool:
        """Accepted, with the known ruling."""
        return self.accepted and self.ruling is self.known

    @property
    def wrong(self) -> bool:
        """A false accept."""
        return self.accepted and self.ruling is not self.known

    @property
    def letter(self) -> str:
        """The whole turn as one letter, for raw data; `LETTERS` says which is which."""
        if not self.ended:
            return "f"
        if not self.accepted:
            return "u"
        return {(False, True): "r", (False, False): "w", (True, True): "R", (True, False): "W"}[
            self.handed_on, self.right
        ]


LETTERS = {
    "r": "local answer accepted and right",
    "w": "local answer accepted and wrong",
    "R": "large model's answer accepted and right",
    "W": "large model's answer accepted and wrong",
    "u": "undecided: no answer accepted",
    "f": "failed: no answer came",
}


def turn(runs: Sequence[ReplayRun], gold: Gold, gate: Gate) -> Turn:
    """What the evidence of one task says: the local attempt first, then that of the large model, if any."""
    first, last = runs[0], runs[-1]
    local = first.attempt
    judged = local.verdict if local is not None else None
    refused = judged is not None and not judged.accepted
    # Where nobody may be asked, what would have been handed on.
    handed_on = refused and first.reason != UNDECIDABLE and (first.state is State.ESCALATED or _nobody_asked(first))
    ruling = _ruling(last.attempt)
    accepted_right = last.state is State.ACCEPTED and ruling is gold.ruling
    large = last.attempt is not None and last.attempt.tier is Tier.ESCALATION
    seen = list(shown(first))
    places = {(line.record_id, line.line_no) for line in first.bundle.lines}
    text = " ".join(first.task.text.split())
    remembered = [
        known
        for record in seen
        if record.origin in _PRODUCED
        and (known := worked(record)) is not None
        and (known.source, known.line_no) in places
        and closeness(first.task.text, known.claim) >= CLOSE
    ]
    ours = [worked(hit.record) for hit in first.bundle.playbook if hit.record.origin == ORIGIN]
    attempts = [run.attempt for run in runs if run.attempt is not None]
    return Turn(
        custom_id=first.custom_id,
        part=gold.part,
        known=gold.ruling,
        state=last.state,
        ruling=ruling,
        local_ruling=_ruling(local),
        handed_on=handed_on,
        undecidable=first.reason == UNDECIDABLE,
        cause=judged.reasons[0].rule.split(".")[0] if refused and judged is not None and judged.reasons else "",
        own=any(known is not None and known.claim == text for known in ours),
        remembered=bool(remembered),
        produced=any(record.origin in _PRODUCED for record in seen),
        reachable=accepted_right or can_be_right(first.task, first.bundle, gold, gate),
        large_right=accepted_right if large else None,
        tokens=sum(_tokens(one) for one in attempts),
        seconds=sum(_milliseconds(one) for one in attempts) / 1000,
    )


def _nobody_asked(run: ReplayRun) -> bool:
    return not run.task.options.allow_escalation


def _ruling(attempt: Attempt | None) -> Ruling | None:
    return attempt.answer.verdict if attempt is not None and attempt.answer is not None else None


def _tokens(attempt: Attempt) -> int:
    usage = attempt.generation.usage if attempt.generation is not None else None
    return (usage.prompt_tokens or 0) + (usage.completion_tokens or 0) if usage is not None else 0


def _milliseconds(attempt: Attempt) -> float:
    spent = attempt.timings
    return spent.retrieve_ms + spent.generate_ms + spent.gate_ms
