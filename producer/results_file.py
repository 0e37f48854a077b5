"""Results as files: JSON lines, CSV or Parquet, a row for each task in the order of the input, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import IO, Any

from producer.results import COLUMNS, Result, to_csv, to_jsonl
from replay.contracts import State
from replay.errors import ConfigurationError

_WHOLE = frozenset({"prompt_tokens", "completion_tokens", "cached_tokens"})
_LISTS = frozenset({"reasons", "local_rules"})
_ROWS = 5000


class Form(StrEnum):
    """What results can be written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def write(rows: Iterable[Result], form: Form, out: IO[bytes]) -> int:
    """Write rows, and return how many they were.

    Raises:
        ConfigurationError: Parquet is wanted, and pyarrow is not installed.
    """
    return _WRITERS[form](rows, out)


def failed_only(rows: Iterable[Result]) -> Iterator[Result]:
    """Those that ended without an answer."""
    return (row for row in rows if row.state == State.FAILED)


def _as_lines(lines: Callable[[Iterable[Result]], Iterator[str]]) -> Callable[[Iterable[Result], IO[bytes]], int]:
    def written(rows: Iterable[Result], out: IO[bytes]) -> int:
        counted = _Counted(rows)
        for line in lines(counted):
            out.write(line.encode("utf-8", "backslashreplace") + b"\n")
        return counted.count

    return written


class _Counted:
    def __init__(self, rows: Iterable[Result]) -> None:
        self.count = 0
        self._rows = rows

    def __iter__(self) -> Iterator[Result]:
        for row in self._rows:
            self.count += 1
            yield row


def _to_parquet(rows: Iterable[Result], out: IO[bytes]) -> int:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415  an optional part of the installation
        import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415  as above
    except ImportError as error:
        raise ConfigurationError(
            "Parquet needs pyarrow, which is not installed",
            hint="Install it: pip install 'replay-audit[export]'. Or take csv or jsonl.",
        ) from error
    types: dict[str, Any] = dict.fromkeys(_WHOLE, pa.int64()) | dict.fromkeys(_LISTS, pa.list_(pa.string()))
    types |= {"seconds": pa.float64(), "reused": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    count = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as table:
        held: list[dict[str, Any]] = []
        for row in rows:
            count += 1
            held.append(asdict(row))
            if len(held) == _ROWS:
                table.write_table(pa.Table.from_pylist(held, schema))
                held = []
        if held:
            table.write_table(pa.Table.from_pylist(held, schema))
    return count


_WRITERS: dict[Form, Callable[[Iterable[Result], IO[bytes]], int]] = {
    Form.JSONL: _as_lines(to_jsonl),
    Form.CSV: _as_lines(to_csv),
    Form.PARQUET: _to_parquet,
}
