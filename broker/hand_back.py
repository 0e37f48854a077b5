"""A task whose endpoint does not answer goes back to its queue, and not round for ever.

Its start is taken back: the endpoint failed, not the task. What is known of the hand-backs lies in the hash of the
attempt (`broker.starts`) and ends with it. Where it is a limit of ours that it waits for, nothing is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, cast

import redis

from broker import breaker, starts
from broker.claims import MOVED_BACK, index_key, unacked_key
from replay.models.breaker import EndpointPaused
from replay.models.limits import Limited
from replay.settings import Settings

# `answered` of the breaker tells whether the endpoint answered others since the task was last here.
_HAND_BACK = """
local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;
local item = redis.call('HGET', KEYS[1], ARGV[1])
if not item then return {0, 0} end
local seen = redis.call('HMGET', KEYS[5], 'handed', 'handed_since', 'handed_answered', 'handed_alone')
-- The time since it was told to wait, by its endpoint or by a limit of ours, is none in which nobody answered.
local waits = redis.call('HGET', KEYS[5], 'handed_waits')
if seen[2] and waits then
  seen[2] = seen[2] + math.max(0, now - waits)
  redis.call('HSET', KEYS[5], 'handed_since', seen[2])
end
local answered = redis.call('HGET', KEYS[6], 'answered') or '0'
local times = (seen[1] or 0) + 1
local alone = (seen[4] or 0) + ((seen[3] and seen[3] ~= answered) and 1 or 0)
if ARGV[5] ~= 'limited' then
  if times > tonumber(ARGV[2]) or alone >= tonumber(ARGV[3]) then return {2, times - 1} end
  if ARGV[5] == 'silent' then
    if seen[2] and now - seen[2] > tonumber(ARGV[4]) then return {2, times - 1} end
    redis.call('HSETNX', KEYS[5], 'handed_since', now)
  end
  redis.call('HSET', KEYS[5], 'handed', times, 'handed_answered', answered, 'handed_alone', alone)
end
redis.call('HDEL', KEYS[5], 'handed_waits')
if ARGV[5] ~= 'silent' then redis.call('HSET', KEYS[5], 'handed_waits', now) end
redis.call('HINCRBY', KEYS[5], 'starts', -1)
redis.call('HDEL', KEYS[5], 'tag')
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('LPUSH', KEYS[3], item)
redis.call('INCR', KEYS[4])
return {1, times}"""


class Turned(IntEnum):
    """What became of the message. `ENOUGH`: it has waited, and stays in flight for its caller to end."""

    LOST = 0
    WAITS = 1
    ENOUGH = 2


@dataclass(frozen=True)
class Patience:
    """How long a task waits for an endpoint that does not answer.

    Attributes:
        times: It is handed back at most so often.
        alone: It ends when the endpoint answered others between so many of them: the task is what it stumbles over.
        seconds: It ends so long after the first one; what an endpoint itself asked to wait does not count.
    """

    times: int = 100
    alone: int = 3
    seconds: float = 3600.0


def _cause(paused: EndpointPaused) -> str:
    """What a task waits for. A limit of ours says nothing against it, and it waits for as long as that takes."""
    if isinstance(paused, Limited):
        return "limited"
    return "asked" if paused.asked_to_wait else "silent"


class HandBack:
    """Hands messages back.

    Args:
        client: The broker.
        patience: The bounds.
    """

    def __init__(self, client: redis.Redis, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._script = client.register_script(_HAND_BACK)

    @classmethod
    def of(cls, client: redis.Redis, settings: Settings) -> HandBack:
        """With the bounds of the settings."""
        bounds = Patience(settings.hand_back_times, settings.hand_back_alone, settings.hand_back_s)
        return cls(client, bounds)

    def __call__(self, queue: str, tag: str, attempt_id: str, paused: EndpointPaused) -> tuple[Turned, int]:
        """Put a message in flight behind all others, or say that it has waited long enough.

        Args:
            queue: Where the message lay.
            tag: Its delivery tag.
            attempt_id: The attempt that was begun.
            paused: Why.

        Returns:
            What became of it, and how often it was handed back by now.
        """
        keys = [
            unacked_key(queue),
            index_key(queue),
            queue,
            MOVED_BACK,
            starts.key(attempt_id),
            breaker.key(paused.target),
        ]
        bounds = self._patience
        args: list[Any] = [tag, bounds.times, bounds.alone, bounds.seconds, _cause(paused)]
        turned, times = cast("tuple[int, int]", self._script(keys=keys, args=args))
        return Turned(turned), times
