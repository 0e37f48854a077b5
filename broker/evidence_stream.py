"""The way of evidence to the writer: a Redis Stream with one consumer group.

An append is one atomic command. What the writer has read and not yet acknowledged stays on the group's pending list, so
the pending list is the lease: a writer that comes back reads its own pending entries first.

Where messages are signed, an entry carries the signature of its record. One whose signature does not hold, or that has
no record at all, is read as a dead letter.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import redis
from redis.exceptions import ResponseError

from broker import dead
from broker.signing import UNSIGNED, Keyring
from replay import tracing
from replay.contracts import DeadLetter
from replay.identity import canonical_json
from replay.topology import EVIDENCE_STREAM, WRITER_GROUP

logger = logging.getLogger(__name__)

FIELD = "record"
SIGNATURE = "signature"

_FIELD, _SIGNATURE, _TRACEPARENT = FIELD.encode(), SIGNATURE.encode(), tracing.HEADER.encode()

_PAGE = 500
# The name of a writer that holds nothing is forgotten after a day.
_FORGET_MS = 24 * 3600 * 1000


class Entry(NamedTuple):
    """One entry: the stream's id and the bytes of its record.

    `traceparent` is the trace that it belongs to, in the words of whoever wrote it; empty where it says of none.
    No bytes: it was deleted from the stream after it had been read once, so there is nothing left to keep.
    """

    entry_id: bytes
    record: bytes
    traceparent: str = ""


def append(client: redis.Redis, record: bytes, keyring: Keyring = UNSIGNED) -> None:
    """Append one record, signed where there are keys. A script `XADD`s the same fields to `EVIDENCE_STREAM`."""
    fields: dict[Any, Any] = {FIELD: record}
    if (signature := signature_of(record, keyring)) is not None:
        fields[SIGNATURE] = signature
    client.xadd(EVIDENCE_STREAM, fields)


def signature_of(record: bytes, keyring: Keyring) -> str | None:
    """The signature that an entry with this record carries."""
    return keyring.sign(EVIDENCE_STREAM, "", record)


def backlog(client: redis.Redis) -> int:
    """Records that are not yet in the log: acknowledged entries are deleted, so it is the stream's length."""
    return client.xlen(EVIDENCE_STREAM)


class EvidenceStream:
    """The writer's end of the stream.

    Args:
        client: The broker.
        consumer: Name of this writer in the group. The same name finds its own pending entries again.
        keyring: Proves what is read.
    """

    def __init__(self, client: redis.Redis, consumer: str, keyring: Keyring = UNSIGNED) -> None:
        self._client = client
        self._keyring = keyring
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

    def inherit(self, idle_ms: int) -> int:
        """Take the pending entries of other writers that have not acknowledged them for `idle_ms`.

        They are read next, before anything new.

        Returns:
            How many there were.
        """
        taken = 0
        for consumer in self._client.xinfo_consumers(EVIDENCE_STREAM, WRITER_GROUP):
            name = consumer["name"].decode()
            if name == self._consumer:
                continue
            if not consumer["pending"]:
                if consumer["idle"] > _FORGET_MS:
                    self._client.xgroup_delconsumer(EVIDENCE_STREAM, WRITER_GROUP, name)
                continue
            first: bytes = b"-"
            while page := self._client.xpending_range(
                EVIDENCE_STREAM, WRITER_GROUP, first, b"+", _PAGE, consumername=name, idle=idle_ms or None
            ):
                ids: list[Any] = [entry["message_id"] for entry in page]
                self._client.xclaim(EVIDENCE_STREAM, WRITER_GROUP, self._consumer, idle_ms, ids, justid=True)
                taken += len(ids)
                first = b"(" + ids[-1]
        if taken:
            self.rewind()
        return taken

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
        return _entries(reply[0][1], self._keyring) if reply else []


def _entries(rows: list[Any], keyring: Keyring) -> list[Entry]:
    return [_entry(entry_id, fields or {}, keyring) for entry_id, fields in rows]


def _entry(entry_id: bytes, fields: dict[bytes, bytes], keyring: Keyring) -> Entry:
    if not fields:
        # The server allows no entry without fields: this one is pending and was deleted. Deleting is not ours.
        logger.error("entry %s of the evidence stream was deleted by somebody before it was written", entry_id.decode())
        return Entry(entry_id, b"")
    record = fields.get(_FIELD, b"")
    if not record:
        cause = f"evidence: an entry without the field `{FIELD}`"
        logger.error("%s; kept as dead_entry_%s", cause, entry_id.decode())
        shown = {_readable(name): _readable(value) for name, value in fields.items()}
        return Entry(entry_id, dead.wire(letter_of(entry_id, cause, canonical_json(shown))))
    signature = fields.get(_SIGNATURE)
    claimed = None if signature is None else signature.decode("utf-8", "replace")
    fault = keyring.fault(EVIDENCE_STREAM, "", record, claimed)
    if fault is not None:
        return Entry(entry_id, dead.wire(letter_of(entry_id, f"signature: {fault}", record)))
    return Entry(entry_id, record, fields.get(_TRACEPARENT, b"").decode("ascii", "replace"))


def letter_of(entry_id: bytes, cause: str, payload: bytes) -> DeadLetter:
    """The dead letter of an entry, the same each time that the entry is read."""
    letter = dead.letter(EVIDENCE_STREAM, cause, payload)
    milliseconds = int(entry_id.partition(b"-")[0])
    at = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return letter.model_copy(update={"id": f"dead_entry_{entry_id.decode()}", "recorded_at": at})


def _readable(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
