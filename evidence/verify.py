"""Proof that a log is what was written: one streaming pass, from the first byte, that trusts nothing it reads.

What it cannot see is a log rewritten from some line on with fresh hashes by someone who also rewrote the index; that
takes an old head hash held elsewhere. The report says the head hash for that reason.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from .format import MAX_LINE_BYTES, Flaw, Head, Line, succeed
from .index import indexed_head, open_read_only
from .row import COLUMNS, ended_run, values_of
from .scan import pieces

_PAGE = 2000  # index rows read at a time: a long read would keep the writer's WAL from being reset
_GROWTH_WAIT_S = 1.0  # how long an incomplete last line may take to be completed by a writer


class IndexState(StrEnum):
    """How the index stands to the log. The first three are sound: it is derived and catches up by itself."""

    AGREES = "agrees"
    BEHIND = "behind"
    MISSING = "missing"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong: byte offset in the log, line number from 1, and what should stand there."""

    offset: int
    line: int
    expected: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass over the log found. Up to the fault, if there is one, everything is proved."""

    records: int
    bytes: int
    head: str
    fault: Fault | None
    torn_bytes: int
    index: IndexState

    @property
    def ok(self) -> bool:
        """Is the log whole and proved? An incomplete last line is not, though the next writer can recover from it."""
        return self.fault is None and self.torn_bytes == 0


def verify(path: Path) -> Report:
    """Prove a log: chain, hashes, sequence, canonical bytes, unique ids, one end for each run, and the index.

    A log that is being written is proved up to where it ended when the pass began. A log that does not exist is empty.
    """
    path = path.absolute()
    size = path.stat().st_size if path.exists() else 0
    db = open_read_only(path)
    if db is None:
        return _Pass(path, size, None).report()
    with closing(db):
        return _Pass(path, size, db).report()


class _Pass:
    def __init__(self, path: Path, size: int, db: sqlite3.Connection | None) -> None:
        self._path = path
        self._size = size
        self._indexed = indexed_head(db) if db else None
        self._rows = _rows(db, self._indexed.seq) if db and self._indexed else iter(())
        self._head = Head()
        self._torn = 0
        self._disagrees = False
        self._ids: set[str] = set()
        self._ended: set[str] = set()

    def report(self) -> Report:
        fault = self._lines() or self._index_ahead()
        if self._indexed is None:
            index = IndexState.MISSING
        elif self._disagrees:
            index = IndexState.DISAGREES
        else:
            index = IndexState.BEHIND if self._indexed.seq < self._head.seq else IndexState.AGREES
        return Report(self._head.seq, self._head.end, self._head.hash, fault, self._torn, index)

    def _lines(self) -> Fault | None:
        for offset, piece in self._pieces():
            if not piece.endswith(b"\n") and len(piece) < MAX_LINE_BYTES:
                self._torn = len(piece)
                return None
            line = succeed(piece, self._head)
            if isinstance(line, Flaw):
                return Fault(offset + line.position, self._head.seq + 1, line.expected)
            if (expected := self._contradiction(line, offset)) is not None:
                return Fault(offset, self._head.seq + 1, expected)
            self._head = self._head.after(line)
        return None

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """The lines that begin before the log's end of when the pass began; the last one once it is complete."""
        at = 0
        while at < self._size:
            for offset, piece in pieces(self._path, at):
                at = offset
                if offset >= self._size:
                    return
                if not piece.endswith(b"\n") and len(piece) < MAX_LINE_BYTES and self._grows(offset + len(piece)):
                    break
                yield offset, piece
                at = offset + len(piece)
            else:
                return

    def _contradiction(self, line: Line, offset: int) -> str | None:
        record_id, run = line.record["id"], ended_run(line.record)
        if record_id in self._ids:
            return f"a record id that is not in the log yet, not {record_id} again"
        if run in self._ended:
            return f"no second end of run {run}"
        self._ids.add(record_id)
        if run is not None:
            self._ended.add(run)
        if self._indexed is not None and line.chain.seq <= self._indexed.seq:
            try:
                row = next(self._rows, None)
            except sqlite3.DatabaseError as error:
                self._disagrees = True
                return f"an index that can be read ({error}); it is derived and may be deleted while no writer runs"
            if row != values_of(line, offset):
                self._disagrees = True
                return f"the record that the index has as number {line.chain.seq}" + (f", {row[_ID]}" if row else "")
        return None

    def _index_ahead(self) -> Fault | None:
        if self._indexed is None or self._indexed.seq <= self._head.seq:
            return None
        self._disagrees = True
        lost = self._indexed.seq - self._head.seq
        return Fault(self._head.end, self._head.seq + 1, f"{lost} more records, which the index has")

    def _grows(self, size: int) -> bool:
        until = time.monotonic() + _GROWTH_WAIT_S
        while time.monotonic() < until:
            if self._path.stat().st_size > size:
                return True
            time.sleep(0.01)
        return False


_ID = COLUMNS.index("id")


def _rows(db: sqlite3.Connection, last: int) -> Iterator[tuple[Any, ...]]:
    sql = f"SELECT {', '.join(COLUMNS)} FROM records WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {_PAGE}"  # noqa: S608  constants
    at = 0
    while page := db.execute(sql, (at, last)).fetchall():
        yield from page
        at = page[-1][0]
