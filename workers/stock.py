"""The lease of a message that Celery's own Redis transport has brought: `REPLAY_ATOMIC_CLAIM=0`, for comparison.

That transport pops a message and records it afterwards, so a worker that dies between the two loses it, and nothing
here can help. What it has delivered is put in flight here as well, which gives it the same commit and the same dropping
of doubles. It asks no door and looks at no signature, and there is no breaker: a lane cannot be paused, nothing waits
for the writer, and a model server that is gone ends tasks as failed.
"""

from __future__ import annotations

import time

import redis

from broker.claims import Begun, Claims, index_key, unacked_key
from broker.hand_back import HandBack, Turned
from replay.models.breaker import EndpointPaused
from workers.lease import Lease

# Where kombu 5.7 keeps the delivery tags of all queues, by the time of their delivery.
_STOCK_INDEX = "unacked_index"


class StockLease(Lease):
    """A lease beside the one that kombu keeps; both are renewed.

    Args:
        claims: The broker's side.
        queue: Where the message lay.
        tag: Its delivery tag. kombu redelivers a message under the same one.
        visibility_timeout_s: How long both leases last.
        client: The broker.
        item: The message, as it would lie on the queue.
    """

    def __init__(
        self, claims: Claims, queue: str, tag: str, visibility_timeout_s: float, *, client: redis.Redis, item: bytes
    ) -> None:
        super().__init__(claims, queue, tag, visibility_timeout_s)
        self._client = client
        self._item = item

    def begin(self, attempt_id: str) -> Begun:
        """Put the message in flight, then take its attempt."""
        self._in_flight()
        return super().begin(attempt_id)

    def condemn(self, cause: str) -> bool:
        """Put the message in flight, then turn it into a dead letter."""
        self._in_flight()
        return super().condemn(cause)

    def renew(self) -> bool:
        """Extend both leases; False if ours is lost."""
        self._client.zadd(_STOCK_INDEX, {self._tag: time.time()}, xx=True)
        return super().renew()

    def hand_back(self, hand_back: HandBack, attempt_id: str, paused: EndpointPaused) -> tuple[Turned, int]:  # noqa: ARG002  the interface's
        """Nothing waits in the queue: no door would keep this worker from taking it at once."""
        return Turned.ENOUGH, 0

    def _in_flight(self) -> None:
        seconds, microseconds = self._client.time()
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hset(unacked_key(self.queue), self._tag, self._item)
            pipe.zadd(index_key(self.queue), {self._tag: seconds + microseconds / 1e6})
            pipe.execute()
