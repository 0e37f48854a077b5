"""What one broker and one writer carry, in CPU time: on a busy machine too it says where the bound is.

Records and orders are those of an audit with a whole bundle in it. The moves of a message are those of a worker, made
by this process: enqueue, claim, accept, begin, commit; then the writer reads, appends and acknowledges.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, cast

import redis

from benchmarks import corpora, rig
from benchmarks.registry import Metric, Run
from broker import envelope
from broker.claims import Claims, claim_key
from broker.evidence_stream import backlog
from replay import identity, pipeline
from replay.contracts import ReplayTask, State, Tier
from replay.corpus.retrieval import CurrentRetriever
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.batches import make_run
from workers.takeover import Tenure, take
from workers.writer import Pulse, Writer

BATCH = "batch_carry"


def measure(run: Run) -> Iterator[Metric]:
    """CPU time of the broker for each task, of the writer for each record."""
    folder = run.place("carry")
    settings = Settings(data_dir=folder, broker_url=rig.address(run.folder))
    tasks = run.count(4000, 500)
    with rig.broker(run.folder) as client:
        rig.System(folder, corpora.full(), broker_url=settings.broker_url, base_url="http://127.0.0.1:1/v1")
        retriever = CurrentRetriever(settings.corpus_dir, settings)
        asked = list(corpora.audit_tasks(tasks, BATCH))
        bundles = {text: retriever.retrieve(task) for task in asked[:40] for text in [task.text]}
        records = {task.run_id: _record(task, bundles[task.text]) for task in asked}
        size = sum(map(len, records.values())) / len(records)
        before = _cpu(client)
        _work(client, asked, records)
        by_worker = _cpu(client) - before
        before, writing = _cpu(client), _write(settings, client)
        by_writer = _cpu(client) - before
    how = f"{tasks} audit tasks with records of {size / 1000:.0f} kB. "
    yield Metric(
        "carry.broker_us",
        (by_worker + by_writer) / tasks * 1e6,
        by_worker / tasks * 1e6,
        "us of CPU",
        how
        + "CPU time of Valkey for one task, from enqueuing to the acknowledgement of its evidence. Baseline: of that, "
        "what the worker's moves take.",
    )
    yield Metric(
        "carry.writer_us",
        writing / tasks * 1e6,
        size / 1000,
        "us of CPU",
        how + "CPU time of the writer for one record, from the stream into the log. Baseline: kB of a record.",
    )


def _record(task: ReplayTask, bundle: Any) -> bytes:
    attempt = make_run(task).attempt
    run = pipeline.end_without_attempt(task, State.ACCEPTED, "", bundle=bundle)
    return identity.canonical_json(run.model_copy(update={"attempt": attempt}).wire())


def _work(client: redis.Redis, asked: list[ReplayTask], records: dict[str, bytes]) -> None:
    entries = ((TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in asked)
    envelope.publish(client, Queue.LOCAL, entries)
    claims, queue, consumer = Claims(client), Queue.LOCAL.value, "bench"
    claims.register(queue, consumer)
    claim = claim_key(queue, consumer)
    while (item := cast("bytes | None", client.blmove(queue, claim, 1, "RIGHT", "LEFT"))) is not None:
        tag = uuid.uuid4().hex
        assert claims.accept(queue, consumer, item, tag)
        run_id = envelope.run_id_of(item) or ""
        attempt_id = identity.attempt_id(run_id, Tier.LOCAL, 0)
        claims.begin(queue, tag, attempt_id)
        assert claims.commit(queue, tag, records[run_id], attempt_id=attempt_id)


def _write(settings: Settings, client: redis.Redis) -> float:
    tenure = take(settings, client)
    assert isinstance(tenure, Tenure), tenure
    writer = Writer(settings, client, tenure, Pulse(client))
    never = threading.Event()
    began = time.process_time()
    while backlog(client):
        writer.step(never)
    seconds = time.process_time() - began
    tenure.end()
    return seconds


def _cpu(client: redis.Redis) -> float:
    said = cast("dict[str, float]", client.info("cpu"))
    return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])
