"""The log in other forms, as a stream: its own lines, or a flat table as CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from replay.errors import ConfigurationError
from replay.identity import canonical_json

from .format import Flaw, Line, parse
from .row import COLUMNS, values_of
from .scan import damaged, pieces

CSV_COLUMNS = ("seq", "hash", *(name for name in COLUMNS if name not in {"seq", "offset", "length", "body_hash"}))
"""Of a table: the record's number and chain hash, and what the index knows of it."""

_REAL = "generate_ms"
_WHOLE = frozenset({"seq", "prompt_tokens", "completion_tokens", "cached_tokens"})
_ROWS = 256  # of one Parquet row group; whole records are in it, so this bounds the memory


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which records: those of a batch, in one of these states, recorded at or after a time. None and empty are all."""

    batch: str | None = None
    states: frozenset[str] = frozenset()
    since: datetime | None = None

    def takes(self, record: dict[str, Any]) -> bool:
        """Is this one of them?"""
        if self.batch is not None and record.get("batch_id") != self.batch:
            return False
        if self.states and record.get("state") not in self.states:
            return False
        return self.since is None or self._is_since(record.get("recorded_at"))

    def _is_since(self, recorded_at: object) -> bool:
        try:
            at = datetime.fromisoformat(recorded_at) if isinstance(recorded_at, str) else None
        except ValueError:
            at = None
        # A record that does not say when cannot be said to be late enough.
        return at is not None and self.since is not None and _aware(at) >= _aware(self.since)


def lines(log: Path, chosen: Chosen) -> Iterator[Line]:
    """The chosen lines, in the order of the log. Their `body_hash` is left empty.

    Raises:
        EvidenceDamaged: A line cannot be read.
    """
    wanted = canonical_json(chosen.batch) if chosen.batch is not None else b""
    for seq, (at, piece) in enumerate(pieces(log.absolute()), start=1):
        if not piece.endswith(b"\n"):
            return
        if wanted not in piece:
            continue
        parsed = parse(piece)
        if isinstance(parsed, Flaw):
            raise damaged(log, at, seq, parsed)
        record, chain = parsed
        if chosen.takes(record):
            yield Line(record, "", chain, piece)


def to_jsonl(found: Iterator[Line], out: IO[bytes]) -> int:
    """Write the lines as they lie in the log, chain included, so that each can be checked. Returns how many."""
    count = 0
    for line in found:
        out.write(line.data)
        count += 1
    return count


def to_csv(found: Iterator[Line], out: IO[bytes]) -> int:
    """Write a table with a head; what a record has not is empty. Returns the number of rows."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    table = csv.writer(text)
    table.writerow(CSV_COLUMNS)
    count = 0
    for line in found:
        table.writerow(_flat(line).values())
        count += 1
    text.detach()
    return count


def to_parquet(found: Iterator[Line], out: IO[bytes]) -> int:
    """Write a table, and in its column `record` each record whole, as JSON. Returns the number of rows.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415  an optional part of the installation
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415  as above
    except ImportError as error:
        raise ConfigurationError(
            "Parquet needs pyarrow, which is not installed",
            hint="Install it: pip install 'replay-audit[export]'. Or export as csv or jsonl.",
        ) from error
    types = {name: pa.int64() for name in _WHOLE} | {_REAL: pa.float64(), "terminal": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in (*CSV_COLUMNS, "record")])
    count = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as table:
        rows: list[dict[str, Any]] = []
        for line in found:
            flat = _flat(line)
            rows.append(flat | {"terminal": bool(flat["terminal"]), "record": canonical_json(line.record).decode()})
            if len(rows) == _ROWS:
                table.write_table(pa.Table.from_pylist(rows, schema))
                count, rows = count + len(rows), []
        if rows:
            table.write_table(pa.Table.from_pylist(rows, schema))
    return count + len(rows)


def _flat(line: Line) -> dict[str, Any]:
    known = dict(zip(COLUMNS, values_of(line, 0), strict=True)) | {"hash": line.chain.hash}
    return {name: known[name] for name in CSV_COLUMNS}


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
