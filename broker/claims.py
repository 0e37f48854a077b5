"""Who holds which message: an atomic claim, a renewable lease, and one commit that publishes and lets go.

kombu 5.7 pops a message and records it in two round trips, and a crash between them loses it. Here a message is, at
every moment, in exactly one list or hash of the server, and each move between them is one command or one script::

    queue --BLMOVE--> claim list of a consumer --accept--> in flight (hash + index) --commit--> evidence, other queues
      ^                        |                               |
      +---- sweep: the consumer is gone ----+---- sweep: the lease ran out; give_back: a clean stop ----+

The index is a sorted set of delivery tags by the time of their last renewal. A tag is made anew at every acceptance,
so a worker that lost its lease holds a tag that no longer exists: it can neither publish nor hand back over the head
of the worker that has the message now. All times are the server's, so clocks of hosts may differ.

The claim list is the idea of Sidekiq's super_fetch; the lease that of visibility timeouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from broker import dead
from broker.evidence_stream import FIELD
from replay.contracts import DeadLetter
from replay.topology import EVIDENCE_STREAM, Queue

# A consumer that has not polled for this long is gone. A busy one does not poll, but then its claim list is empty.
CONSUMER_TTL_S = 10.0
# Its name is kept for this long after that, so that a claim made in its last moment is still found.
_FORGET_S = 3600.0

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"

_REGISTER = _NOW + "redis.call('ZADD', KEYS[1], now, ARGV[1])"

_ACCEPT = (
    _NOW
    + """
if redis.call('LREM', KEYS[1], 1, ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], now, ARGV[1])
return 1"""
)

_DECLINE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1"""

_BURY = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
redis.call('XADD', KEYS[3], '*', ARGV[3], ARGV[2])
return 1"""

_RENEW = (
    _NOW
    + """
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[1])
return 1"""
)

_GIVE_BACK = """
local item = redis.call('HGET', KEYS[1], ARGV[1])
if not item then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call(ARGV[2], KEYS[3], item)
return 1"""

_COMMIT = """
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('XADD', KEYS[3], '*', ARGV[2], ARGV[3])
for i = 5, #KEYS do redis.call('LPUSH', KEYS[i], ARGV[i - 1]) end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1"""

_SWEEP = (
    _NOW
    + """
local back = {0, 0}
for _, tag in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[1], 'LIMIT', 0, 500)) do
  local item = redis.call('HGET', KEYS[1], tag)
  redis.call('HDEL', KEYS[1], tag)
  redis.call('ZREM', KEYS[2], tag)
  if item then redis.call('RPUSH', KEYS[3], item); back[1] = back[1] + 1 end
end
for _, consumer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now - ARGV[2], 'LIMIT', 0, 500)) do
  while redis.call('LMOVE', ARGV[4] .. consumer, KEYS[3], 'LEFT', 'RIGHT') do back[2] = back[2] + 1 end
  if redis.call('ZSCORE', KEYS[4], consumer) + ARGV[3] < now then redis.call('ZREM', KEYS[4], consumer) end
end
return back"""
)


def unacked_key(queue: str) -> str:
    """Hash of what is in flight: delivery tag -> the message's bytes as they lay on the queue."""
    return f"{queue}.unacked"


def index_key(queue: str) -> str:
    """Sorted set of the delivery tags in flight by their last renewal."""
    return f"{queue}.unacked_index"


def consumers_key(queue: str) -> str:
    """Sorted set of the consumers of a queue by their last sign of life."""
    return f"{queue}.consumers"


def claim_key(queue: str, consumer: str) -> str:
    """List of what a consumer has taken and not yet accepted: never more than one message."""
    return f"{queue}.claim.{consumer}"


@dataclass(frozen=True)
class Recovered:
    """What a sweep put back on the queue."""

    leases: int
    claims: int


@dataclass(frozen=True)
class Push:
    """One message that a commit puts on a list."""

    list_name: str
    message: bytes


class Claims:
    """The moves of a message, each of them atomic on the server.

    Args:
        client: The broker. Safe to share between threads.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._register = client.register_script(_REGISTER)
        self._accept = client.register_script(_ACCEPT)
        self._decline = client.register_script(_DECLINE)
        self._bury = client.register_script(_BURY)
        self._renew = client.register_script(_RENEW)
        self._give_back = client.register_script(_GIVE_BACK)
        self._commit = client.register_script(_COMMIT)
        self._sweep = client.register_script(_SWEEP)

    def register(self, queue: str, consumer: str) -> None:
        """Give a sign of life of a consumer; due before each claim."""
        self._register(keys=[consumers_key(queue)], args=[consumer])

    def accept(self, queue: str, consumer: str, item: bytes, tag: str) -> bool:
        """Move a message from the claim list into flight; False if a sweep has taken it back meanwhile."""
        keys = [claim_key(queue, consumer), unacked_key(queue), index_key(queue)]
        return bool(self._accept(keys=keys, args=[tag, item]))

    def decline(self, queue: str, consumer: str, item: bytes) -> bool:
        """Put a claimed message back at the head of the queue."""
        return bool(self._decline(keys=[claim_key(queue, consumer), queue], args=[item]))

    def bury(self, queue: str, consumer: str, item: bytes, letter: DeadLetter) -> bool:
        """Exchange a claimed message for a dead letter, on the dead queue and in the evidence."""
        keys = [claim_key(queue, consumer), Queue.DEAD.value, EVIDENCE_STREAM]
        return bool(self._bury(keys=keys, args=[item, dead.wire(letter), FIELD]))

    def condemn(self, queue: str, tag: str, cause: str) -> DeadLetter | None:
        """Exchange a message in flight for a dead letter; None if the lease is lost."""
        item = cast("bytes | None", self._client.hget(unacked_key(queue), tag))
        letter = dead.letter(queue, cause, item or b"")
        wire = dead.wire(letter)
        return letter if self.commit(queue, tag, wire, pushes=[Push(Queue.DEAD.value, wire)]) else None

    def renew(self, queue: str, tag: str) -> bool:
        """Extend a lease from now on; False if it is lost, and then the message is somebody else's."""
        return bool(self._renew(keys=[index_key(queue)], args=[tag]))

    def give_back(self, queue: str, tag: str, *, behind: bool = False) -> bool:
        """Put a message in flight back on its queue, at the head or behind all others."""
        keys = [unacked_key(queue), index_key(queue), queue]
        return bool(self._give_back(keys=keys, args=[tag, "LPUSH" if behind else "RPUSH"]))

    def commit(self, queue: str, tag: str, record: bytes, *, starts_key: str = "", pushes: Sequence[Push] = ()) -> bool:
        """Publish the outcome of a message and let go of it, if and only if the lease still holds.

        All or nothing: the evidence, the messages for other queues, the end of the lease and of the count of starts.

        Args:
            queue: Where the message lay.
            tag: Its delivery tag.
            record: The evidence.
            starts_key: The count of starts that ends with it; empty where there is none.
            pushes: What goes to other lists.
        """
        keys = [unacked_key(queue), index_key(queue), EVIDENCE_STREAM, starts_key, *(push.list_name for push in pushes)]
        return bool(self._commit(keys=keys, args=[tag, FIELD, record, *(push.message for push in pushes)]))

    def sweep(self, queue: str, visibility_timeout_s: float) -> Recovered:
        """Put back what a dead worker held: leases that ran out, and claims of consumers that are gone."""
        keys = [unacked_key(queue), index_key(queue), queue, consumers_key(queue)]
        args: list[str | float] = [visibility_timeout_s, CONSUMER_TTL_S, _FORGET_S, claim_key(queue, "")]
        leases, claims = self._answer(self._sweep(keys=keys, args=args))
        return Recovered(leases, claims)

    @staticmethod
    def _answer(reply: Any) -> tuple[int, int]:
        return int(reply[0]), int(reply[1])
