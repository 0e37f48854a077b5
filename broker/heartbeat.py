"""Which workers live, and what they do: each writes a small hash that expires when the worker falls silent."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import psutil
import redis

from replay.topology import HEARTBEATS

INTERVAL_S = 2.0
TTL_S = 10


@dataclass(frozen=True)
class Heartbeat:
    """One worker as it last said of itself.

    Attributes:
        worker: Its name, unique among all workers.
        role: `local`, `escalation`, `writer` or `scheduler`.
        host: Host name.
        pid: Process id of the parent process.
        concurrency: Tasks that it works on at once.
        in_flight: Tasks that it works on now.
        started: Tasks that it started since it began; for the writer, records that it wrote.
        beat_at: Unix time of the beat, by the worker's clock.
        state: Why it does not work although it lives: it stands by, its lane is paused, it waits for the writer. Empty
            where it does.
        slots: Requests that its model server works on at once, as that said when the worker chose its concurrency; 0:
            it chose none, or the server does not say.
        rss: Bytes of memory that it and the processes of its pool hold, pages that they share counted in each.
    """

    worker: str
    role: str
    host: str
    pid: int
    concurrency: int
    in_flight: int
    started: int
    beat_at: float = 0.0
    state: str = ""
    slots: int = 0
    rss: int = 0


def beat(client: redis.Redis, heartbeat: Heartbeat) -> None:
    """Write a heartbeat of this process, with the present time and its memory."""
    values: dict[Any, Any] = asdict(heartbeat) | {"beat_at": time.time(), "rss": heartbeat.rss or _memory()}
    name = _key(heartbeat.worker)
    with client.pipeline(transaction=True) as pipe:
        pipe.hset(name, mapping=values)
        pipe.expire(name, TTL_S)
        pipe.execute()


def leave(client: redis.Redis, worker: str) -> None:
    """Take a worker off the list at once, at a clean stop."""
    client.delete(_key(worker))


def alive(client: redis.Redis) -> list[Heartbeat]:
    """The workers that gave a sign of life within the last seconds, by role and name."""
    found = []
    for name in client.scan_iter(match=f"{HEARTBEATS}:*", count=500):
        values = cast("dict[bytes, bytes]", client.hgetall(name))
        if values:  # it may have expired since the scan saw it
            found.append(_read(values))
    return sorted(found, key=lambda heartbeat: (heartbeat.role, heartbeat.worker))


def _memory() -> int:
    found = 0
    for pid in (os.getpid(), *_children()):
        with contextlib.suppress(psutil.Error):  # a child that has just ended
            found += psutil.Process(pid).memory_info().rss
    return found


def _children() -> list[int]:
    # psutil looks at every process of the machine to find them, too much for every two seconds.
    pid = os.getpid()
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []  # not Linux: the parent alone is counted


def _key(worker: str) -> str:
    return f"{HEARTBEATS}:{worker}"


def _read(values: dict[bytes, bytes]) -> Heartbeat:
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str}
    # A worker of an older version has no state.
    texts = {name.decode(): value.decode("utf-8", "replace") for name, value in values.items()}
    return Heartbeat(
        **{field.name: kinds[str(field.type)](texts.get(field.name, field.default)) for field in fields(Heartbeat)}
    )
