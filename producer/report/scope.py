"""What a report is about: one batch, a period, or everything; and the stretch of the log that holds it.

The time of a record is that of the worker that made it. Clocks differ, so records of a period need not lie side by side
in the log: the index says where the first and the last of them are, and what lies between is looked at one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from evidence.reader import EvidenceReader
from evidence.row import RUN_SCHEMA
from evidence.views.extract import moment
from replay.contracts import State
from replay.identity import Json


@dataclass(frozen=True)
class Head:
    """The record that was the last one when the report was made.

    Attributes:
        seq: Its number; 0 without any.
        hash: Its hash in the chain, which stands for all the log up to it.
        end: The position after it.
    """

    seq: int = 0
    hash: str = ""
    end: int = 0


@dataclass(frozen=True)
class Stretch:
    """A part of the log: positions of its first byte and after its last one."""

    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Scope:
    """Which records a report is about.

    Attributes:
        batch_id: Those of this batch; None: of all.
        since: Those that were recorded then or later.
        until: Those that were recorded before.
    """

    batch_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def takes(self, record: Mapping[str, Json]) -> bool:
        """Is the report about this record? One that does not say when is in no period."""
        if self.batch_id is not None and record.get("batch_id") != self.batch_id:
            return False
        if self.since is None and self.until is None:
            return True
        at = moment(record.get("recorded_at"), math.inf)
        return (
            math.isfinite(at)
            and (self.since is None or at >= self.since.timestamp())
            and (self.until is None or at < self.until.timestamp())
        )

    def condition(self, name: str = "records") -> tuple[str, list[object]]:
        """The same for the index, as SQL about the table of this name; of a period some more days than are meant."""
        parts, values = [f"{name}.schema = ?"], list[object]([RUN_SCHEMA])
        if self.batch_id is not None:
            parts.append(f"{name}.batch_id = ?")
            values.append(self.batch_id)
        # Times are texts there, of any zone: a day on both sides is more than zones differ.
        if self.since is not None:
            parts.append(f"{name}.recorded_at >= ?")
            values.append(_day(self.since - timedelta(days=1)))
        if self.until is not None:
            parts.append(f"{name}.recorded_at < ?")
            values.append(_day(self.until + timedelta(days=2)))
        return " AND ".join(parts), values


def _day(at: datetime) -> str:
    return at.astimezone(UTC).date().isoformat()


def head(reader: EvidenceReader) -> Head:
    """Where the log ends now.

    Raises:
        EvidenceDamaged: Another record stands where the index says.
    """
    last = reader.tail(1)
    if not last:
        return Head()
    entry = reader.read(last[0])
    return Head(entry.chain.seq, entry.chain.hash, entry.end)


def stretch(reader: EvidenceReader, scope: Scope, top: Head) -> Stretch:
    """Where the records of a report lie, up to the head."""
    if scope == Scope():
        return Stretch(0, top.end)
    where, values = scope.condition()
    sql = f"SELECT MIN(offset), MAX(offset + length) FROM records WHERE {where} AND seq <= ?"  # noqa: S608  constants
    start, end = reader.question(sql, *values, top.seq)[0]
    return Stretch(start or 0, end or 0)


def still_open(reader: EvidenceReader, scope: Scope, top: Head) -> int:
    """Runs whose local answer was handed on and that have not ended."""
    where, values = scope.condition("going")
    sql = (
        f"SELECT COUNT(DISTINCT going.run_id) FROM records AS going WHERE {where} AND going.terminal = 0"  # noqa: S608  constants
        " AND going.state = ? AND going.seq <= ? AND NOT EXISTS"
        " (SELECT 1 FROM records AS over WHERE over.run_id = going.run_id AND over.terminal = 1)"
    )
    return int(reader.question(sql, *values, State.ESCALATED, top.seq)[0][0])


def newest_batches(reader: EvidenceReader, scope: Scope, most: int) -> list[str]:
    """The batches that have evidence, the newest ones, in the order of their first."""
    where, values = scope.condition()
    sql = (
        f"SELECT batch_id FROM records WHERE {where} AND batch_id IS NOT NULL"  # noqa: S608  constants
        " GROUP BY batch_id ORDER BY MIN(seq) DESC LIMIT ?"
    )
    return [str(batch_id) for (batch_id,) in reader.question(sql, *values, most)][::-1]
