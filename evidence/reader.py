"""Reading evidence beside the writer, from any process.

Questions go to the index, which is at most one group commit behind the log (after a crash of the writer: until it is
opened again). Where there is no index the log is read instead, which takes its whole length for each question. Nothing
is proved here beyond that a line is the one asked for; `verify` proves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from replay.contracts import State
from replay.errors import EvidenceDamaged

from .format import Chain, Flaw, decode, parse
from .index import in_memory, open_read_only
from .row import COLUMNS, RUN_SCHEMA, Row, values_of
from .scan import damaged, end_of, pieces, read_at
from .segments import snapshot

_ALL = ", ".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as the log holds it, and where: `offset` is a position in the log (`segments`), `length` is in bytes.

    `record` is without its `chain`.
    """

    record: dict[str, Any]
    chain: Chain
    offset: int
    length: int

    @property
    def end(self) -> int:
        """The position after it, where the next one begins."""
        return self.offset + self.length


class EvidenceReader:
    """Answers questions about a log that may be growing, or not exist yet. Holds nothing open between calls."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def get(self, record_id: str) -> Entry | None:
        """The record of this id.

        Raises:
            EvidenceDamaged: Another one stands where the index says.
        """
        rows = self._rows("WHERE id = ?", record_id)
        return self._read(rows[0]) if rows else None

    def run(self, run_id: str) -> list[Entry]:
        """Everything about a run, in the order of the log: its attempts, its end, and what contradicted them.

        Raises:
            EvidenceDamaged: Another record stands where the index says.
        """
        # Two partial indexes, each used only where its condition stands in the query.
        rows = self._rows("WHERE run_id = ? AND terminal = 0", run_id) + self._rows(
            "WHERE run_id = ? AND terminal = 1", run_id
        )
        return [self._read(row) for row in sorted(rows, key=lambda row: row.seq)]

    def batch_states(self, batch_id: str) -> dict[str, Row]:
        """Where each run of a batch stands: its end, or else its latest attempt. Runs without evidence are absent."""
        rows = self._rows(
            "WHERE batch_id = ? AND schema = ? AND run_id IS NOT NULL ORDER BY terminal, seq", batch_id, RUN_SCHEMA
        )
        return {str(row.run_id): row for row in rows}

    def batch_counts(self, batch_id: str) -> dict[State, int]:
        """How many runs of a batch stand in each state. Runs without evidence are not counted."""
        ended = self._query(
            "SELECT state, COUNT(*) FROM records WHERE batch_id = ? AND terminal = 1 GROUP BY state", batch_id
        )
        going_on = self._query(
            "SELECT COUNT(DISTINCT run_id) FROM records AS going WHERE batch_id = ? AND terminal = 0 AND state = ?"
            " AND NOT EXISTS (SELECT 1 FROM records AS over WHERE over.run_id = going.run_id AND over.terminal = 1)",
            batch_id,
            State.ESCALATED,
        )
        return dict.fromkeys(State, 0) | {State(s): n for s, n in ended} | {State.ESCALATED: going_on[0][0]}

    def terminal_ids(self, batch_id: str) -> set[str]:
        """The runs of a batch that have ended."""
        return {
            run for (run,) in self._query("SELECT run_id FROM records WHERE batch_id = ? AND terminal = 1", batch_id)
        }

    def tail(self, count: int) -> list[Row]:
        """The last records, oldest first."""
        return self._rows("ORDER BY seq DESC LIMIT ?", count)[::-1]

    def iterate(self, start: int = 0) -> Iterator[Entry]:
        """Yield each complete line from position `start` on, which must begin a line (as `Entry.end` does).

        Raises:
            EvidenceDamaged: A line cannot be read.
        """
        for offset, piece in pieces(self.path, start):
            if not piece.endswith(b"\n"):
                return
            parsed = parse(piece)
            if isinstance(parsed, Flaw):
                seq = 1 + sum(1 for at, _ in pieces(self.path) if at < offset)
                raise damaged(self.path, offset, seq, parsed)
            yield Entry(*parsed, offset, len(piece))

    def follow(
        self,
        start: int | None = None,
        *,
        poll_s: float = 0.2,
        stop: Event | None = None,
    ) -> Iterator[Entry]:
        """Yield lines as they are appended, for ever or until `stop` is set and all that was there is read.

        Args:
            start: Position to begin at, the beginning of a line; None is the present end of the log.
            poll_s: Seconds between two looks.
            stop: Ends it, without waiting for the next look.

        Raises:
            EvidenceDamaged: The log got shorter than what was read of it, or a line cannot be read.
        """
        at = self.end() if start is None else start
        stop = stop or Event()
        stopping = False
        while not stopping:
            stopping = stop.is_set()  # before the look, so that what was appended before it was set is yielded
            if self.path.exists() and end_of(self.path) < at:
                raise EvidenceDamaged(
                    f"{self.path} was cut: it is shorter than the {at} bytes that were read of it",
                    hint="Run `replay evidence verify`.",
                )
            for entry in self.iterate(at):
                yield entry
                at = entry.end
            stop.wait(poll_s)

    def end(self) -> int:
        """The position after the last complete line."""
        with snapshot(self.path) as (manifest, file):
            if file is None:
                return manifest.end
            at = file.seek(0, 2)
            while at > 0:
                step = min(at, 1 << 16)
                file.seek(at - step)
                newline = file.read(step).rfind(b"\n")
                if newline >= 0:
                    return manifest.end + at - step + newline + 1
                at -= step
            return manifest.end

    def _rows(self, condition: str, *values: object) -> list[Row]:
        found = self._query(f"SELECT {_ALL} FROM records {condition}", *values)  # noqa: S608  constants of this file
        return [Row.of(row) for row in found]

    def _query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        # A connection for each question: it sees an index that was replaced, and belongs to no thread.
        if (db := open_read_only(self.path)) is not None:
            with closing(db), suppress(sqlite3.DatabaseError):  # damaged, or just being replaced: the log says it too
                return db.execute(sql, values).fetchall()
        with closing(in_memory(self._scan())) as db:
            return db.execute(sql, values).fetchall()

    def _scan(self) -> Iterator[tuple[Any, ...]]:
        for number, (offset, piece) in enumerate(pieces(self.path), start=1):
            if not piece.endswith(b"\n"):
                return
            line = decode(piece)
            if isinstance(line, Flaw):
                raise damaged(self.path, offset, number, line)
            yield values_of(line, offset)

    def _read(self, row: Row) -> Entry:
        parsed = parse(read_at(self.path, row.offset, row.length))
        if isinstance(parsed, Flaw):
            raise damaged(self.path, row.offset, row.seq, parsed)
        record, chain = parsed
        if (record.get("id"), chain.seq) != (row.id, row.seq):
            raise damaged(self.path, row.offset, row.seq, Flaw(0, f"record {row.id}, as the index says"))
        return Entry(record, chain, row.offset, row.length)
