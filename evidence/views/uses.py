"""How each record of the corpus is used: how often retrieved, cited, and how often the run was accepted then."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

_LOOKUP = 500
ORDERS = ("retrieved", "cited")


@dataclass(frozen=True)
class Use:
    """A record in use. Counts are of ended runs; kind, title and place are those it had when it was last retrieved.

    Attributes:
        retrieved: Runs that got it from retrieval.
        cited: Of these, those whose last answer cites it.
        accepted: Of those that got it, those that were accepted.
        accepted_cited: Of those that cite it, those that were accepted.
        last_at: When it was last retrieved, Unix time.
    """

    record_id: str
    kind: str
    title: str
    place: str
    retrieved: int
    cited: int
    accepted: int
    accepted_cited: int
    last_at: float


def page(
    db: sqlite3.Connection, order: str = "retrieved", *, after: tuple[int, str] | None = None, limit: int = 50
) -> list[Use]:
    """Records by use, the most used first.

    Args:
        db: The views.
        order: `retrieved` or `cited`.
        after: That count and the id of the last one of the page before.
        limit: Of the page.
    """
    if order not in ORDERS:
        raise ValueError(f"no order {order!r}")
    count, record_id = after or (1 << 62, "")
    rows = db.execute(
        f"SELECT * FROM uses WHERE ({order}, record_id) < (?, ?) ORDER BY {order} DESC, record_id DESC LIMIT ?",  # noqa: S608  one of two names
        (count, record_id, limit),
    )
    return [Use(**dict(row)) for row in rows]


def of(db: sqlite3.Connection, record_ids: Sequence[str]) -> dict[str, Use]:
    """The uses of these records; those that were never retrieved are absent."""
    found = {}
    for start in range(0, len(record_ids), _LOOKUP):
        some = record_ids[start : start + _LOOKUP]
        rows = db.execute(f"SELECT * FROM uses WHERE record_id IN ({', '.join('?' * len(some))})", some)  # noqa: S608  question marks
        found.update({row["record_id"]: Use(**dict(row)) for row in rows})
    return found


def count(db: sqlite3.Connection) -> int:
    """How many records were ever retrieved."""
    return int(db.execute("SELECT COUNT(*) FROM uses").fetchone()[0])
