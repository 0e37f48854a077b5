"""What is known of an attempt beside its evidence: how often it was started, which message has it, whether it is made.

A small hash for each attempt. The starts are counted before any work, so that the death of a child or of a whole worker
counts; the key is the attempt's identity and not a message's, which changes whenever a message is enqueued again.
`broker.claims` writes it, in the same step as the moves that it is about.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import redis

from replay.topology import STARTS

# Longer than any message may wait between two starts, or behind its double; without it the hashes would pile up.
TTL_S = 7 * 24 * 3600

_PAGE = 500


def key(attempt_id: str) -> str:
    """The hash of one attempt: `starts`, `tag` of the message that has it, `made` at the server's time."""
    return f"{STARTS}:{attempt_id}"


def clear(client: redis.Redis, attempt_id: str) -> None:
    """Forget an attempt: it may be started as if it never was."""
    client.delete(key(attempt_id))


def forget_lost(client: redis.Redis, attempt_ids: Sequence[str], looked_at: float) -> int:
    """Forget that attempts were made whose evidence is nowhere: the log was lost, so they are to be made again.

    Args:
        client: The broker.
        attempt_ids: Attempts of which neither stream nor log held evidence.
        looked_at: When the look at stream and log began, by the server. What was made later may be in them by now.

    Returns:
        How many there were.
    """
    lost = 0
    ids = iter(attempt_ids)
    while page := list(islice(ids, _PAGE)):
        with client.pipeline(transaction=False) as pipe:
            for attempt_id in page:
                pipe.hget(key(attempt_id), "made")
            made = pipe.execute()
        gone = [key(one) for one, at in zip(page, made, strict=True) if at is not None and float(at) < looked_at]
        if gone:
            client.delete(*gone)
        lost += len(gone)
    return lost
