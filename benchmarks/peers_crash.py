"""Kill -9 of the workers of several queues, the same number of tasks and kills: `python -m benchmarks.peers_crash`.

Each system works off the same tasks with two processes. Its whole process group is killed at random moments and started
again at once. After the last kill it has `--patience` seconds; then is counted which tasks never ended, which ended
twice, and how long after the last kill the last one ended. Each system has the settings with which its documentation
says that nothing is lost, and otherwise its own defaults; `celery-acks-late-60s` has our visibility timeout and sweeps,
`taskiq-60s` takes over as early.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import psutil
import redis

from benchmarks import rig
from broker.connection import celery_url
from broker.envelope import publish
from replay.contracts import TERMINAL, Tier
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.factories import make_bundle, make_task
from tests.processes import ROOT, Process, environment, running, worker_command, writer_command

PROCESSES = 2
TASK_S = 0.2
_POLL_S = 0.2
TASKIQ = ("-m", "taskiq", "worker", "benchmarks.peers_tasks:taskiq_broker", "--log-level", "WARNING")
SAQ = ("-m", "saq", "benchmarks.peers_tasks.saq_settings")

Ends = Callable[[], list[tuple[str, float]]]


@dataclass(frozen=True)
class Counted:
    """What became of the tasks of one system.

    Attributes:
        system: Its name.
        tasks: Enqueued.
        kills: Of all its workers at once.
        missing: Tasks that have not ended within the patience after the last kill.
        held: Messages that lay in the broker then: the missing ones may yet run.
        doubled: Tasks with more than one end.
        recovered_s: From the last kill to the last end; negative where none came after it.
    """

    system: str
    tasks: int
    kills: int
    missing: int
    held: int
    doubled: int
    recovered_s: float


@dataclass(frozen=True)
class System:
    """A system under test.

    Attributes:
        worker: The command of its workers, with the environment.
        enqueue: Enqueues so many tasks.
        ends: Each end by now: task and Unix time.
        beside: What else it needs to run, which is not killed.
    """

    worker: tuple[Sequence[str], Mapping[str, str]]
    enqueue: Callable[[int], None]
    ends: Ends
    beside: Callable[[], AbstractContextManager[object]]


def main() -> None:
    """Measure the systems that were asked for, one after the other, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers_crash", description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--patience", type=float, default=150.0, help="seconds after the last kill")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default=",".join(SYSTEMS), help=f"of {', '.join(SYSTEMS)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counted = []
    for name in options.only.split(","):
        with tempfile.TemporaryDirectory(dir="/var/tmp" if Path("/var/tmp").is_dir() else None) as folder:  # noqa: S108  a real disk
            counted.append(_measured(name, Path(folder), options))
        print(asdict(counted[-1]), file=sys.stderr)
    print(json.dumps([asdict(one) for one in counted], indent=1) if options.json else table(counted))


def table(counted: Sequence[Counted]) -> str:
    """For a page."""
    lines = ["| system | tasks | kills | not ended | of them in the broker | ended twice | last end after, s |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for one in counted:
        held = min(one.held, one.missing)
        last = round(one.recovered_s) if one.recovered_s > 0 else "none"
        numbers = (one.tasks, one.kills, one.missing, held, one.doubled, last)
        lines.append(f"| {one.system} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def _measured(name: str, folder: Path, options: argparse.Namespace) -> Counted:
    rng = random.Random(options.seed)  # noqa: S311  the same moments for each
    with rig.broker(folder) as client:
        system = SYSTEMS[name](folder, client)
        command, env = system.worker
        log = folder / "worker.log"
        with system.beside():
            system.enqueue(options.tasks)
            process = Process(command, env, log)
            try:
                _wait_for_ends(system.ends, 1, 60)
                if not system.ends():
                    raise RuntimeError(f"{name} ended nothing within a minute:\n{process.output[-2000:]}")
                for _ in range(options.kills):
                    # Long enough for a start, so that there is something to kill.
                    done = len(system.ends())
                    _wait_for_ends(system.ends, done + 1, options.patience)
                    time.sleep(rng.uniform(0.2, 2.0))
                    _kill_all(process)
                    killed_at = time.time()
                    process = Process(command, env, log)
                _wait_for_all(system.ends, options.tasks, options.patience)
                ends = system.ends()
                held = _held(client)
            finally:
                _kill_all(process)
    times = Counter(task for task, _ in ends)
    return Counted(
        system=name,
        tasks=options.tasks,
        kills=options.kills,
        missing=options.tasks - len(times),
        held=held,
        doubled=sum(count > 1 for count in times.values()),
        recovered_s=max(at for _, at in ends) - killed_at,
    )


def _kill_all(process: Process) -> None:
    """SIGKILL it and all below it at once: RQ gives each job a process group of its own."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.kill()


def _wait_for_ends(ends: Ends, count: int, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while len(ends()) < count and time.monotonic() < until:
        time.sleep(_POLL_S)


def _wait_for_all(ends: Ends, count: int, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while len({task for task, _ in ends()}) < count and time.monotonic() < until:
        time.sleep(_POLL_S)


def _held(client: redis.Redis) -> int:
    """Messages in lists, hashes of messages and sets of them, by the keys that these systems use."""
    held = 0
    for key in client.scan_iter(count=500):
        name = key.decode("utf-8", "replace")
        if name in {"unacked", "dramatiq:default.msgs", "replay.local.unacked"}:
            held += client.hlen(name)
        elif name in {"stock.local", "replay.local", "rq:queue:default"}:
            held += client.llen(name)
        elif name in {"rq:wip:default", "rq:scheduled:default", "saq:default:incomplete"} or name.startswith("rq:wip:"):
            held += client.zcard(name)
        elif name == "taskiq":
            held += sum(group["pending"] + (group["lag"] or 0) for group in client.xinfo_groups(name))
    return held


def noted(notes: Path) -> list[tuple[str, float]]:
    """The ends in a file of notes: task and Unix time."""
    if not notes.exists():
        return []
    parts = [line.split() for line in notes.read_text().splitlines()]
    return [(task, float(at)) for task, at in parts]


@contextmanager
def _nothing() -> Iterator[None]:
    yield


# --- the systems -----------------------------------------------------------------------------------------------------


def _ours(folder: Path, client: redis.Redis) -> System:
    model = rig.scripted_model(folder, delay_ms=TASK_S * 1000)
    base_url = model.__enter__()
    chosen: Mapping[str, object] = {
        "broker_url": rig.address(folder),
        "base_url": base_url,
        "local_model": "scripted",
        "escalation_model": "scripted",
        "writer_linger_ms": 0,
    }
    env = environment(folder / "ours", **chosen)
    settings = Settings(data_dir=folder / "ours", **chosen)  # type: ignore[arg-type]  # names and values as given
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)

    def enqueue(count: int) -> None:
        options = {"allow_escalation": False}  # one lane, as the others have
        tasks = [make_task(f"Verify claim {n}.", custom_id=str(n), options=options) for n in range(count)]
        publish(
            client,
            Queue.LOCAL,
            ((TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in tasks),
        )

    def ends() -> list[tuple[str, float]]:
        if not settings.evidence_log.exists():
            return []
        whole, _, _ = settings.evidence_log.read_bytes().rpartition(b"\n")
        records = [json.loads(line) for line in whole.splitlines()]
        return [
            (record["run_id"], datetime.fromisoformat(record["recorded_at"]).timestamp())
            for record in records
            if record.get("state") in TERMINAL and record["schema"] == "replay_run.v1"
        ]

    @contextmanager
    def beside() -> Iterator[None]:
        with running(writer_command(), env, folder / "writer.log"):
            try:
                yield
            finally:
                model.__exit__(None, None, None)

    return System((worker_command("local", PROCESSES), env), enqueue, ends, beside)


def _celery(folder: Path, client: redis.Redis, *, tuned: bool = False) -> System:
    del client
    # With what our own workers have (`workers.app.configuration`), or with Celery's defaults.
    options = {"visibility_timeout": 60, "unacked_restore_interval": 5, "unacked_restore_throttle": 1} if tuned else {}
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    celery = ["-m", "celery", "-A", "benchmarks.peers_tasks", "worker", *quiet, "--concurrency", str(PROCESSES)]
    return peer(folder, celery, "enqueue_celery", PEER_CELERY_OPTIONS=json.dumps(options))


def _dramatiq(folder: Path, client: redis.Redis) -> System:
    del client
    command = ["-m", "dramatiq", "benchmarks.peers_tasks", "--processes", str(PROCESSES), "--threads", "1"]
    return peer(folder, command, "enqueue_dramatiq")


def _rq(folder: Path, client: redis.Redis) -> System:
    del client
    pool = ["-m", "rq.cli", "worker-pool", "-n", str(PROCESSES), "-u", rig.address(folder), "-q"]
    return peer(folder, pool, "enqueue_rq")


def _taskiq(folder: Path, client: redis.Redis) -> System:
    del client
    command = [*TASKIQ, "--workers", str(PROCESSES), "--max-async-tasks", "1"]
    # As long as our leases instead of ten minutes, and a lock that a dead process does not hold for ever.
    options = {"idle_timeout": 60_000, "unacknowledged_lock_timeout": 5}
    return peer(folder, command, "enqueue_taskiq", PEER_TASKIQ_OPTIONS=json.dumps(options))


def _saq(folder: Path, client: redis.Redis) -> System:
    del client
    command = [*SAQ, "--workers", str(PROCESSES)]
    return peer(folder, command, "enqueue_saq", PEER_SAQ_OPTIONS=json.dumps({"concurrency": 1}))


def peer(folder: Path, worker: Sequence[str], enqueue: str, **more: str) -> System:
    """A system whose tasks are in `benchmarks.peers_tasks`.

    Args:
        folder: That of the broker.
        worker: What its workers run, behind the interpreter.
        enqueue: The function there that enqueues.
        more: Further variables of all its processes.
    """
    notes = folder / "notes"
    url = rig.address(folder)
    env = environment(folder) | {
        "PEER_BROKER": url,
        "PEER_CELERY_BROKER": celery_url(Settings(broker_url=url)),
        "PEER_NOTES": str(notes),
        "PEER_TASK_S": str(TASK_S),
        **more,
    }

    def send(count: int) -> None:
        code = f"from benchmarks.peers_tasks import {enqueue}; {enqueue}({count})"
        subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=ROOT)

    return System(([sys.executable, *worker], env), send, lambda: noted(notes), _nothing)


SYSTEMS: Mapping[str, Callable[[Path, redis.Redis], System]] = {
    "ours": _ours,
    "celery-acks-late": _celery,
    "celery-acks-late-60s": partial(_celery, tuned=True),
    "dramatiq": _dramatiq,
    "rq": _rq,
    "taskiq-60s": _taskiq,
    "saq": _saq,
}


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
