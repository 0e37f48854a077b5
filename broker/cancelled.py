"""Which batches were cancelled: their waiting tasks end as `cancelled` as soon as a worker takes them."""

from __future__ import annotations

import redis

from replay.topology import CANCELLED


def cancel(client: redis.Redis, batch_id: str) -> None:
    """Cancel a batch; harmless if it is cancelled already."""
    client.sadd(CANCELLED, batch_id)


def is_cancelled(client: redis.Redis, batch_id: str) -> bool:
    """Tell whether a batch was cancelled."""
    return bool(client.sismember(CANCELLED, batch_id))


def restore(client: redis.Redis, batch_id: str) -> None:
    """Take a cancellation back; what has ended as `cancelled` meanwhile stays so."""
    client.srem(CANCELLED, batch_id)
