"""Who holds which message: an atomic claim, a renewable lease, and one commit that publishes and lets go.

kombu 5.7 pops a message and records it in two round trips, and a crash between them loses it. Here a message is, at
every moment, in exactly one list or hash of the server, and each move between them is one command or one script::

    queue --BLMOVE--> claim list of a consumer --accept--> in flight (hash + index) --commit--> evidence, other queues
      ^                        |                               |
      +---- sweep: the consumer is gone ----+---- sweep: the lease ran out; give_back: a clean stop ----+

The index is a sorted set of delivery tags by the time of their last renewal. A tag is made anew at every acceptance,
so a worker that lost its lease holds a tag that no longer exists: it can neither publish nor hand back over the head
of the worker that has the message now. All times are the server's, so clocks of hosts may differ.

A message that is there twice runs once: before any work `begin` asks who has the attempt. A commit leaves a mark that
the attempt is made; a message whose attempt is made, or is held by another message in flight, is dropped.

Every move back to a queue counts up `MOVED_BACK`. Who reads queue, claims, flight and stream in this order, and finds
the count unchanged at the end, has seen every message: forward it moves towards the reader, and backward it did not
(`broker.queues.look`).

The claim list is the idea of Sidekiq's super_fetch; the lease that of visibility timeouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, cast

import redis

from broker import dead, starts
from broker.evidence_stream import FIELD, SIGNATURE, signature_of
from broker.lanes import DOOR, Door
from broker.signing import UNSIGNED, Keyring
from replay import tracing
from replay.contracts import DeadLetter
from replay.topology import EVIDENCE_STREAM, Queue

# A consumer that has not polled for this long is gone. A busy one does not poll, but then its claim list is empty.
CONSUMER_TTL_S = 10.0
# Its name is kept for this long after that, so that a claim made in its last moment is still found.
_FORGET_S = 3600.0
# How often messages moved against the direction in which they are read.
MOVED_BACK = "replay.moved_back"

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"

_REGISTER = _NOW + "redis.call('ZADD', KEYS[1], now, ARGV[1])"

_ACCEPT = (
    _NOW
    + DOOR
    + """
if redis.call('LREM', KEYS[1], 1, ARGV[2]) == 0 then return 0 end
if ARGV[3] and shut(KEYS, 6, ARGV, 3, now, true) then
  redis.call('RPUSH', KEYS[4], ARGV[2])
  redis.call('INCR', KEYS[5])
  return 2
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], now, ARGV[1])
return 1"""
)

# On the stream a record stands beside its signature and the trace that it belongs to, where there are such.
KEEP = """
local function keep(stream, field, record, name, signature, trace)
  local fields = {field, record}
  if signature ~= '' then fields[3], fields[4] = name, signature end
  if trace and trace ~= '' then fields[#fields + 1], fields[#fields + 2] = 'traceparent', trace end
  redis.call('XADD', stream, '*', unpack(fields))
end"""

_BEGIN = (
    _NOW
    + """
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return {'lost', 0} end
local known = redis.call('HMGET', KEYS[3], 'made', 'tag')
local taken = ''
if known[1] then taken = 'made'
elseif known[2] and known[2] ~= ARGV[1] and redis.call('ZSCORE', KEYS[2], known[2]) then taken = 'elsewhere' end
if taken ~= '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[1], ARGV[1])
  return {taken, 0}
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('HSET', KEYS[3], 'tag', ARGV[1])
local count = redis.call('HINCRBY', KEYS[3], 'starts', 1)
redis.call('EXPIRE', KEYS[3], ARGV[2])
return {'ours', count}"""
)

_DECLINE = """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[1])
redis.call('INCR', KEYS[3])
return 1"""

_BURY = (
    KEEP
    + """
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
keep(KEYS[3], ARGV[3], ARGV[2], ARGV[4], ARGV[5])
return 1"""
)

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
redis.call('INCR', KEYS[4])
return 1"""

_COMMIT = (
    _NOW
    + KEEP
    + """
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
keep(KEYS[3], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7])
for i = 5, #KEYS do redis.call('LPUSH', KEYS[i], ARGV[i + 3]) end
redis.call('DEL', KEYS[4])
if ARGV[6] ~= '0' then
  redis.call('HSET', KEYS[4], 'made', now)
  redis.call('EXPIRE', KEYS[4], ARGV[6])
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1"""
)

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
if back[1] + back[2] > 0 then redis.call('INCR', KEYS[5]) end
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


class Turn(StrEnum):
    """Whether a message may run.

    `OURS`: it may. `LOST`: its lease ran out, the message is somebody else's. `MADE` and `ELSEWHERE`: its attempt is
    made already, or is held by another message in flight; the message was dropped.
    """

    OURS = "ours"
    LOST = "lost"
    MADE = "made"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Begun:
    """The answer of `Claims.begin`; `starts` counts the starts of the attempt, this one included, where it is ours."""

    turn: Turn
    starts: int


class Entrance(IntEnum):
    """What became of a claimed message: `GONE`: a sweep has taken it back. `SHUT`: it is back at its queue's head."""

    GONE = 0
    IN = 1
    SHUT = 2


@dataclass(frozen=True)
class Push:
    """One message that a commit puts on a list."""

    list_name: str
    message: bytes


class Claims:
    """The moves of a message, each of them atomic on the server.

    Args:
        client: The broker. Safe to share between threads.
        keyring: Signs the evidence.
    """

    def __init__(self, client: redis.Redis, keyring: Keyring = UNSIGNED) -> None:
        self._client = client
        self._keyring = keyring
        self._begin = client.register_script(_BEGIN)
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
        return self.admit(queue, consumer, item, tag, None) is Entrance.IN

    def admit(self, queue: str, consumer: str, item: bytes, tag: str, door: Door | None) -> Entrance:
        """As `accept`, where the lane's door is open; where it is shut, the message goes back to the queue's head."""
        keys = [claim_key(queue, consumer), unacked_key(queue), index_key(queue), queue, MOVED_BACK]
        keys += door.keys if door is not None else []
        args: list[Any] = [tag, item, *(door.args if door is not None else [])]
        return Entrance(int(cast("int", self._accept(keys=keys, args=args))))

    def begin(self, queue: str, tag: str, attempt_id: str) -> Begun:
        """Take the attempt of a message in flight and count the start, before any work; or drop a doubled message.

        The message that holds an attempt comes back if its worker dies, and a made attempt has its evidence on the
        stream: dropping the double of either loses nothing.
        """
        keys = [unacked_key(queue), index_key(queue), starts.key(attempt_id)]
        reply: Any = self._begin(keys=keys, args=[tag, starts.TTL_S])
        return Begun(Turn(reply[0].decode()), int(reply[1]))

    def decline(self, queue: str, consumer: str, item: bytes) -> bool:
        """Put a claimed message back at the head of the queue."""
        return bool(self._decline(keys=[claim_key(queue, consumer), queue, MOVED_BACK], args=[item]))

    def bury(self, queue: str, consumer: str, item: bytes, letter: DeadLetter) -> bool:
        """Exchange a claimed message for a dead letter, on the dead queue and in the evidence."""
        keys = [claim_key(queue, consumer), Queue.DEAD.value, EVIDENCE_STREAM]
        wire = dead.wire(letter)
        return bool(self._bury(keys=keys, args=[item, wire, FIELD, SIGNATURE, self._signature(wire)]))

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
        keys = [unacked_key(queue), index_key(queue), queue, MOVED_BACK]
        return bool(self._give_back(keys=keys, args=[tag, "LPUSH" if behind else "RPUSH"]))

    def commit(self, queue: str, tag: str, record: bytes, *, attempt_id: str = "", pushes: Sequence[Push] = ()) -> bool:
        """Publish the outcome of a message and let go of it, if and only if the lease still holds.

        All or nothing: the evidence, the messages for other queues, the end of the lease and of the count of starts,
        and the mark that the attempt is made.

        Args:
            queue: Where the message lay.
            tag: Its delivery tag.
            record: The evidence.
            attempt_id: The attempt that is made with it; empty where the message says of none.
            pushes: What goes to other lists.
        """
        mark = starts.key(attempt_id) if attempt_id else ""
        keys = [unacked_key(queue), index_key(queue), EVIDENCE_STREAM, mark, *(push.list_name for push in pushes)]
        kept: list[Any] = [tag, FIELD, record, SIGNATURE, self._signature(record), starts.TTL_S if attempt_id else 0]
        kept.append(tracing.current())
        return bool(self._commit(keys=keys, args=[*kept, *(push.message for push in pushes)]))

    def sweep(self, queue: str, visibility_timeout_s: float) -> Recovered:
        """Put back what a dead worker held: leases that ran out, and claims of consumers that are gone."""
        keys = [unacked_key(queue), index_key(queue), queue, consumers_key(queue), MOVED_BACK]
        args: list[str | float] = [visibility_timeout_s, CONSUMER_TTL_S, _FORGET_S, claim_key(queue, "")]
        leases, claims = self._answer(self._sweep(keys=keys, args=args))
        return Recovered(leases, claims)

    def _signature(self, record: bytes) -> str:
        return signature_of(record, self._keyring) or ""

    @staticmethod
    def _answer(reply: Any) -> tuple[int, int]:
        return int(reply[0]), int(reply[1])
