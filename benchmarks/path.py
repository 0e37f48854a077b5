"""The whole path without a model's time, against plain Celery that sends as many messages.

Our path of one task: a message on the local queue, retrieval, prompt, an HTTP request to a scripted server, gate,
evidence onto the stream, and, where the gate rejects, a second message for the other lane and the same there; the
writer makes the records durable. Everything waits on the queues before the workers start. The clock runs from the
first record (when it was made) to the last one (when it lies in the log). Plain Celery: a chain of as many messages for
each task, over as many worker processes; the clock runs from the first end of a chain to the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import redis

from benchmarks import corpora, rig, stock
from benchmarks.registry import Metric, Run, alternate
from broker import envelope
from replay.contracts import Record, Tier
from replay.topology import Queue, TaskName

LANES = {"local": 2, "escalation": 1}
BATCH = "batch_bench"


class Bench:
    """One broker, one scripted server, and rounds of either kind on them."""

    def __init__(self, run: Run, client: redis.Redis, model_url: str) -> None:
        self._run = run
        self._client = client
        self._model_url = model_url
        self._number = count()
        self._url = rig.address(run.folder)
        self.tasks = run.count(1000, 120)
        self._longs = 0

    def ours(self, records: Sequence[Record], tasks: int) -> float:
        """Tasks a second through our system."""
        self._client.flushall()
        system = rig.System(
            self._folder(),
            records,
            broker_url=self._url,
            base_url=self._model_url,
            local_model="scripted",
            escalation_model="scripted",
        )
        asked = corpora.audit_tasks(tasks, BATCH)
        entries = ((TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in asked)
        envelope.publish(self._client, Queue.LOCAL, entries)
        with system.working(self._client, LANES):
            ended_at = system.wait_for_ends(tasks)
        runs = system.runs()
        assert all(run["state"] != "failed" for run in runs), [run["reason"] for run in runs if run["reason"]][:1]
        self._longs = len(runs) - tasks
        began_at = min(datetime.fromisoformat(run["recorded_at"]).timestamp() for run in runs)
        return tasks / (ended_at - began_at)

    def longs(self, records: Sequence[Record], tasks: int) -> int:
        """How many of so many tasks take a second message."""
        self.ours(records, tasks)
        return self._longs

    def celery(self, task: str, payload: dict[str, Any], longs: int) -> float:
        """Chains a second through plain Celery, as many messages for each task as our path sends."""
        self._client.flushall()
        plain = rig.Stock(self._folder(), self._url, self._model_url)
        # Evenly mixed, as ours are.
        for number in range(self.tasks):
            is_long = (number + 1) * longs // self.tasks > number * longs // self.tasks
            stock.enqueue(plain.app, task, payload, 2 if is_long else 1)
        with plain.working({stock.LOCAL: LANES["local"], stock.ESCALATION: LANES["escalation"]}):
            ends = plain.wait_for_ends(self.tasks)
        plain.app.close()
        return self.tasks / (ends[-1] - ends[0])

    def _folder(self) -> Path:
        return self._run.place(f"round-{next(self._number)}")


def measure(run: Run) -> Iterator[Metric]:
    """Small corpus, full corpus, and the two baselines."""
    small, full = corpora.small(), corpora.full()
    task = next(corpora.audit_tasks(1, BATCH)).wire()
    request = {"model": "scripted", "messages": [{"role": "user", "content": "x" * 4000}]}
    with rig.broker(run.folder) as client, rig.scripted_model(run.place("model")) as url:
        bench = Bench(run, client, url)
        claims = len(corpora.audit_lines())  # asked over and over: the share that escalates is theirs
        longs = bench.longs(small, claims) * bench.tasks // claims
        longs_full = bench.longs(full, claims) * bench.tasks // claims
        ours, bare, asking, ours_full, bare_full = alternate(
            run.count(3, 1),
            partial(bench.ours, small, bench.tasks),
            partial(bench.celery, "noop", task, longs),
            partial(bench.celery, "ask", request, longs),
            partial(bench.ours, full, bench.tasks // 4),
            partial(bench.celery, "noop", task, longs_full),
        )
    how = (
        "audit tasks from first to last evidence record, scripted model server without delay (its CPU time counts), "
        f"{LANES['local']} local and {LANES['escalation']} escalation processes and the writer"
    )
    with_small = f"Corpus: {corpora.SMALL}. {bench.tasks} {how}; {1 + longs / bench.tasks:.2f} Celery messages a task. "
    plain = "Baseline: plain Celery (kombu's transport, prefork, acks_late) over as many processes, "
    noops = "chains of as many no-op messages."
    reach = ">= 0.8 of the chain"
    yield Metric("path.ratio_vs_celery_chain", ours, bare, "tasks/s", f"{with_small}{plain}{noops}", reach)
    yield Metric(
        "path.ratio_vs_celery_http",
        ours,
        asking,
        "tasks/s",
        f"{with_small}{plain}the same chains with one HTTP request to the same server in each message.",
    )
    yield Metric(
        "path.full_corpus_ratio",
        ours_full,
        bare_full,
        "tasks/s",
        f"Corpus: {corpora.FULL}. {bench.tasks // 4} {how}; {1 + longs_full / bench.tasks:.2f} Celery messages a task. "
        f"{plain}{noops}",
    )
