"""Submitting: a file of tasks through `producer.submit`, against a loop of Celery's `apply_async`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import redis

from benchmarks import corpora, rig
from benchmarks.registry import Metric, Run, alternate
from broker.connection import connect
from producer import intake
from producer.submit import submit
from replay.corpus import snapshot
from replay.settings import Settings


def measure(run: Run) -> Iterator[Metric]:
    """Rates of both."""
    tasks, calls = run.count(20_000, 4000), run.count(2000, 500)
    source = run.place("tasks") / "tasks.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for task in corpora.audit_tasks(tasks, "batch_bench"):
            file.write(json.dumps({"custom_id": task.custom_id, "task": task.text}) + "\n")
    payloads = [task.wire() for task in corpora.audit_tasks(calls, "batch_bench")]
    numbers = count()
    with rig.broker(run.folder) as client:
        ours, celery = alternate(
            run.count(3, 1),
            lambda: _ours(run.place(f"submit-{next(numbers)}"), rig.address(run.folder), source, client),
            partial(_celery, run, client, payloads),
        )
    yield Metric(
        "submit.vs_apply_async",
        ours,
        celery,
        "tasks/s",
        f"{tasks} tasks from a file through intake, a durable manifest and the queue, one process. "
        f"Baseline: a loop of {calls} apply_async of the same payloads, with nothing durable but the broker.",
        ">= 20x",
    )


def _ours(folder: Path, broker_url: str, source: Path, client: redis.Redis) -> float:
    client.flushall()
    settings = Settings(data_dir=folder, broker_url=broker_url)
    snapshot.write(corpora.small(), settings.corpus_dir)
    with connect(settings) as broker:
        began = time.perf_counter()
        submission = submit(intake.read(source).lines, settings, source=source.name, client=broker)
        seconds = time.perf_counter() - began
    return submission.enqueued / seconds


def _celery(run: Run, client: redis.Redis, payloads: Sequence[dict[str, Any]]) -> float:
    client.flushall()
    app = rig.Stock(run.folder, rig.address(run.folder)).app
    noop = app.tasks["noop"]
    noop.apply_async(({},), {"last": False})  # connects
    began = time.perf_counter()
    for payload in payloads:
        noop.apply_async((payload,), {"last": False})
    seconds = time.perf_counter() - began
    app.close()
    return len(payloads) / seconds
