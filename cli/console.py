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
from rich.text import Text

from replay.errors import ReplayError

_FILE_WIDTH = 160


def _width() -> int | None:
    """Columns for what is not shown on a terminal, where nothing is too narrow; None lets the terminal decide."""
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _FILE_WIDTH


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console to which all text is only text: brackets and colons of a task, a file or a model mark nothing up."""
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


out = _console(width=_width())
err = _console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of words for people.")]


def print_json(value: Any) -> None:
    """One JSON document on stdout, as it is: no colours, no wrapping."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_json_line(value: Any) -> None:
    """One JSON document on one line of stdout, for streams."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def print_error(error: ReplayError) -> None:
    """What happened, and what to do next."""
    err.print(Text.assemble(("error:", "bold red"), " ", error.message), soft_wrap=True)
    if error.hint:
        err.print(Text.assemble(("hint:", "bold"), "  ", error.hint), soft_wrap=True)


def note(text: str) -> None:
    """A line about progress, on stderr so that stdout stays the result."""
    err.print(Text(text, style="dim"), soft_wrap=True)


class DownloadBar:
    """Draws `replay.models` progress as a bar with speed and time left."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
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
        self._bars.console.print(Text(text, style="dim"))

    def done(self) -> None:
        """End the bar."""
        self._bars.stop()
        self._task = None
