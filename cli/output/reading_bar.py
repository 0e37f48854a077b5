"""How far a command has read: a bar on a terminal, and nothing elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.output import console


class ReadingBar:
    """A bar on stderr; it goes when the work ends.

    Args:
        what: What is read, in a word or two.
        total: How much there is, in whatever `advance` counts; None where nobody knows.
        streaming: Results are printed meanwhile; where both go to a terminal, these show well enough how far it is.
    """

    def __init__(self, what: str, total: int | None = None, *, streaming: bool = False) -> None:
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(show_speed=False),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console.err,
            transient=True,
            # Else what is printed meanwhile would land on stderr, not in the file that stdout was sent to.
            redirect_stdout=False,
            disable=not console.err.is_terminal or (streaming and console.out.is_terminal),
        )
        self._task = self._bar.add_task(what, total=total or None, count="")
        self._count = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, by: int = 1) -> None:
        """Note one more thing, which is `by` of the total."""
        self._count += 1
        self._bar.update(self._task, advance=by, count=f"{self._count:,}")
