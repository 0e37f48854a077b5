"""No-op tasks through the queues of Celery, Dramatiq, RQ, taskiq and SAQ, and ours, on one Valkey with two processes.

Each peer acknowledges what is done and not what was taken, as in `peers_crash`, and has as many tasks at once in a
process as by default. Ours are tasks of a cancelled batch: they go the whole way of a task but for the attempt itself
(claim, count of starts, commit, evidence on the stream, record on the disk), by the real workers and the real writer.
The clock runs from the first end to the last; a peer's end is one write to a file, ours a record in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path

import redis

from benchmarks import corpora, peers_cpu, rig
from benchmarks.peers_crash import PROCESSES, SAQ, TASKIQ, peer
from benchmarks.registry import Run
from broker import cancelled, heartbeat
from broker.envelope import publish
from replay.contracts import Tier
from replay.topology import Queue, TaskName
from tests.processes import running, wait_for

BATCH = "batch_peers"
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING")


@dataclass(frozen=True)
class Peer:
    """A queue that is measured.

    Attributes:
        title: Its name for people, with what it was told besides its defaults.
        command: Its workers, behind the interpreter; `{url}` is the broker's.
        tasks: How many of the full number: so that a fast one runs for seconds and a slow one not for minutes.
    """

    title: str
    command: Sequence[str]
    tasks: float = 1.0


PEERS: Mapping[str, Peer] = {
    "celery": Peer(
        "Celery (prefork, acks_late, prefetch 1)",
        ("-m", "celery", "-A", "benchmarks.peers_tasks", "worker", *_QUIET, "--concurrency", str(PROCESSES)),
    ),
    "dramatiq": Peer(
        "Dramatiq (8 threads a process)", ("-m", "dramatiq", "benchmarks.peers_tasks", "--processes", str(PROCESSES)), 2
    ),
    "rq": Peer(
        "RQ (a fork for each job)", ("-m", "rq.cli", "worker-pool", "-n", str(PROCESSES), "-u", "{url}", "-q"), 0.1
    ),
    "taskiq": Peer("taskiq (stream, 100 at once a process)", (*TASKIQ, "--workers", str(PROCESSES)), 2),
    "saq": Peer("SAQ (10 at once a process)", (*SAQ, "--workers", str(PROCESSES)), 2),
}


class Bench:
    """One broker, and rounds of either kind on it.

    Attributes:
        cpu_ms: CPU time of the workers for a task, in each round, by name.
        doubled: Ends beyond one for a task, in all rounds, by name.
    """

    def __init__(self, run: Run, client: redis.Redis) -> None:
        self._run = run
        self._client = client
        self._number = count()
        self.tasks = run.count(3000, 200)
        self.cpu_ms: dict[str, list[float]] = {}
        self.doubled: dict[str, int] = {}

    def ours(self) -> float:
        """Tasks a second through our queue into the evidence log."""
        self._client.flushall()
        system = rig.System(
            self._folder(),
            corpora.small(),
            broker_url=rig.address(self._run.folder),
            # Never asked: nothing is generated.
            base_url="http://127.0.0.1:9/v1",
            local_model="scripted",
        )
        cancelled.cancel(self._client, BATCH)
        asked = corpora.audit_tasks(self.tasks, BATCH)
        entries = [(TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in asked]
        with system.working(self._client, {"local": PROCESSES}):
            pids = [beat.pid for beat in heartbeat.alive(self._client)]
            used = peers_cpu.used(pids)
            publish(self._client, Queue.LOCAL, entries)
            ended = system.wait_for_ends(self.tasks)
            self._keep("ours", peers_cpu.used(pids) - used, self.tasks)
        runs = system.runs()
        assert len({run["run_id"] for run in runs}) == len(runs) == self.tasks
        began = min(datetime.fromisoformat(run["recorded_at"]).timestamp() for run in runs)
        return (self.tasks - 1) / (ended - began)

    def peer(self, name: str) -> float:
        """Tasks a second through one of the others."""
        self._client.flushall()
        folder, tasks = self._folder(), round(self.tasks * PEERS[name].tasks)
        url = rig.address(self._run.folder)
        command = [part.format(url=url) for part in PEERS[name].command]
        system = peer(self._run.folder, command, f"enqueue_{name}", PEER_TASK_S="0", PEER_NOTES=str(folder / "notes"))
        system.enqueue(tasks)
        notes = folder / "notes"
        with running(*system.worker, folder / "worker.log") as process:
            wait_for(lambda: _lines(notes), f"{name} to begin: {process.log}", timeout_s=60)
            used, before = peers_cpu.used([process.pid]), _lines(notes)
            wait_for(lambda: _lines(notes) >= tasks, f"{name} to end {tasks} tasks", timeout_s=rig.LIMIT_S)
            self._keep(name, peers_cpu.used([process.pid]) - used, tasks - before)
            wait_for(lambda: len(_ended(notes)) >= tasks, f"{name} to end all of {tasks} tasks", timeout_s=rig.LIMIT_S)
        self.doubled[name] = self.doubled.get(name, 0) + _lines(notes) - tasks
        times = _ended(notes).values()
        return (tasks - 1) / (max(times) - min(times))

    def arms(self) -> dict[str, Callable[[], float]]:
        """What is measured in turns, by name; ours first."""
        return {"ours": self.ours} | {name: partial(self.peer, name) for name in PEERS}

    def _keep(self, name: str, cpu_s: float, tasks: int) -> None:
        self.cpu_ms.setdefault(name, []).append(1000 * cpu_s / max(1, tasks))

    def _folder(self) -> Path:
        return self._run.place(f"queue-{next(self._number)}")


def _ended(notes: Path) -> dict[str, float]:
    """Each task and when it ended first."""
    ends: dict[str, float] = {}
    for line in notes.read_text(encoding="ascii").splitlines():
        task, at = line.split()
        ends.setdefault(task, float(at))
    return ends


def _lines(notes: Path) -> int:
    return notes.read_bytes().count(b"\n") if notes.exists() else 0
