"""The system of one run: broker, model, link, workers, writers, scheduler and producer, all of them real processes."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from broker.connection import socket_path
from chaos import clock
from chaos.clock import Clock
from chaos.journal import Journal
from chaos.link import Link
from chaos.options import CHILDREN, Options
from chaos.processes import REPLAY, ROOT, Member
from chaos.producer import Producer
from evidence.reader import EvidenceReader
from producer import manifest
from producer.manifest import Batch
from replay.corpus import snapshot
from replay.models.embedded import wait_ready
from replay.settings import Settings
from tests.factories import make_bundle
from tests.processes import environment, free_port, running

CLAIM = "Verify that the visibility timeout of kombu's Redis channel is 1 hour."
TICK_S = 0.01

Found = TypeVar("Found")
Ran = subprocess.CompletedProcess[str]


class Stalled(Exception):
    """What was waited for did not come in time."""


class World:
    """The processes of a run, alive for the length of the block. One thread drives all of it: `tick`.

    Args:
        options: What is to be there.
        folder: An empty one; the system's data directory is below it.
        journal: Told of what happens.

    Attributes:
        observers: Called at each tick.
    """

    def __init__(self, options: Options, folder: Path, journal: Journal) -> None:
        chosen = dict(options.settings())
        model_port, self._broker_port, link_port = free_port(), free_port(), free_port()
        chosen |= {
            "base_url": f"http://127.0.0.1:{model_port}/v1",
            "local_model": "scripted",
            "escalation_model": "scripted",
        }
        self.options = options
        self.folder = folder
        self.journal = journal
        self.data_dir = folder / "data"
        self.settings = Settings(data_dir=self.data_dir, **chosen)  # type: ignore[arg-type]  # names and values as given
        self.env = environment(self.data_dir, **chosen)
        self.link = Link(link_port, self._broker_port)
        self.reader = EvidenceReader(self.settings.evidence_log)
        self.observers: list[Callable[[], object]] = []
        self._is_open = False
        self._owned = ExitStack()
        self._agenda: list[tuple[float, Callable[[], None]]] = []
        moods = ["--seed", str(options.seed), "--slow", f"{options.slow:.3f}"]
        self._model = [sys.executable, "-m", "chaos.model", "--port", str(model_port), *moods]
        self.files = self._write_tasks()
        self.has_scheduler = options.reconciles and "scheduler" in self.run("worker", "--help").stdout

        rng = random.Random(f"{options.seed}:pauses")  # noqa: S311  dice, no secret
        linked = self.env | {"REPLAY_BROKER_URL": f"redis://127.0.0.1:{link_port}/0"}

        jumping = clock.library() if any(kind.startswith("clock-") for kind in options.drawn) else None

        def member(name: str, role: str, *words: str, through_link: bool = False) -> Member:
            env = linked if through_link else self.env
            # Never the broker's: the leases are by its clock, and its word on the time is the system's.
            own = Clock(folder / f"{name}.clock") if jumping is not None and role != "broker" else None
            if own is not None and jumping is not None:
                env = {**env, **own.environment(jumping)}
            command = [*REPLAY, *words]
            return Member(name, role, command=command, env=env, folder=folder, journal=journal, rng=rng, clock=own)

        self.broker = member("broker", "broker", "broker", "serve")
        last = options.local - 1
        self.members = [
            *(
                member(f"local-{n}", "local", "worker", "local", "-c", str(CHILDREN), through_link=n == last)
                for n in range(options.local)
            ),
            *(member(f"escalation-{n}", "escalation", "worker", "escalation") for n in range(options.escalation)),
            *(member(f"writer-{n}", "writer", "worker", "writer") for n in range(options.writers)),
            *([member("scheduler", "scheduler", "worker", "scheduler")] if self.has_scheduler else []),
        ]
        self.producer = Producer(self.env, folder, self.settings.batches_dir, journal, rng)
        self.client = self._new_client()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            model = starting.enter_context(running(self._model, self.env, self.folder / "model.log"))
            wait_ready(self.settings.base_url or "", 30, lambda: model.exit_code is None)
            starting.enter_context(self.link)
            for member in (self.broker, *self.members):
                starting.callback(member.kill)
            starting.callback(self.producer.kill)
            self._start_broker()
            self._owned = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()
        self.client.close()

    def tick(self) -> None:
        """Start what is due and do what was put off until now."""
        if self.broker.tick():
            self._is_open = False
        self._open()
        for member in self.members:
            member.tick()
        self.producer.tick()
        now = time.monotonic()
        due = [action for at, action in self._agenda if at <= now]
        self._agenda = [(at, action) for at, action in self._agenda if at > now]
        for action in (*due, *self.observers):
            action()

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        self._agenda.append((time.monotonic() + delay_s, action))

    def running(self, role: str) -> set[int]:
        """Process ids of the members of a role that live and are not frozen."""
        return {member.pid for member in self.members if member.role == role and member.is_running and member.pid}

    @property
    def is_calm(self) -> bool:
        """Nothing is put off, so no fault goes on."""
        return not self._agenda

    def wait(self, condition: Callable[[], Found], what: str, *, poll_s: float = 0.25) -> Found:
        """Let the system run until the condition gives something true.

        Raises:
            Stalled: Nothing moved for `stall_s`: no run ended meanwhile.
        """
        ended, moved_at = self.ended(), time.monotonic()
        while not (found := condition()):
            until = time.monotonic() + poll_s
            while time.monotonic() < until:
                self.tick()
                time.sleep(TICK_S)
            if (count := self.ended()) != ended:
                ended, moved_at = count, time.monotonic()
            if time.monotonic() - moved_at > self.options.stall_s:
                raise Stalled(f"waited for {what}; no run has ended for {self.options.stall_s:.0f} s, {ended} have")
        return found

    def batches(self) -> list[Batch]:
        """What was accepted."""
        known = manifest.known(self.settings.batches_dir)
        return [manifest.load(self.settings.batches_dir, batch_id) for batch_id in known]

    def ended(self) -> int:
        """How many runs have ended, by the evidence."""
        known = manifest.known(self.settings.batches_dir)
        return sum(len(self.reader.terminal_ids(batch_id)) for batch_id in known)

    def run(self, *words: str) -> Ran:
        """Type a command and wait for its end."""
        return subprocess.run(  # noqa: S603  our own command
            [*REPLAY, *words], env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
        )

    def stop(self) -> dict[str, int | None]:
        """End all members cleanly, the writers last, and the broker after them; their exit codes."""
        order = ["scheduler", "local", "escalation", "writer"]
        codes = {
            member.name: member.stop(60) for member in sorted(self.members, key=lambda each: order.index(each.role))
        }
        return codes | {"broker": self.broker.stop(30)}

    def _write_tasks(self) -> Sequence[Path]:
        snapshot.write([hit.record for hit in make_bundle().passages], self.settings.corpus_dir)
        size = -(-self.options.tasks // self.options.parts)
        lines = [json.dumps({"custom_id": f"task-{number}", "task": CLAIM}) for number in range(self.options.tasks)]
        files: list[Path] = []
        for start in range(0, len(lines), size):
            files.append(self.folder / f"tasks-{len(files)}.jsonl")
            files[-1].write_text("\n".join(lines[start : start + size]) + "\n", encoding="utf-8")
        return files

    def _start_broker(self) -> None:
        """The others need it at their start: a worker that finds none ends."""
        until = time.monotonic() + 60
        while not self._is_open:
            if time.monotonic() > until:
                raise Stalled("the broker did not answer within a minute")
            if self.broker.tick():
                self._is_open = False
            self._open()
            time.sleep(TICK_S)

    def _open(self) -> None:
        """Let a new embedded server listen on loopback too, which the product's own does not, once it answers."""
        if self._is_open:
            return
        with contextlib.suppress(redis.RedisError):
            self.client.config_set("bind", "127.0.0.1", "port", self._broker_port)
            self._is_open = True

    def _new_client(self) -> redis.Redis:
        # Nothing here may wait: a tick that is late makes every fault late.
        path = str(socket_path(self.settings))
        return redis.Redis(unix_socket_path=path, socket_timeout=2, retry=Retry(NoBackoff(), 0), protocol=2)
