"""How far a long submission is: a bar on a terminal, a line now and then elsewhere, and nothing for a short one."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from cli.output import console
from producer.submit import Stage, Step

_EVERY_S = 0.2
_QUIET_S = 10.0
_WORDS = {Stage.READING: "reading", Stage.WRITING: "keeping", Stage.ENQUEUING: "enqueuing"}


class SubmitBar:
    """Draws the steps of `producer.submit`.

    Attributes:
        last: The last step that was told.
    """

    def __init__(self) -> None:
        self.last: Step | None = None
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(show_speed=False),
            TextColumn("{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            console=console.err,
            transient=True,
            redirect_stdout=False,
            disable=not console.err.is_terminal,
        )
        self._task = self._bar.add_task(_WORDS[Stage.READING], total=None, count="")
        self._bytes: tuple[int, int | None] = (0, None)
        self._drawn_at = float("-inf")
        self._said_at = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def read(self, done: int, total: int | None) -> None:
        """So many bytes of the file are read."""
        self._bytes = (done, total)

    def step(self, step: Step) -> None:
        """Draw a step; most of them are left out."""
        stage_changed = self.last is None or self.last.stage is not step.stage
        self.last = step
        now = time.monotonic()
        if not stage_changed and now - self._drawn_at < _EVERY_S:
            return
        self._drawn_at = now
        done, total = self._bytes if step.stage is Stage.READING else (step.done, step.total)
        self._bar.update(self._task, description=_WORDS[step.stage], completed=done, total=total, count=in_words(step))
        if self._bar.disable and now - self._said_at >= _QUIET_S:
            self._said_at = now
            console.note(f"{_WORDS[step.stage]}: {in_words(step)}")


def in_words(step: Step) -> str:
    """How far it is."""
    counted = f"{step.done:,}" if step.total is None else f"{step.done:,} of {step.total:,}"
    if not step.is_full:
        return f"{counted} tasks"
    return f"{counted} tasks; {step.waiting:,} wait in the queue, as many as may: waiting for workers (Ctrl-C is safe)"
