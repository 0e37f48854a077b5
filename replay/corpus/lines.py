"""Choosing lines: which few lines of the passages decide a task. `linescore` says what a line is worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from replay.contracts import EvidenceLine, Record

MAX_LINE_CHARS = 200


class ScoredLine(NamedTuple):
    """A line of a record; `offset` counts from 0 within it."""

    record: Record
    offset: int
    text: str
    score: float


def choose(scored: Iterable[ScoredLine], limit: int) -> tuple[EvidenceLine, ...]:
    """The best lines, numbered L1, L2, … in order of score.

    Of lines with the same score the one with the shallower path comes first, then in the order given. The same text
    in a definition, or in two of the same name (a synchronous class and its asynchronous twin), is shown once: where
    its score is best.
    """
    ordered = sorted(scored, key=lambda line: (-line.score, (line.record.path or "").count("/")))
    distinct: dict[tuple[str, tuple[str, ...]], ScoredLine] = {}
    for line in ordered:
        if len(distinct) == limit:
            break
        distinct.setdefault((line.text, _name(line.record)), line)
    return tuple(
        EvidenceLine(
            line_id=f"L{number}",
            record_id=line.record.record_id,
            line_no=(line.record.first_line or 1) + line.offset,
            text=line.text[:MAX_LINE_CHARS].rstrip(),
            score=line.score,
        )
        for number, line in enumerate(distinct.values(), 1)
    )


def _name(record: Record) -> tuple[str, ...]:
    qualified = record.title.partition(" ")[0]
    return tuple(qualified.split(".")[-2:])
