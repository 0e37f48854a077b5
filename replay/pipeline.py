"""The life of one task inside a worker: retrieve -> generate -> gate -> step. Reads downwards.

The two entry points, one for each lane, return an `Outcome`: the evidence to append and, where the gate rejected a
local answer that may escalate, the order for the other lane. They send nothing: the caller owns the queues. Where the
very same question was answered before, the generation may come from memory (`replay.reuse`); all else is as always.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Protocol

from replay import choices, identity, policy, prompting, reuse, tracing
from replay.contracts import (
    Answer,
    Attempt,
    Bundle,
    EscalationOrder,
    Generation,
    Reason,
    ReplayRun,
    ReplayTask,
    Reused,
    State,
    Tier,
    Timings,
    Verdict,
)
from replay.errors import ModelRefused, ModelUnavailable
from replay.gate import DEFAULT_GATE, Gate, judge
from replay.reuse import Memory, NoMemory, Question, Remembered


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
    """What an attempt needs. `prompt` holds the limits of the prompt, `gate` the rules in force; the rest is code.

    `ask_anyway` escalates also what no answer can decide (`replay.choices`).
    """

    retriever: Retriever
    generator: Generator
    prompt: prompting.PromptLimits
    gate: Gate = DEFAULT_GATE
    memory: Memory = field(default_factory=NoMemory)
    ask_anyway: bool = False


@dataclass(frozen=True)
class Outcome:
    """What is to be sent after an attempt: always evidence, and an order where the run goes on.

    `answered` is what the memory may keep, once the evidence is published: the question and its new answer.
    """

    run: ReplayRun
    escalation: EscalationOrder | None = None
    answered: tuple[Question, Remembered] | None = None


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

    question = Question(tier, task.task_hash, bundle.corpus_version, prompt.hash, engine.gate.version)
    judged = _from_memory(task, bundle, question, engine)
    if judged is None:
        try:
            generation = engine.generator.generate(tier, prompt.messages, prompt.schema)
        except (ModelUnavailable, ModelRefused) as fault:
            # Not a verdict on the task: it is recorded as failed and counts in no escalation rate.
            ended = attempt(fault=fault.message, timings=Timings(retrieve_ms=retrieve_ms))
            run = _record(task, bundle, ended, State.FAILED, record_id=attempt_id, reason=f"model: {fault.message}")
            return Outcome(run)
        judged = _judged(task, bundle, generation, engine)

    ended = attempt(
        generation=judged.generation,
        answer=judged.answer,
        verdict=judged.verdict,
        timings=Timings(retrieve_ms=retrieve_ms, generate_ms=judged.generation.generate_ms, gate_ms=judged.gate_ms),
        reused=judged.source,
    )
    step = policy.next_step(
        judged.verdict, task, tier, lambda: engine.ask_anyway or choices.is_decidable(task, bundle, engine.gate)
    )
    answered = None
    if judged.source is None and reuse.may_reuse(task):
        source = Reused(run_id=task.run_id, attempt_id=attempt_id)
        kept = reuse.remembered(source, judged.generation, judged.verdict)
        answered = (question, kept) if kept is not None else None
    if isinstance(step, policy.Escalate):
        order = EscalationOrder(task=task, bundle=bundle, reasons=step.reasons)
        return Outcome(_record(task, bundle, ended, State.ESCALATED, record_id=attempt_id), order, answered)
    run = _record(task, bundle, ended, step.state, record_id=attempt_id, reason=step.reason)
    return Outcome(run, answered=answered)


@dataclass(frozen=True)
class _Judged:
    """A reply and what the gate says of it; `source` is the attempt that it was asked for, where that is another."""

    generation: Generation
    answer: Answer | None
    verdict: Verdict
    gate_ms: float
    source: Reused | None = None


def _judged(
    task: ReplayTask, bundle: Bundle, generation: Generation, engine: Engine, source: Reused | None = None
) -> _Judged:
    gating = perf_counter()
    with tracing.span("gate") as span:
        answer, verdict = judge(task, bundle, generation, engine.gate)
        span.set(
            replay__gate__version=verdict.gate_version,
            replay__gate__accepted=verdict.accepted,
            replay__gate__rules=tuple(sorted({reason.rule for reason in verdict.reasons})),
        )
    return _Judged(generation, answer, verdict, _ms_since(gating), source)


def _from_memory(task: ReplayTask, bundle: Bundle, question: Question, engine: Engine) -> _Judged | None:
    """The answer that this question had before, judged again; None where there is none, or not one to be believed."""
    known = engine.memory.recall(question) if reuse.may_reuse(task) else None
    if known is None:
        return None
    judged = _judged(task, bundle, known.again(), engine, known.source)
    return judged if reuse.hash_of(judged.verdict) == known.verdict_hash else None


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
