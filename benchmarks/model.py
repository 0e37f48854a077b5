"""Is the model server kept busy? The same requests through the whole system and from a bare asyncio client.

The requests are those of the audit tasks: they are taken down once, as the client of the system sends them, and the
bare client sends the same bytes, in the same order and with as many at once. Each round has a server of its own, so
no arm finds a prompt in the cache that the other had to compute. Requests for warming up, of other tasks, go first and
are not timed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import httpx
import redis

from benchmarks import corpora, rig
from benchmarks.registry import Metric, Run, alternate
from broker import envelope
from replay import pipeline
from replay.contracts import Record, ReplayTask, Tier
from replay.corpus import snapshot
from replay.corpus.retrieval import SnapshotRetriever
from replay.models.catalogue import find
from replay.models.client import ModelClient
from replay.models.files import is_ready
from replay.pipeline import Engine
from replay.prompting import PromptLimits
from replay.settings import EMBEDDED_LOCAL, Settings
from replay.topology import Queue, TaskName
from tests.scripted_model import ScriptedModel

BATCH = "batch_bench"
DELAY_MS, SCRIPTED_SLOTS = 200, 4
SHORT: dict[str, Any] = {"exemplars_shown": 0, "lines_shown": 4, "max_tokens": 64}
"""Short requests: many of them fit into the time, and what lies between two of them weighs more, not less."""


@dataclass(frozen=True)
class Load:
    """What is asked: warm-up first. `requests` are the bodies, task by task."""

    records: Sequence[Record]
    warming: Sequence[ReplayTask]
    tasks: Sequence[ReplayTask]
    requests: Sequence[dict[str, Any]]
    concurrency: int


def measure(run: Run) -> Iterator[Metric]:
    """A server of chosen speed, then the real small one."""
    numbers = count()
    with rig.broker(run.folder) as client:
        load = _load(run, corpora.small(), "scripted", run.count(120, 40), SCRIPTED_SLOTS)

        def scripted() -> AbstractContextManager[str]:
            return rig.scripted_model(run.place(f"server-{next(numbers)}"), delay_ms=DELAY_MS, slots=SCRIPTED_SLOTS)

        bench = _Bench(run, client, load, "scripted")
        ours, narrow, bare = alternate(
            run.count(3, 1),
            partial(bench.ours, scripted),
            partial(bench.ours, scripted, SCRIPTED_SLOTS),
            partial(bench.bare, scripted),
        )
        yield Metric(
            "model.utilisation_no_spare",
            narrow,
            bare,
            "tokens/s",
            f"As model.utilisation_scripted, with as many tasks at once as the server has slots ({SCRIPTED_SLOTS}).",
        )
        yield Metric(
            "model.utilisation_scripted",
            ours,
            bare,
            "tokens/s",
            f"{len(load.tasks)} requests through the whole system (corpus: {corpora.SMALL}) to a scripted server that "
            f"takes {DELAY_MS} ms for each and {SCRIPTED_SLOTS} at once. Baseline: the same requests from a bare "
            f"asyncio client, {SCRIPTED_SLOTS} at once; ours with the concurrency that the worker chooses by itself.",
            ">= 0.97",
        )
        settings = Settings()
        if not is_ready(find(EMBEDDED_LOCAL), settings.cache_dir):
            print("model.utilisation: left out, the model file is missing (replay models pull)")
            return
        slots = settings.local_slots
        load = _load(run, corpora.full(), EMBEDDED_LOCAL, run.count(12, 2), slots)

        def real() -> AbstractContextManager[str]:
            return rig.embedded_model(run.place(f"server-{next(numbers)}"), EMBEDDED_LOCAL, slots=slots)

        bench = _Bench(run, client, load, EMBEDDED_LOCAL)
        ours, bare = alternate(run.count(2, 1), partial(bench.ours, real), partial(bench.bare, real))
        yield Metric(
            "model.utilisation",
            ours,
            bare,
            "tokens/s",
            f"{len(load.tasks)} audit tasks, with prompts shorter than by default ({SHORT}), through the whole system "
            f"(corpus: {corpora.FULL}) to {EMBEDDED_LOCAL}, with the concurrency that the worker chooses by itself; "
            "prompt tokens that were not cached and written tokens, from the first message on the queue to the last "
            "record on the disk. Baseline: the same requests from a bare asyncio client, "
            f"{slots} at once, from the first request to the last reply. A fresh server for each round.",
            ">= 0.97",
        )


class _Bench:
    def __init__(self, run: Run, client: redis.Redis, load: Load, model: str) -> None:
        self._run = run
        self._client = client
        self._load = load
        self._model = model
        self._number = count()

    def ours(self, serve: Any, concurrency: int | None = None) -> float:
        """Tokens a second through the system, with the worker's own concurrency or a given one."""
        self._client.flushall()
        load = self._load
        with serve() as url:
            system = rig.System(
                self._run.place(f"system-{self._model}-{next(self._number)}"),
                load.records,
                broker_url=rig.address(self._run.folder),
                base_url=url,
                local_model=self._model,
                **SHORT,
            )
            with system.working(self._client, {"local": concurrency}):
                self._publish(load.warming)
                system.wait_for_ends(len(load.warming))
                began = time.time()
                self._publish(load.tasks)
                seconds = system.wait_for_ends(len(load.warming) + len(load.tasks)) - began
        runs = system.runs()
        assert all(run["state"] != "failed" for run in runs), [run["reason"] for run in runs]
        timed = {task.run_id for task in load.tasks}
        return sum(_tokens(run["attempt"]["generation"]["usage"]) for run in runs if run["run_id"] in timed) / seconds

    def bare(self, serve: Any) -> float:
        """Tokens a second with nothing between the requests and the server."""
        with serve() as url:
            return asyncio.run(self._ask_all(url))

    async def _ask_all(self, url: str) -> float:
        load = self._load
        turns = asyncio.Semaphore(load.concurrency)
        async with httpx.AsyncClient(timeout=rig.LIMIT_S, trust_env=False) as http:

            async def ask(body: dict[str, Any]) -> float:
                async with turns:
                    reply = await http.post(f"{url}/chat/completions", json=body)
                usage = reply.raise_for_status().json()["usage"]
                cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
                return _tokens({**usage, "cached_tokens": cached})

            await asyncio.gather(*map(ask, load.requests[: len(load.warming)]))
            began = time.perf_counter()
            tokens = await asyncio.gather(*map(ask, load.requests[len(load.warming) :]))
            return sum(tokens) / (time.perf_counter() - began)

    def _publish(self, tasks: Sequence[ReplayTask]) -> None:
        entries = ((TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in tasks)
        envelope.publish(self._client, Queue.LOCAL, entries)


def _load(run: Run, records: Sequence[Record], model: str, tasks: int, concurrency: int) -> Load:
    """Take down what the system will send: the pipeline itself runs once against a server that only listens."""
    # Warming up asks from memory: it opens connections and learns what the server can do, and leaves little behind.
    warming = list(corpora.audit_tasks(2 * concurrency, "batch_warm", allow_escalation=False, retrieval=False))
    timed = list(corpora.audit_tasks(tasks, BATCH, allow_escalation=False))
    with ScriptedModel() as server:
        settings = Settings(data_dir=run.place(f"load-{model}"), base_url=server.base_url, local_model=model, **SHORT)
        retriever = SnapshotRetriever(snapshot.write(records, settings.corpus_dir), settings)
        client = ModelClient(settings)
        engine = Engine(retriever, client, PromptLimits(exemplars=settings.exemplars_shown))
        for task in (*warming, *timed):
            pipeline.audit_local(task, engine)
        client.close()
        requests = list(server.requests)
    assert len(requests) == len(warming) + len(timed)
    return Load(records, warming, timed, requests, concurrency)


def _tokens(usage: dict[str, Any]) -> float:
    return float(usage["prompt_tokens"] - (usage["cached_tokens"] or 0) + usage["completion_tokens"])
