"""From one local worker to eight, where the time is the model's: how much of eightfold do eight give?

Each worker is a process of its own with one task at a time, as it would be on a host of its own; the scripted server
takes the same time for every reply and as many at once as come. The clock runs from the begin of the first generation
to the last end, by the times in the evidence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from itertools import count

import redis

from benchmarks import corpora, rig
from benchmarks.registry import Metric, Run, alternate
from broker import envelope
from replay.contracts import Tier
from replay.topology import Queue, TaskName

DELAY_MS = 500
MANY = 8
BATCH = "batch_scale"


class Bench:
    """One broker, one scripted server, and rounds of so many workers on them."""

    def __init__(self, run: Run, client: redis.Redis, model_url: str) -> None:
        self._run = run
        self._client = client
        self._model_url = model_url
        self._records = corpora.small()
        self._number = count()

    def rate(self, workers: int) -> float:
        """Tasks a second."""
        self._client.flushall()
        tasks = workers * self._run.count(40, 10)
        system = rig.System(
            self._run.place(f"scale-{next(self._number)}"),
            self._records,
            broker_url=rig.address(self._run.folder),
            base_url=self._model_url,
            local_model="scripted",
            escalation_model="scripted",
        )
        # Each asks the model, although the claims come round again.
        options = {"allow_escalation": False, "reuse": False}
        asked = (task.wire() for task in corpora.audit_tasks(tasks, BATCH))
        payloads = (task | {"options": task["options"] | options} for task in asked)
        entries = ((TaskName.AUDIT_LOCAL, f"{task['run_id']}:{Tier.LOCAL}", task) for task in payloads)
        with ExitStack() as owned:
            owned.enter_context(system.working(self._client, {}))
            for _ in range(workers):
                owned.enter_context(system.working(self._client, {"local": 1}, writer=False))
            # All of them wait at the queue by now, so that none begins late.
            envelope.publish(self._client, Queue.LOCAL, entries)
            system.wait_for_ends(tasks)
        lines = [json.loads(line) for line in system.settings.evidence_log.read_bytes().splitlines()]
        ends = sorted(datetime.fromisoformat(one["recorded_at"]).timestamp() for one in lines if one.get("attempt"))
        assert len(ends) == tasks
        return tasks / (ends[-1] - ends[0] + DELAY_MS / 1000)


def measure(run: Run) -> Iterator[Metric]:
    """One worker and eight, in turns."""
    with rig.broker(run.folder) as client, rig.scripted_model(run.place("model"), delay_ms=DELAY_MS) as url:
        bench = Bench(run, client, url)
        one, many = alternate(run.count(3, 1), partial(bench.rate, 1), partial(bench.rate, MANY))
    yield Metric(
        "scale.8_workers_efficiency",
        many,
        MANY * one,
        "tasks/s",
        f"{MANY} local workers of one task each. Baseline: {MANY} times the rate of one. Scripted model server, "
        f"{DELAY_MS} ms a reply, as many at once as come; one writer; all on this machine. Corpus: {corpora.SMALL}.",
        ">= 0.9 of linear",
    )
