"""A record that contradicts one already in the log: kept whole, never hidden, never in the first one's place."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field

from replay.contracts import Message
from replay.identity import digest

from .format import Body


class ConflictKind(StrEnum):
    """What the two records have in common that only one may have."""

    SAME_ID = "same_id"
    SECOND_END = "second_end"


class Conflict(Message):
    """The later record, and which one stands. Nothing in it comes from the clock: met twice, it is the same record."""

    schema_: Literal["replay_conflict.v1"] = Field("replay_conflict.v1", alias="schema")
    id: str = Field(description="Derived from both body hashes.")
    kind: ConflictKind
    run_id: str | None
    batch_id: str | None
    custom_id: str | None
    first_id: str = Field(description="Id of the record that stands.")
    first_seq: int
    first_hash: str = Field(description="Body hash of the record that stands.")
    other_hash: str
    other: dict[str, Any] = Field(description="The record that came later, whole.")
    recorded_at: str | None = Field(description="As the later record says.")

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def conflict(first_id: str, first_seq: int, first_hash: str, other: Body) -> Conflict:
    """Describe a record that cannot be appended because of an earlier one."""

    def text(field: str) -> str | None:
        value = other.record.get(field)
        return value if isinstance(value, str) else None

    return Conflict(
        id="con_" + digest({"first": first_hash, "other": other.hash})[7:31],
        kind=ConflictKind.SAME_ID if first_id == other.id else ConflictKind.SECOND_END,
        run_id=text("run_id"),
        batch_id=text("batch_id"),
        custom_id=text("custom_id"),
        first_id=first_id,
        first_seq=first_seq,
        first_hash=first_hash,
        other_hash=other.hash,
        other=dict(other.record),
        recorded_at=text("recorded_at"),
    )
