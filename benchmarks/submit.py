"""Submitting: a file of tasks through `producer.submit`, against a loop of Celery's `apply_async`, and what it holds.

`python -m benchmarks.submit 1000000` submits a file of that many lines by the command and prints its rate and memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
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
from tests.processes import environment

_REPLAY = str(Path(sys.executable).parent / "replay")
_MEMORY_MB = 150.0


def measure(run: Run) -> Iterator[Metric]:
    """Rates of both, and the memory of the command."""
    tasks, calls = run.count(20_000, 4000), run.count(2000, 500)
    source = _file(run.place("tasks"), tasks)
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
        many = run.count(100_000, 10_000)
        client.flushall()
        held, _ = _by_command(run.place("memory"), rig.address(run.folder), many)
    yield Metric(
        "submit.peak_memory",
        held,
        _MEMORY_MB,
        "MB",
        f"Peak resident memory of `replay submit` with {many} tasks, the interpreter included. Baseline: the bound.",
        "<= 1",
    )


def _file(folder: Path, tasks: int) -> Path:
    source = folder / "tasks.jsonl"
    with source.open("w", encoding="utf-8") as file:
        for task in corpora.audit_tasks(tasks, "batch_bench"):
            file.write(json.dumps({"custom_id": task.custom_id, "task": task.text}) + "\n")
    return source


def _ours(folder: Path, broker_url: str, source: Path, client: redis.Redis) -> float:
    client.flushall()
    settings = Settings(data_dir=folder, broker_url=broker_url)
    snapshot.write(corpora.small(), settings.corpus_dir)
    with connect(settings) as broker:
        began = time.perf_counter()
        submission = submit(intake.Lines(source), settings, source=source.name, client=broker)
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


def _by_command(folder: Path, broker_url: str, tasks: int) -> tuple[float, float]:
    """Megabytes that the command held at most, and seconds that it took, its start included."""
    settings = Settings(data_dir=folder, broker_url=broker_url)
    snapshot.write(corpora.small(), settings.corpus_dir)
    source = _file(folder, tasks)
    began = time.perf_counter()
    child = subprocess.Popen(
        [_REPLAY, "submit", str(source)],
        env=environment(folder, broker_url=broker_url, submit_max_waiting=tasks + 1000),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, "replay submit failed"
    # Kilobytes on Linux, bytes on macOS.
    return usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024), time.perf_counter() - began


def main() -> None:
    """Submit so many tasks by the command."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as place:  # noqa: S108  on a disk
        folder = Path(place)
        with rig.broker(folder):
            (folder / "data").mkdir()
            held, seconds = _by_command(folder / "data", rig.address(folder), tasks)
    print(f"{tasks:,} tasks: {held:.0f} MB at most, {seconds:.1f} s, {tasks / seconds:,.0f} tasks/s")


if __name__ == "__main__":
    main()
