"""Bringing the views up to date with the log: a chunk, a transaction, and the position reached in the same transaction.

A crash loses the chunk that was being read, never half of one. Where the log is not the one that was read, since it was
put back from a backup or another one lies there, or where the tables are of another version, the views begin anew.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from evidence.format import Flaw, Head, parse
from evidence.scan import damaged, end_of, pieces, read_at

from .gather import Chunk
from .schema import BUSY_TIMEOUT_S, SCHEMA, VERSION, views_path

CHUNK_RECORDS = 4000
CHUNK_S = 1.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NOT_OURS = (sqlite3.SQLITE_ERROR, *_DAMAGED)  # a missing table is the first


@dataclass(frozen=True)
class Progress:
    """How far the views are.

    Attributes:
        seq: The last record that is in them.
        read: Bytes of the log that are in them.
        end: Bytes of the log.
        records: Records that this call brought in.
        busy: Another process is at it; this call did nothing.
    """

    seq: int
    read: int
    end: int
    records: int = 0
    busy: bool = False

    @property
    def share(self) -> float:
        """How much of the log is in the views, 0 to 1."""
        return self.read / self.end if self.end else 1.0


def catch_up(log: Path, *, budget_s: float = 5.0) -> Progress:
    """Take what is new in the log into its views, for about `budget_s` at most.

    Raises:
        EvidenceDamaged: A line of the log cannot be read.
    """
    log = log.absolute()
    if not log.parent.is_dir():
        return Progress(0, 0, 0)
    with _alone(log) as alone:
        if not alone:
            return _stands(log)
        deadline = time.monotonic() + budget_s
        try:
            with closing(_opened(log)) as db:
                return _follow(log, db, deadline)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _DAMAGED:
                raise
        # Damage that shows only where it is read.
        _remove(views_path(log))
        with closing(_opened(log)) as db:
            return _follow(log, db, deadline)


def _stands(log: Path) -> Progress:
    head = Head()
    with suppress(sqlite3.Error), closing(sqlite3.connect(views_path(log), timeout=BUSY_TIMEOUT_S)) as db:
        head = _position(db)
    return Progress(head.seq, head.end, end_of(log), busy=True)


def _follow(log: Path, db: sqlite3.Connection, deadline: float) -> Progress:
    began = head = _position(db)
    lines = pieces(log, head.end)
    while True:
        with _transaction(db):
            chunk = Chunk(db, time.time())
            before, head = head, _fill(chunk, lines, log, head)
            if head == before:
                break
            chunk.write()
            db.execute("INSERT OR REPLACE INTO position VALUES (1, ?, ?, ?, ?)", head)
        # Dies here: the chunk is in, and so is that it is.
        if time.monotonic() >= deadline:
            break
    return Progress(head.seq, head.end, max(end_of(log), head.end), head.seq - began.seq)


def _fill(chunk: Chunk, lines: Iterator[tuple[int, bytes]], log: Path, head: Head) -> Head:
    last_seq, until = head.seq + CHUNK_RECORDS, time.monotonic() + CHUNK_S
    for position, piece in lines:
        if not piece.endswith(b"\n"):
            break  # being written; the next call begins at it again
        line = parse(piece)
        if isinstance(line, Flaw):
            raise damaged(log, position, head.seq + 1, line)
        record, chain = line
        chunk.add(record, chain.seq)
        head = Head(chain.seq, chain.hash, position, position + len(piece))
        if head.seq >= last_seq or time.monotonic() >= until:
            break
    return head


def _opened(log: Path) -> sqlite3.Connection:
    """The database, made where there is none that fits this log."""
    path = views_path(log)
    try:
        db = _connect(path)
        if _fits(db, log):
            return db
        db.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in _NOT_OURS:
            raise
    _remove(path)
    return _connect(path)


def _remove(path: Path) -> None:
    # The WAL goes first: SQLite would replay a stale one onto the new database.
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        # As in `evidence.index`: ids are hashes, so each insert touches another page; a page gathers several changes in
        # the WAL before it is copied back.
        db.execute("PRAGMA cache_size = -65536")  # KiB
        db.execute("PRAGMA wal_autocheckpoint = 16000")  # pages of 4 KiB
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _fits(db: sqlite3.Connection, log: Path) -> bool:
    if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        return False
    head = _position(db)
    if head.seq == 0:
        return True
    line = parse(read_at(log, head.last, head.end - head.last))
    return not isinstance(line, Flaw) and (line[1].seq, line[1].hash) == (head.seq, head.hash)


def _position(db: sqlite3.Connection) -> Head:
    row = db.execute('SELECT seq, hash, last, "end" FROM position').fetchone()
    return Head(*row) if row else Head()


@contextmanager
def _alone(log: Path) -> Iterator[bool]:
    """The right to write the views, if nobody has it; the kernel takes it back from a process that dies."""
    fd = os.open(views_path(log).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
