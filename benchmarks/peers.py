"""Peers: bulk clients for models at the same server, and task queues on the same broker, each beside ours in one run.

Curator is measured where `BENCH_CURATOR` names the interpreter of an environment that has it (`docs/peers.md`).
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator

from benchmarks import corpora, peers_bulk, peers_queue, rig
from benchmarks.peers_bulk import CURATOR, DELAY_MS, SLOTS, Asked
from benchmarks.peers_crash import PROCESSES
from benchmarks.registry import Metric, Run, alternate


def measure(run: Run) -> Iterator[Metric]:
    """The requests, then the queues."""
    with rig.broker(run.folder) as client:
        bulk = peers_bulk.Bench(run, client)
        bare, ours = bulk.bare(), bulk.ours()
        server = f"a scripted model server that takes {DELAY_MS} ms for each and {SLOTS} at once"
        baseline = (
            f"Baseline: the same requests from a bare asyncio httpx client, {SLOTS} at once. The server counted each "
            "request once, and none twice. CPU time of the client's side for a request, ms: "
        )
        yield Metric(
            "peers.bulk.ours",
            ours.rate,
            bare.rate,
            "requests/s",
            f"{bulk.timed} audit tasks from `submit` to the last record in the log, through {server}; as many tasks at "
            f"once as the worker chooses. Corpus: {corpora.SMALL}. {baseline}{_costs(ours, bare)}; the broker and the "
            "writer are counted as ours.",
        )
        if python := os.environ.get(CURATOR):
            curator = bulk.curator(python)
            yield Metric(
                "peers.bulk.curator",
                curator.rate,
                bare.rate,
                "requests/s",
                f"{bulk.timed} requests through bespokelabs-curator to {server}, {SLOTS} at once, from the call to its "
                f"dataset. {baseline}{_costs(curator, bare)}.",
            )
        else:
            print(f"peers.bulk.curator: left out, {CURATOR} names no interpreter that has it (docs/peers.md)")

        queue = peers_queue.Bench(run, client)
        arms = queue.arms()
        rates = dict(zip(arms, alternate(run.count(2, 1), *arms.values()), strict=True))
    cpu_ms = {name: statistics.median(taken) for name, taken in queue.cpu_ms.items()}
    for name, one in peers_queue.PEERS.items():
        yield Metric(
            f"peers.queue.vs_{name}",
            rates["ours"],
            rates[name],
            "tasks/s",
            f"{queue.tasks} tasks that generate nothing, from the first record to the last in the log, {PROCESSES} "
            "processes and the writer: claim, count of starts, commit, durable evidence. Baseline: "
            f"{round(queue.tasks * one.tasks)} no-op tasks of {one.title}, {PROCESSES} processes, the same broker; "
            "what is left of them is a line in a file. CPU time of the workers for a task, ms: "
            f"{cpu_ms['ours']:.2f}, baseline {cpu_ms[name]:.2f}." + _twice(queue.doubled[name]),
        )


def _costs(one: Asked, bare: Asked) -> str:
    return f"{one.cpu_ms:.1f}, baseline {bare.cpu_ms:.1f}"


def _twice(ends: int) -> str:
    return f" {ends} of the baseline's tasks ended twice, with nothing killed." if ends else ""
