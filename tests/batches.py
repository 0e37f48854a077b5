"""Batches for tests: a few lines, submitted or not, and evidence of how their runs went, written by the real log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import redis

from broker import envelope
from broker.envelope import Envelope
from evidence.log import EvidenceLog
from producer.line import TaskLine
from producer.manifest import Batch
from producer.submit import Submission, submit
from replay import identity, pipeline
from replay.contracts import (
    Answer,
    Attempt,
    Cite,
    Finding,
    Reason,
    ReplayRun,
    ReplayTask,
    Ruling,
    State,
    Tier,
    Timings,
    Usage,
    Verdict,
)
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import Queue
from tests.factories import make_bundle, make_generation


def furnish(settings: Settings) -> Settings:
    """Give these settings a corpus of one passage."""
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
    return settings


def submitted(
    settings: Settings, client: redis.Redis, count: int = 3, *, line: Mapping[str, Any] | None = None, **options: Any
) -> Submission:
    """Submit so many tasks; `line` gives fields of their lines."""
    return submit(make_lines(count, **(line or {})), settings, source="tasks.jsonl", client=client, **options)


def waiting(client: redis.Redis, queue: Queue = Queue.LOCAL) -> list[Envelope]:
    """What waits in a queue, in the order in which workers take it."""
    items = cast("list[bytes]", client.lrange(queue.value, 0, -1))
    return [envelope.opened(item, queue) for item in items][::-1]


def make_lines(count: int = 3, **fields: Any) -> list[TaskLine]:
    """Lines named t0, t1 and so on."""
    return [
        TaskLine(custom_id=f"t{number}", task=f"Verify that claim {number} holds.", **fields) for number in range(count)
    ]


def make_run(
    task: ReplayTask,
    state: State = State.ACCEPTED,
    tier: Tier | None = Tier.LOCAL,
    *,
    ruling: Ruling = Ruling.PASS,
    rules: Sequence[str] = (),
    reason: str | None = None,
    seconds: float = 1.0,
) -> ReplayRun:
    """The evidence of one attempt, or of an end without one where `tier` is None."""
    bundle = make_bundle()
    attempt = None
    if tier is not None:
        finding = Finding(
            expected="1 hour",
            found="3600",
            cites=(Cite(record_id="src_channel", quote="visibility_timeout = 3600  # 1 hour", line_id="L3"),),
        )
        attempt = Attempt(
            attempt_id=identity.attempt_id(task.run_id, tier, task.options.repeat),
            tier=tier,
            repeat=task.options.repeat,
            prompt_hash="sha256:0",
            generation=make_generation(
                model=f"model-{tier}", usage=Usage(prompt_tokens=100, completion_tokens=10, cached_tokens=40)
            ),
            answer=Answer(findings=(finding,), verdict=ruling),
            verdict=Verdict(
                gate_version="gate.test",
                accepted=state is State.ACCEPTED,
                score=0.5,
                reasons=tuple(Reason(rule=rule, message="does not hold") for rule in rules),
            ),
            timings=Timings(generate_ms=seconds * 1000),
        )
    run = pipeline.end_without_attempt(task, state, reason or "none", bundle=bundle)
    return run.model_copy(
        update={"attempt": attempt, "reason": reason, "id": attempt.attempt_id if attempt is not None else task.run_id}
    )


def record(settings: Settings, *runs: ReplayRun) -> None:
    """Append runs to the evidence."""
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([run.wire() for run in runs])


def by_name(batch: Batch) -> dict[str, ReplayTask]:
    """The tasks of a batch by their custom ids."""
    return {task.custom_id: task for task in batch.tasks}
