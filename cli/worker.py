"""`replay worker`: one process of the system, in the foreground."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from replay.settings import Settings


class Role(StrEnum):
    """What a worker does."""

    LOCAL = "local"
    ESCALATION = "escalation"
    WRITER = "writer"


def worker(
    role: Annotated[Role, typer.Argument(help="Which lane; the writer is one for each log.")],
    concurrency: Annotated[
        int | None,
        typer.Option(
            "-c", "--concurrency", min=1, help="Tasks at once; by default as many as the model server has slots."
        ),
    ] = None,
) -> None:
    """Run one worker in the foreground until it is told to stop; SIGTERM lets it finish what it has begun.

    Example: replay worker local -c 2
    """
    from workers.launch import run_worker  # noqa: PLC0415  Celery is for this command only

    run_worker(Settings(), role.value, concurrency)
