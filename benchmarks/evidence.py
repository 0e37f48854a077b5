"""Durable appends: our writer, a bare loop of the same writes, and one Celery task for each record.

What is timed is the whole way of a record: read from the stream, proved, chained, on the disk, indexed, acknowledged.
"""

from __future__ import annotations

import gc
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from unittest.mock import patch

import redis

from benchmarks import rig, stock
from benchmarks.registry import Metric, Run, alternate
from broker.evidence_stream import FIELD, backlog
from evidence.format import Body, prepare
from evidence.received import receive
from replay.identity import canonical_json
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM
from tests.batches import make_run
from tests.factories import make_task
from workers.takeover import Tenure, take
from workers.writer import Pulse, Writer, collect_seldom

BATCH = 256


def measure(run: Run) -> Iterator[Metric]:
    """The log against both."""
    numbers = count()
    lines = [
        canonical_json(make_run(make_task(f"Verify claim {n}.", custom_id=str(n))).wire())
        for n in range(run.count(100, 10) * BATCH)
    ]
    groups = [lines[start : start + BATCH] for start in range(0, len(lines), BATCH)]

    def place() -> Path:
        return run.place(f"evidence-{next(numbers)}")

    with rig.broker(run.folder) as client:
        ours, before, bare, celery = alternate(
            run.count(3, 1),
            lambda: _written(place(), run, client, lines, receive),
            lambda: _written(place(), run, client, lines, _the_long_way),
            lambda: _bare(place(), groups),
            partial(_celery, run, place, client, lines[: run.count(2000, 500)]),
        )
    size = sum(map(len, lines)) / len(lines)
    how = f"{len(lines)} replay_run records of {size / 1000:.1f} kB through the writer, {BATCH} to a group commit. "
    yield Metric(
        "evidence.records_per_s",
        ours,
        bare,
        "records/s",
        how + "Baseline: a bare loop that writes and fsyncs the same bytes in the same groups, with no hash and index.",
        ">= 20,000/s",
    )
    yield Metric(
        "evidence.bytes_as_they_lie",
        ours,
        before,
        "records/s",
        how + "Baseline: the same writer, with each record parsed and encoded again by Python's json.",
    )
    yield Metric(
        "evidence.vs_task_per_append",
        ours,
        celery,
        "records/s",
        how + "Baseline: one Celery task (pool solo) for each of the same records, each one write and one fsync.",
        ">= 20x",
    )


def _written(
    folder: Path, run: Run, client: redis.Redis, lines: Sequence[bytes], received: Callable[[bytes], Body]
) -> float:
    client.flushall()
    for start in range(0, len(lines), BATCH):
        with client.pipeline(transaction=False) as pipe:
            for line in lines[start : start + BATCH]:
                pipe.xadd(EVIDENCE_STREAM, {FIELD: line})
            pipe.execute()
    settings = Settings(data_dir=folder, broker_url=rig.address(run.folder), writer_batch=BATCH)
    tenure = take(settings, client)
    assert isinstance(tenure, Tenure), tenure
    never = threading.Event()
    thresholds = gc.get_threshold()
    collect_seldom()
    with patch("workers.writer.receive", received):
        writer = Writer(settings, client, tenure, Pulse(client))
        began = time.perf_counter()
        while backlog(client):
            writer.step(never)
        seconds = time.perf_counter() - began
    tenure.end()
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    return len(lines) / seconds


def _the_long_way(data: bytes) -> Body:
    return prepare(json.loads(data))


def _bare(folder: Path, groups: Sequence[Sequence[bytes]]) -> float:
    fd = os.open(folder / "bare.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    began = time.perf_counter()
    for group in groups:
        os.write(fd, b"\n".join(group))
        os.fsync(fd)
    seconds = time.perf_counter() - began
    os.close(fd)
    return sum(map(len, groups)) / seconds


def _celery(run: Run, place: Callable[[], Path], client: redis.Redis, lines: Sequence[bytes]) -> float:
    client.flushall()
    plain = rig.Stock(place(), rig.address(run.folder))
    for line in lines:
        plain.app.tasks["append"].apply_async((line.decode(),))
    with plain.working({stock.LOCAL: 1}, pool="solo"):
        ends = plain.wait_for_ends(len(lines))
    plain.app.close()
    return len(lines) / (ends[-1] - ends[0])
