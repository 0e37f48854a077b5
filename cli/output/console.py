"""How commands speak: tables and words for people on stdout, JSON with `--json`, errors with a hint on stderr."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment
from rich.text import Text

from replay.errors import ReplayError

_FILE_WIDTH = 160


def _width() -> int | None:
    """Columns for what is not shown on a terminal, where nothing is too narrow; None lets the terminal decide."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()  # it is None where the descriptor is closed
    return None if is_terminal or "COLUMNS" in os.environ else _FILE_WIDTH


# What a terminal would obey, or cannot be written: the C0 and C1 controls without tabs and line ends, and halves of
# characters, which stand in names of files for bytes that are no UTF-8.
_UNSHOWN = {
    **{code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"},
    ord("\r"): "",
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
}


def plain(text: str) -> str:
    """Text that does nothing to a terminal: what a task, a file or a model says is shown, not obeyed."""
    return text if text.isprintable() else text.translate(_UNSHOWN)


class _Console(Console):
    """A console to which all text is only text: no brackets, colons or control characters of it mean anything."""

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Say so, where rich would end the process and take away stdout, whichever of the two it was.

        Raises:
            BrokenPipeError: Always.
        """
        raise BrokenPipeError(errno.EPIPE, "nobody reads this any more")

    def render_str(self, text: str, **options: Any) -> Text:
        """The text of a line or a cell, as it will be measured and shown."""
        return super().render_str(plain(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """All that is shown, in pieces; what rich itself tells the terminal goes by."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain(segment.text))


class _Notes(_Console):
    """A console whose reader may go away: progress and errors are told to whoever listens, and nothing fails of it."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print, if anybody reads it."""
        with suppress(OSError):
            super().print(*objects, **options)


out = _Console(width=_width())
err = _Notes(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of words for people.")]


def print_json(value: Any) -> None:
    """One JSON document on stdout, as it is: no colours, no wrapping."""
    print(_json(value, indent=2))


def print_json_line(value: Any) -> None:
    """One JSON document on one line of stdout, for streams."""
    print(_json(value), flush=True)


def _json(value: Any, indent: int | None = None) -> str:
    written = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return written.encode(errors="replace").decode()  # halves of characters cannot be written


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
