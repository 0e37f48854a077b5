"""The whole system as the broker knows it, in one value: what the exporter, `replay top` and the doctor look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

from broker import heartbeat, lanes, meters, queues, writer_lease
from broker.heartbeat import Heartbeat
from broker.limits.snapshot import LaneSnapshot, snapshot
from broker.meters import Reading
from broker.queues import Depths
from broker.writer_lease import Holder
from replay.settings import Settings


@dataclass(frozen=True)
class Server:
    """The broker itself.

    Attributes:
        version: As it says; Valkey's own where it is one.
        memory_bytes: What its data takes.
        memory_limit_bytes: `maxmemory`; 0: no limit.
    """

    version: str
    memory_bytes: int
    memory_limit_bytes: int


@dataclass(frozen=True)
class Overview:
    """One look.

    Attributes:
        at: Unix time of the look, by the broker.
        depths: Queues, evidence on its way, dead letters.
        lanes: How each lane stands, and its limits, for the endpoints in the settings of who looks.
        endpoints: Endpoints that are not asked, of all machines, with state and reason.
        workers: Who gave a sign of life.
        writer: Who holds the writer's lease.
        counted: What all processes have counted.
        server: The broker.
    """

    at: float
    depths: Depths
    lanes: tuple[LaneSnapshot, ...]
    endpoints: dict[str, str]
    workers: tuple[Heartbeat, ...]
    writer: Holder | None
    counted: Reading
    server: Server


def look(client: redis.Redis, settings: Settings) -> Overview:
    """Take one look, in some twenty round trips; all `RedisError`s go through."""
    return Overview(
        at=queues.server_time(client),
        depths=queues.depths(client),
        lanes=tuple(snapshot(client, settings)),
        endpoints=lanes.paused_endpoints(client),
        workers=tuple(heartbeat.alive(client)),
        writer=writer_lease.holder(client),
        counted=meters.read(client),
        server=server(client),
    )


def server(client: redis.Redis) -> Server:
    """Version and memory of the broker."""
    said: dict[str, Any] = client.info("server") | client.info("memory")
    name = "Valkey" if "valkey_version" in said else "Redis"
    version = said.get("valkey_version") or said.get("redis_version", "unknown")
    return Server(f"{name} {version}", int(said.get("used_memory", 0)), int(said.get("maxmemory", 0)))
