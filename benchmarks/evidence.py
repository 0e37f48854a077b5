"""Durable appends: our log in group commits, a bare loop of the same writes, and one Celery task for each record."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path

import redis

from benchmarks import rig, stock
from benchmarks.registry import Metric, Run, alternate
from evidence.log import EvidenceLog
from replay.identity import canonical_json
from tests.batches import make_run
from tests.factories import make_task

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
        ours, bare, celery = alternate(
            run.count(3, 1),
            lambda: _log(place(), groups),
            lambda: _bare(place(), groups),
            partial(_celery, run, place, client, lines[: run.count(2000, 500)]),
        )
    size = sum(map(len, lines)) / len(lines)
    how = f"{len(lines)} replay_run records of {size / 1000:.1f} kB through EvidenceLog, {BATCH} to a group commit. "
    yield Metric(
        "evidence.records_per_s",
        ours,
        bare,
        "records/s",
        how + "Baseline: a bare loop that writes and fsyncs the same bytes in the same groups, with no hash and index.",
        ">= 20,000/s",
    )
    yield Metric(
        "evidence.vs_task_per_append",
        ours,
        celery,
        "records/s",
        how + "Baseline: one Celery task (pool solo) for each of the same records, each one write and one fsync.",
        ">= 20x",
    )


def _log(folder: Path, groups: Sequence[Sequence[bytes]]) -> float:
    seconds = 0.0
    with EvidenceLog.open(folder / "log.jsonl") as log:
        for group in groups:
            # Made anew for each group and outside the clock, as the writer holds no more than one group either.
            records = [json.loads(line) for line in group]
            began = time.perf_counter()
            log.append(records)
            seconds += time.perf_counter() - began
    return sum(map(len, groups)) / seconds


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
