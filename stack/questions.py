"""What the stack asks its broker while it starts and stops.

Each question has the shape of a `Probe` once the settings (and the role) are given.
"""

from __future__ import annotations

import socket
from typing import cast

from redis.exceptions import RedisError

from broker import evidence_stream, heartbeat
from broker.connection import connect, describe
from replay.errors import BrokerUnavailable, ReplayError
from replay.settings import Settings


def broker_to_answer(settings: Settings, pid: int | None) -> str | None:
    """Does the broker answer, and is it this process? One that was left behind would answer in its place."""
    try:
        with connect(settings, patience=0) as client:
            server = cast("dict[str, int]", client.info("server"))["process_id"]
    except (BrokerUnavailable, RedisError):
        return f"the broker at {describe(settings)} to answer"
    return None if server == pid else f"another broker (pid {server}) to leave {describe(settings)}"


def worker_to_report(settings: Settings, role: str, pid: int | None) -> str | None:
    """Is there a heartbeat of exactly this process? One of a worker that was killed stays for some seconds."""
    try:
        with connect(settings, patience=0) as client:
            beats = heartbeat.alive(client)
    except (BrokerUnavailable, RedisError):
        return f"the broker at {describe(settings)} to answer"
    here = socket.gethostname()
    if any((beat.role, beat.pid, beat.host) == (role, pid, here) for beat in beats):
        return None
    return "its first heartbeat"


def stream_to_drain(settings: Settings, pid: int | None) -> str | None:
    """Is there evidence that the writer has not yet written? Without a broker there is nothing to wait for."""
    del pid
    try:
        with connect(settings, patience=0) as client:
            backlog = evidence_stream.backlog(client)
    except (ReplayError, RedisError):
        # Nor is a wrong REPLAY_BROKER_URL a reason not to stop what runs.
        return None
    return f"{backlog} records to be written" if backlog else None
