"""Holding a pass over the log against its index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .format import Head, Line
from .index import indexed_head, indexed_tree, open_read_only
from .merkle import TILE, Tree
from .row import COLUMNS, values_of

_PAGE = 2000  # index rows read at a time: a long read would keep the writer's WAL from being reset
_ID = COLUMNS.index("id")


class IndexCheck:
    """An index, as far as it went when this was made.

    `head` is None where there is none; `disagrees` is set at the first contradiction.

    Args:
        log: The log.
    """

    def __init__(self, log: Path) -> None:
        self.head: Head | None = None
        self.disagrees = False
        self._db = open_read_only(log)
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._peaks = b""
        if self._db is not None:
            try:
                self._db.execute("BEGIN")
                head, self._peaks = indexed_head(self._db), indexed_tree(self._db).peaks
                self._db.execute("COMMIT")
            except (ValueError, sqlite3.DatabaseError):
                self.disagrees = True  # it has no state that could be one
            else:
                self.head = head
                self._rows = _rows(self._db, head.seq)

    def close(self) -> None:
        """Let the index go."""
        if self._db is not None:
            self._db.close()

    def compare(self, line: Line, position: int) -> str | None:
        """What should stand where this line begins, if the index knows another."""
        if self.head is None or line.chain.seq > self.head.seq:
            return None
        try:
            row = next(self._rows, None)
        except sqlite3.DatabaseError as error:
            return self._disagree(_unreadable(error))
        if row == values_of(line, position):
            return None
        return self._disagree(
            f"the record that the index has as number {line.chain.seq}" + (f", {row[_ID]}" if row else "")
        )

    def compare_tree(self, tree: Tree) -> str | None:
        """What should stand in the line that made this tree, if the index knows another. Takes the tree's tiles."""
        tiles = tree.take_tiles()
        if self.head is None or self._db is None or tree.size > self.head.seq:
            return None
        try:
            for number, hashed in tiles:
                if self._db.execute("SELECT hash FROM tiles WHERE number = ?", (number,)).fetchone() != (hashed,):
                    first = number * TILE + 1
                    return self._disagree(f"the tree that the index has over records {first} to {first + TILE - 1}")
        except sqlite3.DatabaseError as error:
            return self._disagree(_unreadable(error))
        if tree.size == self.head.seq and tree.peaks != self._peaks:
            return self._disagree(f"the tree that the index has over {tree.size} records")
        return None

    def end(self, head: Head) -> str | None:
        """What should stand behind the log's end, if the index knows more."""
        if self.head is None or self.head.seq <= head.seq:
            return None
        return self._disagree(f"{self.head.seq - head.seq} more records, which the index has")

    def _disagree(self, expected: str) -> str:
        self.disagrees = True
        return expected


def _unreadable(error: sqlite3.DatabaseError) -> str:
    return f"an index that can be read ({error}); it is derived and may be deleted while no writer runs"


def _rows(db: sqlite3.Connection, last: int) -> Iterator[tuple[Any, ...]]:
    sql = f"SELECT {', '.join(COLUMNS)} FROM records WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {_PAGE}"  # noqa: S608  constants
    at = 0
    while page := db.execute(sql, (at, last)).fetchall():
        yield from page
        at = page[-1][0]
