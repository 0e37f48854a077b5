"""The tables of the views, and how the database is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

VERSION = 2
BUSY_TIMEOUT_S = 10.0

SPANS = (60, 3600)
"""Widths, in seconds, of what is summed up over time: minutes for days, hours for months."""

SCHEMA = f"""
CREATE TABLE position (
  one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL,
  last INTEGER NOT NULL, "end" INTEGER NOT NULL
) STRICT;

-- One row a run, in the order of its first evidence. `facets` is what `found` was given, to take it back by.
CREATE TABLE runs (
  n INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, batch_id TEXT NOT NULL, custom_id TEXT NOT NULL,
  text TEXT NOT NULL, state TEXT NOT NULL, ruling TEXT, tier TEXT, model TEXT, rules TEXT NOT NULL,
  attempts INTEGER NOT NULL, first_at REAL NOT NULL, last_at REAL NOT NULL,
  retrieve_ms REAL NOT NULL, generate_ms REAL NOT NULL, gate_ms REAL NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  cost REAL, seq INTEGER NOT NULL, review TEXT, facets TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE found USING fts5(text, custom_id, facets, content='', tokenize='unicode61');
-- Which runs began in a minute, so that a time becomes a range of `n`.
CREATE TABLE begun (minute INTEGER PRIMARY KEY, first_n INTEGER NOT NULL, last_n INTEGER NOT NULL) STRICT;

CREATE TABLE sums (
  span INTEGER NOT NULL, start INTEGER NOT NULL, tier TEXT NOT NULL,
  attempts INTEGER NOT NULL, accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, escalated INTEGER NOT NULL,
  failed INTEGER NOT NULL, cancelled INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
  completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, cost REAL NOT NULL,
  retrieve_ms REAL NOT NULL, generate_ms REAL NOT NULL, gate_ms REAL NOT NULL, latency BLOB NOT NULL,
  PRIMARY KEY (span, start, tier)
) STRICT, WITHOUT ROWID;
CREATE TABLE objections (
  span INTEGER NOT NULL, start INTEGER NOT NULL, tier TEXT NOT NULL, rule TEXT NOT NULL, attempts INTEGER NOT NULL,
  PRIMARY KEY (span, start, tier, rule)
) STRICT, WITHOUT ROWID;

CREATE TABLE uses (
  record_id TEXT PRIMARY KEY, kind TEXT NOT NULL, title TEXT NOT NULL, place TEXT NOT NULL,
  retrieved INTEGER NOT NULL, cited INTEGER NOT NULL, accepted INTEGER NOT NULL, accepted_cited INTEGER NOT NULL,
  last_at REAL NOT NULL
) STRICT;
CREATE INDEX uses_retrieved ON uses (retrieved, record_id);
CREATE INDEX uses_cited ON uses (cited, record_id);
-- Which ended runs cite a record; `n` is that of `runs`.
CREATE TABLE citing (record_id TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (record_id, n)) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
  batch_id TEXT PRIMARY KEY, first_at REAL NOT NULL, last_at REAL NOT NULL, runs INTEGER NOT NULL,
  accepted INTEGER NOT NULL, rejected INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,
  local INTEGER NOT NULL, escalation INTEGER NOT NULL, by_local INTEGER NOT NULL, by_escalation INTEGER NOT NULL,
  prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
  generate_ms REAL NOT NULL, cost REAL NOT NULL
) STRICT;
CREATE INDEX batches_last ON batches (last_at, batch_id);

CREATE TABLE notes (
  seq INTEGER PRIMARY KEY, schema TEXT NOT NULL, id TEXT NOT NULL, run_id TEXT, batch_id TEXT, at REAL NOT NULL,
  body TEXT
) STRICT;
CREATE INDEX notes_schema ON notes (schema, seq);
CREATE INDEX notes_run ON notes (run_id, seq) WHERE run_id IS NOT NULL;

CREATE TABLE names (kind TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
CREATE TABLE totals (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA user_version = {VERSION};
"""


def views_path(log: Path) -> Path:
    """Where the views of a log lie."""
    return log.with_name(log.name + ".views.sqlite")


@contextmanager
def reading(log: Path) -> Iterator[sqlite3.Connection | None]:
    """A read-only connection for the length of the block; None where there are no views of this version (yet).

    It sees one state of the views within a transaction, and a newer one with each statement outside.
    """
    db = _open_read_only(views_path(log))
    if db is None:
        yield None
        return
    with closing(db):
        yield db


def _open_read_only(path: Path) -> sqlite3.Connection | None:
    try:
        db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.OperationalError:
        return None
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
            # Readers share the pages that the kernel holds, instead of each reading them into a cache of its own.
            db.execute("PRAGMA mmap_size = 4294967296")
            db.row_factory = sqlite3.Row
            return db
    except sqlite3.DatabaseError:
        pass  # being made, or not ours
    db.close()
    return None
