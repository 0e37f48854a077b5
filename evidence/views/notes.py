"""Records of the log that are no runs: what people did, reviews, conflicts, recoveries, changes of the writer."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Note:
    """A record that is no run. `body` is the record without its chain; None where it is too large for the views."""

    seq: int
    schema: str
    id: str
    run_id: str | None
    batch_id: str | None
    at: float
    body: dict[str, Any] | None


def page(db: sqlite3.Connection, schema: str, *, before: int | None = None, limit: int = 50) -> list[Note]:
    """Records of one schema, newest first, before a place in the log."""
    rows = db.execute(
        "SELECT * FROM notes WHERE schema = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
        (schema, before if before is not None else 1 << 62, limit),
    )
    return [_note(row) for row in rows]


def about(db: sqlite3.Connection, run_id: str, *, limit: int = 100) -> list[Note]:
    """What is noted of a run, oldest first."""
    rows = db.execute("SELECT * FROM notes WHERE run_id = ? ORDER BY seq LIMIT ?", (run_id, limit))
    return [_note(row) for row in rows]


def _note(row: sqlite3.Row) -> Note:
    values = dict(row)
    return Note(**values | {"body": json.loads(values["body"]) if values["body"] else None})
