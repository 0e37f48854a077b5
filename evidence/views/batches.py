"""Totals of batches, as far as evidence tells: a batch whose runs all wait has none yet (its manifest knows it)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

_LOOKUP = 500


@dataclass(frozen=True)
class BatchSum:
    """A batch in the evidence. Times are Unix seconds.

    Attributes:
        runs: With any evidence.
        local: Attempts of this tier; `escalation` likewise.
        by_local: Runs that this tier's answer ended as accepted; `by_escalation` likewise.
    """

    batch_id: str
    first_at: float
    last_at: float
    runs: int
    accepted: int
    rejected: int
    failed: int
    cancelled: int
    local: int
    escalation: int
    by_local: int
    by_escalation: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    generate_ms: float
    cost: float

    @property
    def ended(self) -> int:
        """Runs that have ended."""
        return self.accepted + self.rejected + self.failed + self.cancelled

    @property
    def at_large_model(self) -> int:
        """Runs that have evidence and no end: the large model is to be asked, or is at work."""
        return self.runs - self.ended


def of(db: sqlite3.Connection, batch_ids: Sequence[str]) -> dict[str, BatchSum]:
    """The totals of these batches; those without evidence are absent."""
    found = {}
    for start in range(0, len(batch_ids), _LOOKUP):
        some = batch_ids[start : start + _LOOKUP]
        rows = db.execute(f"SELECT * FROM batches WHERE batch_id IN ({', '.join('?' * len(some))})", some)  # noqa: S608  question marks
        found.update({row["batch_id"]: BatchSum(**dict(row)) for row in rows})
    return found


def latest(db: sqlite3.Connection, *, before: tuple[float, str] | None = None, limit: int = 50) -> list[BatchSum]:
    """Batches, those with the latest evidence first; `before` is `last_at` and id of the last of the page before."""
    at, batch_id = before or (float("inf"), "")
    rows = db.execute(
        "SELECT * FROM batches WHERE (last_at, batch_id) < (?, ?) ORDER BY last_at DESC, batch_id DESC LIMIT ?",
        (at, batch_id, limit),
    )
    return [BatchSum(**dict(row)) for row in rows]
