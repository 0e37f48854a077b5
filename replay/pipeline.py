"""The life of one task inside a worker: retrieve -> generate -> gate -> step. Reads downwards.

The two entry points, one for each lane, return an `Outcome`: the evidence to append and, where the gate rejected a
local answer that may escalate, the order for the other lane. They send nothing: the caller owns the queues.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

from replay import identity, policy, prompting
from replay.contracts import (
    Answer,
    Attempt,
    Bundle,
    EscalationOrder,
    Generation,
    Reason,
    ReplayRun,
    ReplayTask,
    State,
    Tier,
    Timings,
)
from replay.errors import ModelRefused, ModelUnavailable
from replay.gate import DEFAULT_GATE, Gate, judge


class Retriever(Protocol):
    """Finds the records of one corpus snapshot that match a task."""

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return the bundle of a task. The same snapshot and task give the same bundle, always."""
        ...


class Generator(Protocol):
    """Asks the model of a tier."""

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Return the reply, verbatim.

        Raises:
            ModelUnavailable: No answer, after bounded retries.
            ModelRefused: The endpoint said no; a retry cannot help.
        """
        ...


@dataclass(frozen=True)
class Engine:
    """What an attempt needs. `prompt` holds the limits of the prompt, `gate` the rules in force; the rest is code."""

    retriever: Retriever
    generator: Generator
    prompt: prompting.PromptLimits
    gate: Gate = DEFAULT_GATE


@dataclass(frozen=True)
class Outcome:
    """What is to be sent after an attempt: always evidence, and an order where the run goes on."""

    run: ReplayRun
    escalation: EscalationOrder | None = None


def audit_local(task: ReplayTask, engine: Engine) -> Outcome:
    """Make the local attempt of a task.

    Where hybrid retrieval is on and its embedder does not answer, the run fails: half of a ranking is not the whole.
    """
    started = perf_counter()
    try:
        bundle = engine.retriever.retrieve(task) if task.options.retrieval else Bundle(retrieval=False)
    except (ModelUnavailable, ModelRefused) as error:
        return Outcome(end_without_attempt(task, State.FAILED, f"embedding: {error.message}"))
    return _attempt(task, Tier.LOCAL, bundle, engine, retrieve_ms=_ms_since(started))


def audit_escalated(order: EscalationOrder, engine: Engine) -> Outcome:
    """Make the large model's attempt, on the same bundle and with the gate's reasons."""
    return _attempt(order.task, Tier.ESCALATION, order.bundle, engine, reasons=order.reasons)


def end_without_attempt(
    task: ReplayTask, state: State, reason: str, *, bundle: Bundle | None = None, record_id: str | None = None
) -> ReplayRun:
    """The evidence of a run that ended before, or instead of, an attempt: poison, cancelled, or a worker's failure."""
    nothing = Bundle(retrieval=task.options.retrieval)
    return _record(task, bundle or nothing, None, state, record_id=record_id or task.run_id, reason=reason)


def _attempt(
    task: ReplayTask,
    tier: Tier,
    bundle: Bundle,
    engine: Engine,
    *,
    reasons: tuple[Reason, ...] = (),
    retrieve_ms: float = 0.0,
) -> Outcome:
    prompt = prompting.build(task, bundle, reasons, engine.prompt)
    attempt_id = identity.attempt_id(task.run_id, tier, task.options.repeat)

    def attempt(**fields: Any) -> Attempt:
        return Attempt(attempt_id=attempt_id, tier=tier, repeat=task.options.repeat, prompt_hash=prompt.hash, **fields)

    try:
        generation = engine.generator.generate(tier, prompt.messages, prompt.schema)
    except (ModelUnavailable, ModelRefused) as fault:
        # Not a verdict on the task: it is recorded as failed and counts in no escalation rate.
        ended = attempt(fault=fault.message, timings=Timings(retrieve_ms=retrieve_ms))
        run = _record(task, bundle, ended, State.FAILED, record_id=attempt_id, reason=f"model: {fault.message}")
        return Outcome(run)

    gating = perf_counter()
    answer: Answer | None
    answer, verdict = judge(task, bundle, generation, engine.gate)
    ended = attempt(
        generation=generation,
        answer=answer,
        verdict=verdict,
        timings=Timings(retrieve_ms=retrieve_ms, generate_ms=generation.generate_ms, gate_ms=_ms_since(gating)),
    )
    step = policy.next_step(verdict, task, tier)
    if isinstance(step, policy.Escalate):
        order = EscalationOrder(task=task, bundle=bundle, reasons=step.reasons)
        return Outcome(_record(task, bundle, ended, State.ESCALATED, record_id=attempt_id), order)
    return Outcome(_record(task, bundle, ended, step.state, record_id=attempt_id))


def _record(
    task: ReplayTask,
    bundle: Bundle,
    attempt: Attempt | None,
    state: State,
    *,
    record_id: str,
    reason: str | None = None,
) -> ReplayRun:
    return ReplayRun(
        id=record_id,
        run_id=task.run_id,
        batch_id=task.batch_id,
        custom_id=task.custom_id,
        task_hash=task.task_hash,
        task=task,
        corpus_version=bundle.corpus_version,
        bundle=bundle,
        attempt=attempt,
        state=state,
        reason=reason,
        recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _ms_since(started: float) -> float:
    return round((perf_counter() - started) * 1000, 3)
