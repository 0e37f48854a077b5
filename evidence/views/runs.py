"""Runs, newest first: searched, filtered, a page at a time, whatever their number.

Everything but time is a token of one full-text index, so that any filters together are an intersection of sorted lists
which ends as soon as a page is full. Pages go by the place of a run (`n`), never by counting over those before.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from replay.contracts import State

from .gather import REVIEW, REVIEW_FACET, facet

PAGE = 50
_MAX_WORDS = 16
_LOOKUP = 500
_MAX_CHOICES = 500
_WORD = re.compile(r'"([^"]*)"|(\S+)')
_LIST = (
    "n, run_id, batch_id, custom_id, substr(text, 1, 400) AS text, state, ruling, tier, model, rules, attempts,"
    " first_at, last_at, retrieve_ms, generate_ms, gate_ms, prompt_tokens, completion_tokens, cached_tokens, cost,"
    " seq, review"
)


@dataclass(frozen=True)
class RunFilter:
    """What is looked for; an empty field asks for nothing.

    Attributes:
        text: Words of the task or its custom id, all of them; in quotes a phrase, with `*` at its end a beginning.
        state: See `State`.
        ruling: What the answer says.
        tier: Made an attempt.
        rule: Objected to an attempt.
        model: Made an attempt.
        batch: The id.
        since: Unix time from which on the run has evidence.
        until: And up to which; not included.
        review: `waiting` for a person; or the decision: `accept`, `reject`.
    """

    text: str = ""
    state: str = ""
    ruling: str = ""
    tier: str = ""
    rule: str = ""
    model: str = ""
    batch: str = ""
    since: float | None = None
    until: float | None = None
    review: str = ""

    @property
    def empty(self) -> bool:
        """It lets everything through."""
        return self == RunFilter()


@dataclass(frozen=True)
class RunRow:
    """A run in a list. Its `text` is cut, `rules`, `tiers` and `models` are those of all its attempts.

    Times are Unix seconds, durations milliseconds over all attempts; `seq` is its latest record, `review` the latest
    decision of a person.
    """

    n: int
    run_id: str
    batch_id: str
    custom_id: str
    text: str
    state: str
    ruling: str | None
    tiers: tuple[str, ...]
    models: tuple[str, ...]
    rules: tuple[str, ...]
    attempts: int
    first_at: float
    last_at: float
    retrieve_ms: float
    generate_ms: float
    gate_ms: float
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float | None
    seq: int
    review: str | None


@dataclass(frozen=True)
class RunPage:
    """A page of runs, newest first. `newer` and `older` are what `after` and `before` of the pages beside it are."""

    rows: tuple[RunRow, ...]
    newer: int | None
    older: int | None


@dataclass(frozen=True)
class Choices:
    """What can be filtered by, as far as it has occurred."""

    models: tuple[str, ...]
    rules: tuple[str, ...]
    batches: tuple[str, ...]


def page(
    db: sqlite3.Connection,
    wanted: RunFilter = RunFilter(),
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> RunPage:
    """The runs before (older than) or after (newer than) a place; by default the newest."""
    low, high = _range(db, wanted)
    match = _match(wanted)
    back = after is not None
    if before is not None:
        high = min(high, before - 1)
    if after is not None:
        low = max(low, after + 1)
    numbers = _numbers(db, match, low, high, limit + 1, ascending=back)
    more, numbers = len(numbers) > limit, sorted(numbers[:limit], reverse=True)
    rows = _rows(db, numbers)
    if not rows:
        return RunPage((), None, None)
    there_is_newer = more if back else before is not None
    there_is_older = True if back else more
    return RunPage(rows, rows[0].n if there_is_newer else None, rows[-1].n if there_is_older else None)


def get(db: sqlite3.Connection, run_id: str) -> RunRow | None:
    """A run."""
    row = db.execute(f"SELECT {_LIST} FROM runs WHERE run_id = ?", (run_id,)).fetchone()  # noqa: S608  constants
    return _row(row) if row else None


def citing(db: sqlite3.Connection, record_id: str, *, before: int | None = None, limit: int = PAGE) -> RunPage:
    """Ended runs whose last answer cites a record of the corpus, newest first; without the way back to newer ones."""
    found = db.execute(
        "SELECT n FROM citing WHERE record_id = ? AND n < ? ORDER BY n DESC LIMIT ?",
        (record_id, 1 << 62 if before is None else before, limit + 1),
    )
    numbers = [n for (n,) in found]
    rows = _rows(db, numbers[:limit])
    return RunPage(rows, None, rows[-1].n if len(numbers) > limit and rows else None)


def states(db: sqlite3.Connection, run_ids: Sequence[str]) -> dict[str, int]:
    """How many of these runs stand in each state."""
    found: Counter[str] = Counter()
    for start in range(0, len(run_ids), _LOOKUP):
        some = run_ids[start : start + _LOOKUP]
        sql = f"SELECT state, COUNT(*) FROM runs WHERE run_id IN ({', '.join('?' * len(some))}) GROUP BY state"  # noqa: S608  question marks
        found.update(dict(tuple(row) for row in db.execute(sql, some)))
    return found


def totals(db: sqlite3.Connection) -> dict[str, int]:
    """How many runs stand in each state; and under `review` how many wait for a person."""
    found = dict(db.execute("SELECT name, value FROM totals"))
    return {state.value: found.get(f"state:{state}", 0) for state in State} | {REVIEW: found.get(REVIEW, 0)}


def choices(db: sqlite3.Connection) -> Choices:
    """What has occurred, the batches latest first."""
    named = db.execute("SELECT kind, name FROM names").fetchall()
    batches = db.execute("SELECT batch_id FROM batches ORDER BY last_at DESC LIMIT ?", (_MAX_CHOICES // 5,))
    return Choices(
        tuple(name for kind, name in named if kind == "model")[:_MAX_CHOICES],
        tuple(name for kind, name in named if kind == "rule")[:_MAX_CHOICES],
        tuple(batch_id for (batch_id,) in batches),
    )


def search(text: str) -> str:
    """What somebody typed as a query of the index that cannot be wrong: words, "phrases" and beginnings*."""
    parts = []
    for phrase, word in _WORD.findall(text)[:_MAX_WORDS]:
        begins = not phrase and len(word) > 3 and word.endswith("*")
        quoted = (phrase or word).replace('"', "").replace("\0", "")
        # What a tokenizer finds nothing in would match nothing at all.
        if any(char.isalnum() for char in quoted):
            parts.append(f'"{quoted}"' + ("*" if begins else ""))
    return " AND ".join(parts)


def _match(wanted: RunFilter) -> str:
    parts = [
        f'facets : "{facet(kind, value)}"'
        for kind, value in (
            ("batch", wanted.batch),
            ("rule", wanted.rule),
            ("model", wanted.model),
            ("state", wanted.state),
            ("ruling", wanted.ruling),
            ("tier", wanted.tier),
            ("reviewed", wanted.review if wanted.review != "waiting" else ""),
        )
        if value
    ]
    if wanted.review == "waiting":
        parts.append(f'facets : "{REVIEW_FACET}"')
    if words := search(wanted.text):
        parts.append(f"{{text custom_id}} : ({words})")
    elif wanted.text.strip():
        parts.append('facets : "nothing"')
    return " AND ".join(parts)


def _range(db: sqlite3.Connection, wanted: RunFilter) -> tuple[int, int]:
    low, high = 0, (1 << 62)
    if wanted.since is not None:
        found = db.execute("SELECT MIN(first_n) FROM begun WHERE minute >= ?", (int(wanted.since) // 60 * 60,))
        low = found.fetchone()[0] or high
    if wanted.until is not None:
        found = db.execute("SELECT MAX(last_n) FROM begun WHERE minute < ?", (wanted.until,))
        high = found.fetchone()[0] or 0
    return low, high


def _numbers(db: sqlite3.Connection, match: str, low: int, high: int, limit: int, *, ascending: bool) -> list[int]:
    order = "ASC" if ascending else "DESC"
    if match:
        sql = f"SELECT rowid FROM found WHERE found MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid {order} LIMIT ?"  # noqa: S608  two constants
        return [n for (n,) in db.execute(sql, (match, low, high, limit))]
    sql = f"SELECT n FROM runs WHERE n BETWEEN ? AND ? ORDER BY n {order} LIMIT ?"  # noqa: S608  two constants
    return [n for (n,) in db.execute(sql, (low, high, limit))]


def _rows(db: sqlite3.Connection, numbers: list[int]) -> tuple[RunRow, ...]:
    marks = ", ".join("?" * len(numbers))
    found = db.execute(f"SELECT {_LIST} FROM runs WHERE n IN ({marks}) ORDER BY n DESC", numbers)  # noqa: S608  constants
    return tuple(_row(row) for row in found)


def _row(row: sqlite3.Row) -> RunRow:
    values: dict[str, Any] = dict(row)
    tiers, models, rules = (_names(values.pop(name)) for name in ("tier", "model", "rules"))
    return RunRow(**values, tiers=tiers, models=models, rules=rules)


def _names(joined: str | None) -> tuple[str, ...]:
    return tuple(joined.split("\n")) if joined else ()
