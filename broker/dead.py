"""Messages that could not be run: kept with their bytes on the dead queue, and told of in the evidence."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import cast

import redis
from pydantic import ValidationError

from replay.contracts import DeadLetter
from replay.identity import canonical_json
from replay.topology import Queue

KEPT_BYTES = 64 * 1024

_PAGE = 50


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


def waiting(client: redis.Redis, limit: int = 100) -> list[DeadLetter]:
    """The newest letters on the dead queue; what a stranger put there is shown as a letter about itself."""
    return [_read(item) for item in cast("list[bytes]", client.lrange(Queue.DEAD.value, 0, limit - 1))]


def items(client: redis.Redis) -> Iterator[tuple[bytes, DeadLetter]]:
    """Every letter on the dead queue with its bytes there, the newest first."""
    start = 0
    # Letters are put in front, which moves what was not read yet to later indexes and never past us.
    while page := cast("list[bytes]", client.lrange(Queue.DEAD.value, start, start + _PAGE - 1)):
        for item in page:
            yield item, _read(item)
        start += len(page)


def _read(item: bytes) -> DeadLetter:
    try:
        return DeadLetter.model_validate_json(item)
    except ValidationError:
        # From its bytes: whoever lists it can name it afterwards.
        known = f"dead_{hashlib.sha256(item).hexdigest()[:24]}"
        return letter(Queue.DEAD.value, "not a dead letter", item).model_copy(update={"id": known})
