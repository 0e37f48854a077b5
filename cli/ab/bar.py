"""How far `replay ab` is: a bar with the time that is left on a terminal, and a line for each answer elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.ab.runs import Audited
from cli.output import console

_ESTIMATE_S = 3600.0


class AbBar:
    """Counts the answers that are waited for.

    Args:
        total: How many are asked for.
    """

    def __init__(self, total: int) -> None:
        # An answer can take a minute: the rate is that of the last hour and not, as by default, of half a minute.
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console.err,
            transient=True,
            disable=not console.err.is_terminal or not total,
            speed_estimate_period=_ESTIMATE_S,
        )
        self._task = self._bar.add_task("asking the model", total=total)
        self._total = total
        self._done = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def done(self, one: Audited) -> None:
        """Note an answer."""
        self._done += 1
        result = one.result
        self._bar.update(self._task, completed=self._done, description=result.custom_id)
        if not console.err.is_terminal:
            console.note(
                f"{self._done} of {self._total}: {result.custom_id}, {one.arm.label}: {result.state} "
                f"({result.seconds:.1f} s)"
            )
