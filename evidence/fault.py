"""The first thing that is wrong with a log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Where, and what should stand there: a file, the byte offset in it, and the line, from 1."""

    file: str
    offset: int
    line: int
    expected: str
