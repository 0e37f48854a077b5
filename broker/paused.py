"""Which batches are paused: a worker lets go of their messages, and resuming enqueues what is owed.

Nothing is set aside in the broker: what a batch owes is known from its manifest and its evidence, as after a loss of
the broker's data. So a pause costs no memory, and there is nothing that could be lost or doubled. What is in work when
a batch is paused is finished, and counts.

This is what workers are told. What is durable is the mark beside the manifest (`producer.marks`); who cannot reach it,
as the dashboard, says here what is wanted, and the scheduler makes it durable at its next round, and enqueues what a
resumed batch owes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import cast

import redis

from broker import starts
from broker.claims import index_key, unacked_key
from replay.topology import CANCELLED, PAUSED

# The flag is asked for again in the very step in which the message goes: a batch that was resumed in between keeps it.
# Its key is no KEY of the script: those must be free for writing, and workers may only read this one.
_LET_GO = """
if redis.call('HGET', ARGV[3], ARGV[2]) ~= 'paused' then return 0 end
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 1 end
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('HINCRBY', KEYS[3], 'starts', -1)
  redis.call('HDEL', KEYS[3], 'tag')
end
return 1"""

# Who pauses the batch again at this moment is heard.
_FORGET_RESUMED = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'resumed' then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])"""

_IS_PAUSED = b"paused"
_IS_RESUMED = b"resumed"


class Wish(StrEnum):
    """What somebody wants of a batch. `RESUMED`: its pause is to end; workers run it already."""

    NOTHING = "nothing"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    RESUMED = "resumed"


_WISHES = {_IS_PAUSED: Wish.PAUSED, _IS_RESUMED: Wish.RESUMED}


def wish(client: redis.Redis, batch_id: str) -> Wish:
    """What a worker has to know before an attempt, in one round trip. A cancellation goes before a pause."""
    with client.pipeline(transaction=False) as pipe:
        pipe.sismember(CANCELLED, batch_id)
        pipe.hget(PAUSED, batch_id)
        is_cancelled, said = pipe.execute()
    return Wish.CANCELLED if is_cancelled else _WISHES.get(said, Wish.NOTHING)


def pause(client: redis.Redis, batch_id: str) -> None:
    """Pause a batch; harmless if it is paused already."""
    client.hset(PAUSED, batch_id, _IS_PAUSED)


def resume(client: redis.Redis, batch_id: str) -> None:
    """Let a batch go on: workers run it from now on, and the scheduler enqueues what it owes at its next round."""
    client.hset(PAUSED, batch_id, _IS_RESUMED)


def forget(client: redis.Redis, batch_id: str) -> None:
    """Nothing is wanted of the batch any more. What it owes is to be enqueued *after* this."""
    client.hdel(PAUSED, batch_id)


def forget_resumed(client: redis.Redis, batch_id: str) -> bool:
    """The end of a pause is durable, and is wanted no more; False where something else is wanted meanwhile."""
    return bool(cast("int", client.register_script(_FORGET_RESUMED)(keys=[PAUSED], args=[batch_id])))


def is_paused(client: redis.Redis, batch_id: str) -> bool:
    """Is the batch paused?"""
    return client.hget(PAUSED, batch_id) == _IS_PAUSED


def let_go(client: redis.Redis, queue: str, tag: str, attempt_id: str, batch_id: str) -> bool:
    """Drop a message in flight whose batch is paused, and take its start back; False where it is not paused any more.

    Args:
        client: The broker.
        queue: Where the message lay.
        tag: Its delivery tag.
        attempt_id: The attempt that was begun.
        batch_id: Its batch.
    """
    keys = [unacked_key(queue), index_key(queue), starts.key(attempt_id)]
    return bool(cast("int", client.register_script(_LET_GO)(keys=keys, args=[tag, batch_id, PAUSED])))
