"""Reading evidence beside the writer, from any process.

Questions go to the index, which is at most one group commit behind the log (after a crash of the writer: until it is
opened again). Where there is no index the log is read instead, which takes its whole length for each question. Nothing
is proved here beyond that a line is the one asked for; `verify` proves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from replay.contracts import Ruling, State
from replay.errors import EvidenceDamaged

from .format import Chain, Flaw, decode, parse
from .index import in_memory, open_read_only
from .row import COLUMNS, REVIEW_SCHEMA, RUN_SCHEMA, Row, values_of
from .scan import damaged, end_of, pieces, read_at
from .segments import snapshot

_ALL = ", ".join(COLUMNS)
_PAGE = 200
_INT64 = (1 << 63) - 1


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


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was asked: generations, and their tokens as far as the endpoint told them."""

    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int


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

    def runs(self, run_ids: Iterable[str]) -> Iterator[tuple[str, list[Entry]]]:
        """What `run` gives for each of many runs, in their order, with few questions to the index.

        Raises:
            EvidenceDamaged: Another record stands where the index says.
        """
        ids = iter(run_ids)
        while page := list(islice(ids, _PAGE)):
            marks = ", ".join("?" * len(page))
            rows: dict[str, list[Row]] = {run_id: [] for run_id in page}
            # Two partial indexes, each used only where its condition stands in the query.
            for terminal in (0, 1):
                for row in self._rows(f"WHERE run_id IN ({marks}) AND terminal = {terminal}", *page):
                    rows[str(row.run_id)].append(row)
            for run_id in page:
                yield run_id, [self._read(row) for row in sorted(rows[run_id], key=lambda row: row.seq)]

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

    def usage(self, tier: str, start: str, end: str) -> list[Usage]:
        """What the generations of a lane used by their model, of records from `start` on and before `end` (ISO, UTC).

        A generation that was reused was not asked for, and took no time.
        """
        found = self._query(
            "SELECT model, COUNT(*), TOTAL(prompt_tokens), TOTAL(completion_tokens) FROM records"
            " WHERE schema = ? AND tier = ? AND model IS NOT NULL AND generate_ms > 0"
            " AND recorded_at >= ? AND recorded_at < ? GROUP BY model",
            RUN_SCHEMA,
            tier,
            start,
            end,
        )
        return [Usage(model, calls, int(prompt), int(completion)) for model, calls, prompt, completion in found]

    def terminal_ids(self, batch_id: str) -> set[str]:
        """The runs of a batch that have ended."""
        return {
            run for (run,) in self._query("SELECT run_id FROM records WHERE batch_id = ? AND terminal = 1", batch_id)
        }

    def tail(self, count: int) -> list[Row]:
        """The last records, oldest first."""
        return self._rows("ORDER BY seq DESC LIMIT ?", count)[::-1]

    def awaiting_review(self, count: int, *, before: int | None = None) -> list[Row]:
        """Ends that a person had better look at and nobody has: rejections, and answers accepted as undecided.

        The newest first; only those before record `before`, where that is given.
        """
        return self._rows(
            "WHERE terminal = 1 AND (state = ? OR (state = ? AND ruling = ?)) AND seq < ? AND NOT EXISTS (SELECT 1 FROM"
            " records AS said WHERE said.run_id = records.run_id AND said.terminal = 0 AND said.schema = ?)"
            " ORDER BY seq DESC LIMIT ?",
            State.REJECTED,
            State.ACCEPTED,
            Ruling.UNSURE,
            _INT64 if before is None else before,
            REVIEW_SCHEMA,
            count,
        )

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

    def question(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the index in SQL; for `evidence.ledger`, which knows its columns."""
        return self._query(sql, *values)

    def each(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """The answers to such a question one after the other, for when they are many.

        Where the index fails in the middle they come again from the beginning, out of the log.
        """
        if (db := open_read_only(self.path)) is not None:
            with closing(db), suppress(sqlite3.DatabaseError):
                yield from db.execute(sql, values)
                return
        with closing(in_memory(self._scan())) as db:
            yield from db.execute(sql, values)

    def read(self, row: Row) -> Entry:
        """The record of a row.

        Raises:
            EvidenceDamaged: Another one stands where the index says.
        """
        return self._read(row)

    def _rows(self, condition: str, *values: object) -> list[Row]:
        found = self._query(f"SELECT {_ALL} FROM records {condition}", *values)  # noqa: S608  constants of this file
        return [Row.of(row) for row in found]

    def _query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        found = self._indexed(sql, values)
        if found is not None:
            return found
        with closing(in_memory(self._scan())) as db:
            # An index that has come to be meanwhile is asked after all: it may be a group behind what was just read,
            # and whoever asks next would see less than this one.
            found = self._indexed(sql, values)
            return db.execute(sql, values).fetchall() if found is None else found

    def _indexed(self, sql: str, values: tuple[object, ...]) -> list[tuple[Any, ...]] | None:
        # A connection for each question: it sees an index that was replaced, and belongs to no thread.
        if (db := open_read_only(self.path)) is not None:
            with closing(db), suppress(sqlite3.DatabaseError):  # damaged, or just being replaced: the log says it too
                return db.execute(sql, values).fetchall()
        return None

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
