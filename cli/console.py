"""How commands speak: tables and words for people on stdout, JSON with `--json`, errors with a hint on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from replay.errors import ReplayError

_FILE_WIDTH = 160


def _width() -> int | None:
    """Columns for what is not shown on a terminal, where nothing is too narrow; None lets the terminal decide."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH


out = Console(highlight=False, width=_width())
err = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of words for people.")]


def print_json(value: Any) -> None:
    """One JSON document on stdout, as it is: no colours, no wrapping."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_json_line(value: Any) -> None:
    """One JSON document on one line of stdout, for streams."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_error(error: ReplayError) -> None:
    """What happened, and what to do next."""
    err.print(f"[bold red]error:[/] {_escaped(error.message)}", soft_wrap=True)
    if error.hint:
        err.print(f"[bold]hint:[/]  {_escaped(error.hint)}", soft_wrap=True)


def note(text: str) -> None:
    """A line about progress, on stderr so that stdout stays the result."""
    err.print(f"[dim]{_escaped(text)}[/]", soft_wrap=True)


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


class DownloadBar:
    """Draws `replay.models` progress as a bar with speed and time left."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=err,
        )
        self._task: TaskID | None = None

    def start(self, description: str, total: int) -> None:
        """Begin a file of `total` bytes."""
        if self._task is None:
            self._bars.start()
        self._task = self._bars.add_task(description, total=total)

    def advance(self, n: int) -> None:
        """Note `n` more bytes."""
        if self._task is not None:
            self._bars.advance(self._task, n)

    def note(self, text: str) -> None:
        """Say something about how it goes."""
        self._bars.console.print(f"[dim]{_escaped(text)}[/]")

    def done(self) -> None:
        """End the bar."""
        self._bars.stop()
        self._task = None
