"""`replay worker`: one process of the system, in the foreground."""

from __future__ import annotations

import socket
from enum import StrEnum
from typing import Annotated

import typer

from broker import heartbeat
from broker.connection import connect
from cli.output import console
from producer import scheduler
from replay.errors import ConfigurationError, UnavailableError
from replay.settings import Settings


class Role(StrEnum):
    """What a worker does."""

    LOCAL = "local"
    ESCALATION = "escalation"
    WRITER = "writer"
    SCHEDULER = "scheduler"


def worker(
    role: Annotated[Role, typer.Argument(help="Which lane; or the writer, or the scheduler.")],
    concurrency: Annotated[
        int | None,
        typer.Option("-c", "--concurrency", min=1, help="Tasks at once; by default by the slots of the model server."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Run nothing: does a worker of this role live on this host? 0: yes, 3: no.")
    ] = False,
) -> None:
    """Run one worker in the foreground until it is told to stop; SIGTERM lets it finish what it has begun.

    Example: replay worker local -c 2
    """
    if check:
        _check(Settings(), role)
        return
    if role is Role.SCHEDULER:
        if concurrency not in (None, 1):
            raise ConfigurationError("one scheduler works at a time", hint="leave out --concurrency")
        scheduler.serve(Settings())
        return
    from workers.launch import run_worker  # noqa: PLC0415  Celery is for the other roles only

    run_worker(Settings(), role.value, concurrency)


def _check(settings: Settings, role: Role) -> None:
    """What a container's health check asks: the broker has a fresh heartbeat from here."""
    here = socket.gethostname()
    with connect(settings, patience=0) as broker:
        beats = [beat for beat in heartbeat.alive(broker) if (beat.role, beat.host) == (role.value, here)]
    if not beats:
        raise UnavailableError(
            f"no {role.value} worker on {here} gave a sign of life in the last {heartbeat.TTL_S} s",
            hint=f"Start one with `replay worker {role.value}`, or look at the log of the one that runs.",
        )
    for beat in beats:
        console.out.print(f"{beat.worker}: {beat.in_flight} of {beat.concurrency} busy, {beat.started} started")
