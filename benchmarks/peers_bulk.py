"""The same requests to the same scripted server: a bare asyncio client, the whole system, and Curator.

The requests are those of audit tasks, no two the same; they are taken down once, as the system's client sends them. The
server counts what reaches it and how much of that is different, so that nothing is lost or doubled unseen.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import redis

from benchmarks import corpora, peers_cpu, rig
from benchmarks.registry import Run
from broker import heartbeat
from broker.connection import connect
from producer import intake
from producer.submit import submit
from replay import pipeline
from replay.contracts import ReplayTask
from replay.corpus import snapshot
from replay.corpus.retrieval import SnapshotRetriever
from replay.models.client import ModelClient
from replay.pipeline import Engine
from replay.prompting import PromptLimits
from replay.settings import Settings
from tests.factories import make_task
from tests.processes import ROOT
from tests.scripted_model import ScriptedModel

DELAY_MS, SLOTS = 200, 8
CURATOR = "BENCH_CURATOR"
_WARMING = 16  # as many as `peers_curator` takes


@dataclass
class Asked:
    """What asking all requests took.

    Attributes:
        rate: Requests a second.
        cpu_ms: CPU time for each, of all processes on the side of the client.
    """

    rate: float
    cpu_ms: float


@dataclass
class Bench:
    """One broker and the requests; a server of its own for each arm."""

    run: Run
    client: redis.Redis
    tasks: Sequence[ReplayTask] = ()
    requests: Sequence[dict[str, Any]] = ()
    _number: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.tasks = _tasks(self.run.count(2000, 80) + _WARMING)
        self.requests = _requests(self.run.place("requests"), self.tasks)

    @property
    def timed(self) -> int:
        """Requests after those for warming up."""
        return len(self.requests) - _WARMING

    def bare(self) -> Asked:
        """Nothing between the requests and the server."""
        with self._server() as url:
            return asyncio.run(self._ask_all(url))

    async def _ask_all(self, url: str) -> Asked:
        turns = asyncio.Semaphore(SLOTS)
        async with httpx.AsyncClient(timeout=rig.LIMIT_S, trust_env=False) as http:

            async def ask(body: dict[str, Any]) -> None:
                async with turns:
                    reply = await http.post(f"{url}/chat/completions", json=body)
                assert reply.raise_for_status().json()["choices"]

            await asyncio.gather(*map(ask, self.requests[:_WARMING]))
            began, used = time.perf_counter(), time.process_time()
            await asyncio.gather(*map(ask, self.requests[_WARMING:]))
            seconds, cpu_s = time.perf_counter() - began, time.process_time() - used
        return Asked(self.timed / seconds, 1000 * cpu_s / self.timed)

    def ours(self) -> Asked:
        """From `submit` to the last record in the log."""
        self.client.flushall()
        folder = self.run.place(f"bulk-{next(self._number)}")
        address = rig.address(self.run.folder)
        with self._server() as url:
            system = rig.System(folder, corpora.small(), broker_url=address, base_url=url, local_model="scripted")
            warming, timed = _file(folder / "warming.jsonl", self.tasks[:_WARMING]), folder / "timed.jsonl"
            _file(timed, self.tasks[_WARMING:])
            with connect(system.settings) as broker, system.working(self.client, {"local": None}):
                submit(intake.Lines(warming), system.settings, source=warming.name, client=broker)
                system.wait_for_ends(_WARMING)
                pids = [beat.pid for beat in heartbeat.alive(self.client)]
                pids.append(int(str(self.client.info("server")["process_id"])))
                used, own, began = peers_cpu.used(pids), time.process_time(), time.time()
                submit(intake.Lines(timed), system.settings, source=timed.name, client=broker)
                # What this process uses while it waits is the benchmark's.
                own = time.process_time() - own
                seconds = system.wait_for_ends(len(self.tasks)) - began
                cpu_s = peers_cpu.used(pids) - used + own
            runs = system.runs()
        assert len({run["run_id"] for run in runs}) == len(runs) == len(self.tasks)
        assert all(run["state"] != "failed" for run in runs), [run["reason"] for run in runs if run["reason"]][:1]
        return Asked(self.timed / seconds, 1000 * cpu_s / self.timed)

    def curator(self, python: str) -> Asked:
        """Bespoke Labs' Curator, in the environment of this interpreter."""
        folder = self.run.place(f"curator-{next(self._number)}")
        requests = folder / "requests.jsonl"
        requests.write_text("".join(json.dumps(body) + "\n" for body in self.requests), encoding="utf-8")
        with self._server(beside=2) as url:
            done = subprocess.run(
                [python, "benchmarks/peers_curator.py", str(requests), url, str(SLOTS), str(folder)],
                env=os.environ | {"HOME": str(folder), "NO_PROXY": "127.0.0.1"},
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr[-2000:]
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["answered"] == self.timed
        return Asked(self.timed / told["seconds"], 1000 * told["cpu_s"] / self.timed)

    @contextmanager
    def _server(self, beside: int = 0) -> Iterator[str]:
        """A server that has counted each request once when the block ends, and at most so many of the client's own."""
        with rig.scripted_model(self.run.place(f"server-{next(self._number)}"), delay_ms=DELAY_MS, slots=SLOTS) as url:
            yield url
            stats = httpx.get(url.replace("/v1", "/stats"), trust_env=False).json()
        assert stats["count"] == stats["distinct"], stats  # none twice
        assert 0 <= stats["count"] - len(self.requests) <= beside, stats


def _tasks(wanted: int) -> list[ReplayTask]:
    """Audit tasks, each in words of its own."""
    options = {"allow_escalation": False}
    return [
        make_task(
            f"{task.text} (As of build {number}.)", custom_id=task.custom_id, checklist=task.checklist, options=options
        )
        for number, task in enumerate(corpora.audit_tasks(wanted, "batch_peers"))
    ]


def _requests(folder: Path, tasks: Sequence[ReplayTask]) -> list[dict[str, Any]]:
    """What the system will send: its pipeline runs once against a server that answers at once."""
    taken: list[dict[str, Any]] = []
    with ScriptedModel() as server:
        settings = Settings(data_dir=folder, base_url=server.base_url, local_model="scripted")
        retriever = SnapshotRetriever(snapshot.write(corpora.small(), settings.corpus_dir), settings)
        client = ModelClient(settings)
        engine = Engine(retriever, client, PromptLimits(exemplars=settings.exemplars_shown))
        for task in tasks:
            pipeline.audit_local(task, engine)
            taken.extend(server.requests)
            server.requests.clear()
        client.close()
    assert len(taken) == len(tasks)
    return taken


def _file(path: Path, tasks: Sequence[ReplayTask]) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for task in tasks:
            line = {"custom_id": task.custom_id, "task": task.text, "checklist": task.checklist}
            file.write(json.dumps(line | {"options": {"allow_escalation": False}}) + "\n")
    return path
