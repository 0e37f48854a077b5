"""How far a build is: a bar on a terminal, and nothing but sentences elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.output import console
from replay.corpus.sources import report
from replay.corpus.watching import Watcher


class CorpusBar(Watcher):
    """A bar for each source that is read and each step of writing, one below the other; they go when the work ends."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console.err,
            transient=True,
            disable=not console.err.is_terminal,
        )
        self._steps: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bars.stop()

    def say(self, sentence: str) -> None:
        """Print what the writer waits for."""
        console.note(sentence)

    def step(self, what: str, done: int, of: int) -> None:
        """Move the bar of a step on; `of` is 0 where nobody knows."""
        if what not in self._steps:
            self._steps[what] = self._bars.add_task(what, total=of or None)
        self._bars.update(self._steps[what], completed=done, total=of or None)

    def reading(self, name: str) -> Callable[[report.Progress], None]:
        """What a source tells its progress to; the bar counts files."""
        what = f"reading {name}"
        return lambda progress: self.step(what, progress.files, progress.of)
