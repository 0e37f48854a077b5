"""The way of evidence to the writer: a Redis Stream with one consumer group.

An append is one atomic command. What the writer has read and not yet acknowledged stays on the group's pending list, so
the pending list is the lease: a writer that comes back reads its own pending entries first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import ResponseError

from replay.topology import EVIDENCE_STREAM, WRITER_GROUP

FIELD = "record"


@dataclass(frozen=True)
class Entry:
    """One entry: the stream's id and the bytes of its record. Empty bytes: an entry without the field."""

    entry_id: bytes
    record: bytes


def append(client: redis.Redis, record: bytes) -> None:
    """Append one record. Inside a pipeline or script, `XADD` the same field to `EVIDENCE_STREAM`."""
    client.xadd(EVIDENCE_STREAM, {FIELD: record})


def backlog(client: redis.Redis) -> int:
    """Records that are not yet in the log: acknowledged entries are deleted, so it is the stream's length."""
    return client.xlen(EVIDENCE_STREAM)


class EvidenceStream:
    """The writer's end of the stream.

    Args:
        client: The broker.
        consumer: Name of this writer in the group. The same name after a restart finds its own pending entries.
    """

    def __init__(self, client: redis.Redis, consumer: str) -> None:
        self._client = client
        self._consumer = consumer
        self._pending_from: bytes | None = b"0"

    def ensure_group(self) -> None:
        """Create stream and group where they are missing; a broker that lost its data lost the group as well."""
        with contextlib.suppress(ResponseError):  # BUSYGROUP: it is there
            self._client.xgroup_create(EVIDENCE_STREAM, WRITER_GROUP, id="0", mkstream=True)

    def rewind(self) -> None:
        """Read this consumer's pending entries again before anything new: after a reconnect or a failed batch."""
        self._pending_from = b"0"

    def read(self, count: int, block_ms: int) -> list[Entry]:
        """Return up to `count` entries: own pending ones first, then new ones, waiting for those up to `block_ms`."""
        if self._pending_from is not None:
            entries = self._read_group(self._pending_from, count, None)
            # Pending entries are paged by id; acknowledging them does not move the page.
            self._pending_from = entries[-1].entry_id if entries else None
            if entries:
                return entries
        return self._read_group(b">", count, block_ms or None)

    def take_over(self, idle_ms: int, count: int) -> list[Entry]:
        """Take pending entries of writers that have not acknowledged them for `idle_ms`: those are dead."""
        reply: Any = self._client.xautoclaim(
            EVIDENCE_STREAM, WRITER_GROUP, self._consumer, min_idle_time=idle_ms, count=count
        )
        return _entries(reply[1])

    def acknowledge(self, entry_ids: Sequence[bytes]) -> None:
        """Forget entries that are in the log. In one transaction, so the length of the stream is the backlog."""
        if not entry_ids:
            return
        with self._client.pipeline(transaction=True) as pipe:
            pipe.xack(EVIDENCE_STREAM, WRITER_GROUP, *entry_ids)
            pipe.xdel(EVIDENCE_STREAM, *entry_ids)
            pipe.execute()

    def _read_group(self, start: bytes, count: int, block_ms: int | None) -> list[Entry]:
        streams: dict[Any, Any] = {EVIDENCE_STREAM: start}
        # RESP 2: a list of (stream, entries); None after an idle wait.
        reply: Any = self._client.xreadgroup(WRITER_GROUP, self._consumer, streams, count=count, block=block_ms)
        return _entries(reply[0][1]) if reply else []


def _entries(rows: list[Any]) -> list[Entry]:
    # A row without fields is a pending entry that was deleted from the stream meanwhile.
    return [Entry(entry_id, (fields or {}).get(FIELD.encode(), b"")) for entry_id, fields in rows]
