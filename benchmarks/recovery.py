"""How long the tasks of a killed worker stand still: kill -9 at default settings, until each runs elsewhere."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import redis

from benchmarks import rig
from benchmarks.registry import Metric, Run
from broker import heartbeat, starts
from broker.envelope import publish
from chaos.recovery import p95
from replay import identity
from replay.contracts import Tier
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.factories import make_bundle, make_task
from tests.processes import Process, environment, running, wait_for, worker_command

BOUND_S = 75.0
CHILDREN = 4
# Longer than anything here lasts: whoever is killed is in the middle of a generation.
_GENERATION_MS = 900_000
_LIMIT_S = 240.0


def measure(run: Run) -> Iterator[Metric]:
    """Several workers are killed, each at a random moment between two renewals of its leases."""
    victims = run.count(3, 1)
    taken = recoveries(run.folder, victims)
    found = p95(taken)
    assert found is not None
    yield Metric(
        "recovery.p95_s",
        found,
        BOUND_S,
        "s",
        f"kill -9 of {victims} workers with {CHILDREN} tasks each, default settings: from the kill until another one "
        f"begins the task. {min(taken):.0f} to {max(taken):.0f} s. Baseline: the bound; plain Celery redelivers after "
        "its visibility timeout of 3,600 s.",
        "<= 75 s",
    )


def recoveries(folder: Path, victims: int) -> list[float]:
    """The time of each task that a killed worker had."""
    rng = random.Random(7)  # noqa: S311  the same moments each time
    with rig.broker(folder) as client, rig.scripted_model(folder, delay_ms=_GENERATION_MS) as base_url:
        chosen: Mapping[str, object] = {
            "broker_url": rig.address(folder),
            "base_url": base_url,
            "local_model": "scripted",
            "escalation_model": "scripted",
        }
        data_dir = folder / "ours"
        env = environment(data_dir, **chosen)
        settings = Settings(data_dir=data_dir, **chosen)  # type: ignore[arg-type]  # names and values as given
        snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
        with ExitStack() as owned:

            def worker(number: int, children: int) -> Process:
                log = folder / f"worker-{number}.log"
                process = owned.enter_context(running(worker_command("local", children), env, log))
                wait_for(lambda: _beats(client, process), "a worker", timeout_s=60)
                return process

            doomed: list[tuple[Process, list[str]]] = []
            for number in range(victims):
                # The workers before are full, so these are this one's.
                process = worker(number, CHILDREN)
                attempts = _enqueue(client, number)
                wait_for(partial(_are_in_work, client, attempts), "its tasks to be in work")
                doomed.append((process, attempts))
            worker(victims, victims * CHILDREN)
            killed: dict[str, float] = {}
            for process, attempts in doomed:
                time.sleep(rng.uniform(0, settings.visibility_timeout_s / 4))
                process.kill()
                killed |= dict.fromkeys(attempts, time.monotonic())
            return _timed(client, killed)


def _timed(client: redis.Redis, killed: Mapping[str, float]) -> list[float]:
    taken: dict[str, float] = {}

    def all_begun() -> bool:
        waiting = [attempt for attempt in killed if attempt not in taken]
        now = time.monotonic()
        taken.update(
            {one: now - killed[one] for one, count in zip(waiting, _starts(client, waiting), strict=True) if count > 1}
        )
        return len(taken) == len(killed)

    wait_for(all_begun, "all of them to be begun elsewhere", timeout_s=_LIMIT_S)
    return list(taken.values())


def _enqueue(client: redis.Redis, number: int) -> list[str]:
    """Tasks of one worker; the attempts that they ask for."""
    tasks = [make_task(f"Verify claim {n}.", custom_id=f"{number}-{n}") for n in range(CHILDREN)]
    publish(
        client,
        Queue.LOCAL,
        ((TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in tasks),
    )
    return [identity.attempt_id(task.run_id, Tier.LOCAL.value, task.options.repeat) for task in tasks]


def _are_in_work(client: redis.Redis, attempts: Sequence[str]) -> bool:
    return _starts(client, attempts) == [1] * len(attempts)


def _starts(client: redis.Redis, attempts: Sequence[str]) -> list[int]:
    with client.pipeline(transaction=False) as pipe:
        for attempt in attempts:
            pipe.hget(starts.key(attempt), "starts")
        return [int(count or 0) for count in pipe.execute()]


def _beats(client: redis.Redis, process: Process) -> bool:
    assert process.exit_code is None, process.output
    return any(beat.pid == process.pid for beat in heartbeat.alive(client))
