"""How often an attempt was started: counted before any work, so that the death of a child or of a whole worker counts.

The key is the attempt's identity and not a message's, which changes whenever a message is enqueued again.
"""

from __future__ import annotations

from typing import cast

import redis

from replay.topology import STARTS

# Longer than any task may lie between two starts; without it the counters of lost messages would pile up.
TTL_S = 7 * 24 * 3600


def key(attempt_id: str) -> str:
    """The counter of one attempt."""
    return f"{STARTS}:{attempt_id}"


def count(client: redis.Redis, attempt_id: str) -> int:
    """Count a start and return how many there were, this one included."""
    with client.pipeline(transaction=True) as pipe:
        pipe.incr(key(attempt_id))
        pipe.expire(key(attempt_id), TTL_S)
        return cast("int", pipe.execute()[0])


def clear(client: redis.Redis, attempt_id: str) -> None:
    """Forget the starts of an attempt that came to an end. A commit does this by itself."""
    client.delete(key(attempt_id))
