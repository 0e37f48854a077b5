"""The SQLite index beside the log: derived, rebuildable, written by the one writer, read by everybody.

It is written after the log's fsync, so while all is well it is never ahead of the log. WAL lets readers in other
processes go on while the writer writes; `synchronous=NORMAL` may lose the last commits with the power, never its
consistency, and what is lost is read again from the log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from .format import Head
from .merkle import Tree
from .row import COLUMNS

VERSION = 2
BUSY_TIMEOUT_S = 10.0
SYNCHRONOUS = "NORMAL"

_SCHEMA = f"""
CREATE TABLE records (
  seq INTEGER PRIMARY KEY, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE, schema TEXT NOT NULL, body_hash TEXT NOT NULL,
  run_id TEXT, batch_id TEXT, custom_id TEXT, tier TEXT, state TEXT, terminal INTEGER NOT NULL,
  ruling TEXT, model TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER,
  generate_ms REAL, recorded_at TEXT
) STRICT;
CREATE INDEX records_open ON records (run_id) WHERE terminal = 0 AND run_id IS NOT NULL;
CREATE UNIQUE INDEX records_terminal ON records (run_id) WHERE terminal = 1;
CREATE INDEX records_batch ON records (batch_id, terminal, state) WHERE batch_id IS NOT NULL;
CREATE TABLE head (
  name TEXT PRIMARY KEY CHECK (name IN ('indexed', 'seen')),
  seq INTEGER NOT NULL, hash TEXT NOT NULL, last INTEGER NOT NULL, "end" INTEGER NOT NULL
) STRICT;
CREATE TABLE tree (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL, peaks BLOB NOT NULL) STRICT;
CREATE TABLE tiles (number INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
PRAGMA user_version = {VERSION};
"""

_INSERT = f"INSERT INTO records VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  only question marks
_KNOWN = "SELECT id, body_hash, run_id, seq, offset, length FROM records WHERE "
_LOOKUP = 500  # parameters of one SELECT


class Known(NamedTuple):
    """An indexed record, as far as deduplication asks."""

    id: str
    body_hash: str
    run_id: str | None
    seq: int
    offset: int
    length: int


def index_path(log: Path) -> Path:
    """Where the index of a log lies."""
    return log.with_name(log.name + ".index.sqlite")


class Index:
    """The writer's side of the index. All methods raise `sqlite3.Error` when the database does.

    Args:
        log: The log, not the index file.
    """

    def __init__(self, log: Path) -> None:
        path = index_path(log)
        try:
            self._db = _connect(path)
        except _Unusable:
            # The WAL goes first: SQLite would replay a stale one onto the new database.
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).unlink()
            self._db = _connect(path)

    def head(self) -> Head:
        """Up to where the log is indexed."""
        return _head(self._db, "indexed") or Head()

    def seen(self) -> Head | None:
        """The head that an earlier index had and the log no longer has, until its loss is recorded."""
        return _head(self._db, "seen")

    def find(self, ids: Sequence[str]) -> dict[str, Known]:
        """The indexed ones of these record ids."""
        return {known.id: known for known in self._lookup("id IN", ids)}

    def ended(self, run_ids: Sequence[str]) -> dict[str, Known]:
        """The terminal records of those of these runs that have ended, by run."""
        return {str(known.run_id): known for known in self._lookup("terminal = 1 AND run_id IN", run_ids)}

    def tree(self) -> Tree:
        """The Merkle tree over what is indexed."""
        return indexed_tree(self._db)

    def add(self, rows: Iterable[tuple[Any, ...]], head: Head, tree: Tree) -> None:
        """Index lines up to `head`, where the tree is `tree`, in one transaction."""
        with self._transaction():
            self._db.executemany(_INSERT, rows)
            self._db.executemany("INSERT INTO tiles VALUES (?, ?)", tree.take_tiles())
            self._db.execute("INSERT OR REPLACE INTO tree VALUES (1, ?, ?)", (tree.size, tree.peaks))
            self._place("indexed", head)

    def restart(self) -> None:
        """Forget every record, as the log is not the indexed one, but not the head, until `forget_seen`."""
        with self._transaction():
            seen = self.seen() or self.head()
            for table in ("records", "tree", "tiles"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608  constants
            self._place("indexed", Head())
            self._place("seen", seen)

    def forget_seen(self) -> None:
        """The loss is recorded in the log."""
        self._db.execute("DELETE FROM head WHERE name = 'seen'")

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def _lookup(self, condition: str, keys: Sequence[str]) -> Iterator[Known]:
        for start in range(0, len(keys), _LOOKUP):
            some = keys[start : start + _LOOKUP]
            for values in self._db.execute(f"{_KNOWN} {condition} ({', '.join('?' * len(some))})", some):
                yield Known(*values)

    def _place(self, name: str, head: Head) -> None:
        self._db.execute("INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?)", (name, *head))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def open_read_only(log: Path) -> sqlite3.Connection | None:
    """A reader's connection, or None where there is no readable index of this version."""
    try:
        db = sqlite3.connect(f"file:{quote(str(index_path(log)))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
    except sqlite3.OperationalError:
        return None
    try:
        if db.execute("PRAGMA user_version").fetchone()[0] == VERSION and indexed_head(db) is not None:
            return db
    except sqlite3.DatabaseError:
        pass
    db.close()
    return None


def indexed_head(db: sqlite3.Connection) -> Head:
    """Up to where the log is indexed, for a reader."""
    return _head(db, "indexed") or Head()


def indexed_tree(db: sqlite3.Connection) -> Tree:
    """The Merkle tree over what is indexed, for a reader."""
    return Tree(*(db.execute("SELECT size, peaks FROM tree").fetchone() or (0, b"")))


def in_memory(rows: Iterable[tuple[Any, ...]]) -> sqlite3.Connection:
    """An index of these rows that is gone when it is closed; of two rows that exclude each other it has the first."""
    db = sqlite3.connect(":memory:")
    db.executescript(_SCHEMA)
    db.executemany(_INSERT.replace("INSERT", "INSERT OR IGNORE", 1), rows)
    return db


_NOT_OURS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # a missing table is the first


class _Unusable(Exception):
    """The file is a database, but not this index."""


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        usable = _prepare(db)
    except sqlite3.DatabaseError as error:
        db.close()
        if error.sqlite_errorcode & 0xFF in _NOT_OURS:
            raise _Unusable from error
        raise
    if not usable:
        db.close()
        raise _Unusable
    return db


def _prepare(db: sqlite3.Connection) -> bool:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
    # Ids are hashes, so each insert touches another page: keep them in memory, and let a page gather several changes
    # in the WAL before it is copied back.
    db.execute("PRAGMA cache_size = -65536")  # KiB
    db.execute("PRAGMA wal_autocheckpoint = 8000")  # pages of 4 KiB
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    elif version != VERSION:
        return False
    newest = db.execute("SELECT COALESCE(MAX(seq), 0) FROM records").fetchone()[0]
    try:
        return bool(newest == indexed_head(db).seq == indexed_tree(db).size)
    except ValueError:
        return False  # no frontier of any tree


def _head(db: sqlite3.Connection, name: str) -> Head | None:
    values = db.execute('SELECT seq, hash, last, "end" FROM head WHERE name = ?', (name,)).fetchone()
    return Head(*values) if values else None
