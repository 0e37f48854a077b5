"""What a start or stop of the stack tells its caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One piece of progress: `program` is now `doing` something, `detail` says what it waits for or what came of it."""

    program: str
    doing: str
    detail: str = ""


OnStep = Callable[[Step], None]


def silent(step: Step) -> None:
    """Show no progress."""
