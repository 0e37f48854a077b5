"""Messages that could not be run: kept with their bytes on the dead queue, and told of in the evidence."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from typing import cast

import redis
from pydantic import ValidationError

from broker import evidence_stream
from replay.contracts import DeadLetter
from replay.identity import canonical_json
from replay.topology import EVIDENCE_STREAM, Queue

KEPT_BYTES = 64 * 1024


def letter(queue: str, cause: str, payload: bytes) -> DeadLetter:
    """Describe a dead message. Its id is new each time: the same bytes may arrive, and die, twice."""
    return DeadLetter(
        id=f"dead_{uuid.uuid4().hex[:24]}",
        queue=queue,
        cause=cause,
        payload_base64=base64.b64encode(payload[:KEPT_BYTES]).decode("ascii"),
        payload_bytes=len(payload),
        recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def wire(dead: DeadLetter) -> bytes:
    """The bytes of a letter, on the dead queue and on the evidence stream alike."""
    return canonical_json(dead.wire())


def bury(client: redis.Redis, dead: DeadLetter) -> None:
    """Put a letter on the dead queue and into the evidence, both or neither.

    For a message that nobody holds. One that is claimed or in flight is buried by `Claims`, which lets go of it in the
    same step.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.lpush(Queue.DEAD.value, wire(dead))
        pipe.xadd(EVIDENCE_STREAM, {evidence_stream.FIELD: wire(dead)})
        pipe.execute()


def waiting(client: redis.Redis, limit: int = 100) -> list[DeadLetter]:
    """The newest letters on the dead queue; what a stranger put there is shown as a letter about itself."""
    return [_read(item) for item in cast("list[bytes]", client.lrange(Queue.DEAD.value, 0, limit - 1))]


def _read(item: bytes) -> DeadLetter:
    try:
        return DeadLetter.model_validate_json(item)
    except ValidationError:
        return letter(Queue.DEAD.value, "not a dead letter", item)
