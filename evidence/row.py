"""What the index knows of a record: one flat row, taken from the record alone, so that it can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from replay.contracts import TERMINAL
from replay.identity import Json

from .format import Line

RUN_SCHEMA = "replay_run.v1"
REVIEW_SCHEMA = "replay_review.v1"
ADMISSION_SCHEMA = "replay_admission.v1"

_INT64 = 1 << 63


@dataclass(frozen=True, slots=True)
class Row:
    """A record's place and what is asked about it most. What a record does not have, or has in no usable form, is None.

    `terminal` is true for the record that ends its run; `ruling` is what the answer says of the claim (the gate's
    decision is in `state`); `generate_ms` is in milliseconds, `length` in bytes; `offset` is a position in the log
    (`segments`).
    """

    seq: int
    offset: int
    length: int
    id: str
    schema: str
    body_hash: str
    run_id: str | None
    batch_id: str | None
    custom_id: str | None
    tier: str | None
    state: str | None
    terminal: bool
    ruling: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    generate_ms: float | None
    recorded_at: str | None

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Row:
        """A row from the values of `COLUMNS`, as `values_of` or SQLite gives them."""
        row = dict(zip(COLUMNS, values, strict=True))
        return cls(**row | {"terminal": bool(row["terminal"])})


COLUMNS = tuple(field.name for field in fields(Row))


def values_of(line: Line, offset: int) -> tuple[Any, ...]:
    """The values of `COLUMNS` for a line that begins at `offset`."""
    record = line.record
    attempt = _object(record.get("attempt"))
    generation = _object(attempt.get("generation"))
    usage = _object(generation.get("usage"))
    return (
        line.chain.seq,
        offset,
        len(line.data),
        record["id"],
        record["schema"],
        line.body_hash,
        _text(record.get("run_id")),
        _text(record.get("batch_id")),
        _text(record.get("custom_id")),
        _text(attempt.get("tier")),
        _text(record.get("state")),
        int(ended_run(record) is not None),
        _text(_object(attempt.get("answer")).get("verdict")),
        _text(generation.get("model")),
        _whole(usage.get("prompt_tokens")),
        _whole(usage.get("completion_tokens")),
        _whole(usage.get("cached_tokens")),
        _real(_object(attempt.get("timings")).get("generate_ms")),
        _text(record.get("recorded_at")),
    )


def ended_run(record: Mapping[str, Json]) -> str | None:
    """The run that this record ends, if it ends one."""
    if record["schema"] != RUN_SCHEMA or record.get("state") not in _TERMINAL_STATES:
        return None
    return _text(record.get("run_id"))


_TERMINAL_STATES = tuple(TERMINAL)  # a tuple compares; a set would have to hash whatever JSON stands in `state`


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -_INT64 <= value < _INT64 else None


def _real(value: Json) -> float | None:
    return float(value) if isinstance(value, float) or _whole(value) is not None else None
