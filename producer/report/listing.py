"""The runs that a person had better look at: failed and rejected ones, the newest first, each with why and how."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from evidence.reader import EvidenceReader
from evidence.row import COLUMNS, Row
from producer.report.scope import Head, Scope
from replay.compact import TextSet
from replay.contracts import State
from replay.identity import Json

MOST = 200
_MOST_REASONS = 8


@dataclass(frozen=True)
class Listed:
    """A run that was rejected or failed.

    Attributes:
        run_id: Which one.
        batch_id: Of this batch.
        custom_id: Its name in the input.
        task: Its text.
        tier: Whose attempt ended it; empty where none did.
        model: That made it.
        reasons: Why, the gate's or the end's.
        command: Shows all about it.
    """

    run_id: str
    batch_id: str
    custom_id: str
    task: str
    tier: str
    model: str
    reasons: tuple[str, ...]
    command: str


def listed(
    state: State, scope: Scope, reader: EvidenceReader, head: Head, *, without: TextSet, most: int
) -> Iterator[Listed]:
    """Runs that ended so, one after the other, the newest first.

    Args:
        state: How they ended.
        scope: What the report is about.
        reader: Of the log.
        head: Up to where.
        without: Runs in whose place others stand.
        most: So many at most.

    Raises:
        EvidenceDamaged: A record cannot be read.
    """
    where, values = scope.condition()
    sql = (
        f"SELECT {', '.join(COLUMNS)} FROM records WHERE {where} AND terminal = 1 AND state = ? AND seq <= ?"  # noqa: S608  constants
        " ORDER BY seq DESC"
    )

    def each() -> Iterator[Listed]:
        for values_of_row in reader.each(sql, *values, state, head.seq):
            row = Row.of(values_of_row)
            if str(row.run_id) in without:
                continue
            record = reader.read(row).record
            if scope.takes(record):
                yield _listed(state, record)

    return islice(each(), most)


def _listed(state: State, record: Mapping[str, Json]) -> Listed:
    attempt = _object(record.get("attempt"))
    found = _object(attempt.get("verdict")).get("reasons")
    reasons = [
        f"{reason.get('rule')}: {reason.get('message')}"
        for reason in (found[:_MOST_REASONS] if isinstance(found, list) else ())
        if isinstance(reason, dict)
    ]
    if record.get("reason"):
        reasons.append(str(record["reason"]))
    run_id = str(record.get("run_id"))
    # A verdict is explained by the gate; of a failure the record says all there is.
    command = "replay gate explain" if state is State.REJECTED else "replay evidence show"
    return Listed(
        run_id=run_id,
        batch_id=str(record.get("batch_id")),
        custom_id=str(record.get("custom_id")),
        task=str(_object(record.get("task")).get("text")),
        tier=str(attempt.get("tier") or ""),
        model=str(_object(attempt.get("generation")).get("model") or ""),
        reasons=tuple(reasons),
        command=f"{command} {shlex.quote(run_id)}",
    )


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}
