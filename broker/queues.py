"""What lies in the broker: depths for people, and the runs that are still on their way for the reconciler.

The one place that knows how kombu names its lists; a contract test holds it against a real worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import redis

from broker.claims import MOVED_BACK, claim_key, consumers_key, index_key, unacked_key
from broker.envelope import enqueued_at_of, run_id_of
from broker.evidence_stream import FIELD, backlog
from replay.compact import TextSet
from replay.errors import UnavailableError
from replay.topology import EVIDENCE_STREAM, ROUTES, Queue

# kombu puts messages with a priority on lists of their own; ours have none, a stock producer's may.
_PRIORITY_LISTS = tuple(f"\x06\x16{step}" for step in (3, 6, 9))
_PAGE = 500
_LOOKS = 8

WORK = tuple(ROUTES.values())


@dataclass(frozen=True)
class Depths:
    """How many messages lie where.

    Attributes:
        waiting: By queue: not yet taken by a worker.
        in_flight: By queue: taken and not yet dealt with.
        oldest_lease_s: By queue: seconds since the oldest lease was renewed; None where nothing is in flight.
        dead: Letters on the dead queue.
        evidence: Records that the writer has not yet acknowledged.
        oldest_waiting_s: By queue: seconds since the message that is taken next was enqueued, by the clock of who
            enqueued it; None where nothing waits, or its bytes do not say.
        evidence_lag_s: Seconds since the oldest record that is not yet in the log was published; 0 where all are.
    """

    waiting: dict[str, int]
    in_flight: dict[str, int]
    oldest_lease_s: dict[str, float | None]
    dead: int
    evidence: int
    oldest_waiting_s: dict[str, float | None] = field(default_factory=dict)
    evidence_lag_s: float = 0.0


def depths(client: redis.Redis) -> Depths:
    """Read all depths, within a few round trips."""
    now = server_time(client)
    waiting, in_flight, oldest, next_s = {}, {}, {}, {}
    for queue in WORK:
        with client.pipeline(transaction=True) as pipe:
            for name in _lists(queue):
                pipe.llen(name)
                pipe.lindex(name, -1)
            pipe.hlen(unacked_key(queue))
            pipe.zrange(index_key(queue), 0, 0, withscores=True)
            *lists, held, first = pipe.execute()
        waiting[queue.value] = sum(lists[::2])
        in_flight[queue.value] = held
        oldest[queue.value] = round(now - first[0][1], 3) if first else None
        since = [at for item in lists[1::2] if item is not None and (at := enqueued_at_of(item)) is not None]
        next_s[queue.value] = max(0.0, round(now - min(since), 3)) if since else None
    dead = client.llen(Queue.DEAD.value)
    behind = backlog(client)
    lag_s = _lag(client, now) if behind else 0.0
    return Depths(waiting, in_flight, oldest, dead, behind, next_s, lag_s)


def server_time(client: redis.Redis) -> float:
    """Unix time by the broker's clock."""
    seconds, microseconds = client.time()
    return float(seconds + microseconds / 1e6)


def _lag(client: redis.Redis, now: float) -> float:
    # The id of an entry begins with the milliseconds of its making.
    first = cast("list[Any]", client.xrange(EVIDENCE_STREAM, count=1))
    return max(0.0, round(now - int(first[0][0].partition(b"-")[0]) / 1000, 3)) if first else 0.0


@dataclass(frozen=True)
class Look:
    """What the broker held while it was looked at.

    Attributes:
        began_at: Seconds, by the server.
        run_ids: Every run that was waiting, claimed, in flight, or as evidence on the way to the writer.
    """

    began_at: float
    run_ids: TextSet


def look(client: redis.Redis) -> Look:
    """See every run that the broker holds, so that what is not there was nowhere in it.

    One look is enough. Everything is read in the order in which messages move, so one that moves on meanwhile is seen
    where it arrives: a queue before the claims on it, claims before what is in flight, the local lane before the large
    model's, all of it before the stream. Only a move back could pass the reader unseen; each of them is counted by the
    script that makes it, and a look in which the count changed is made again. Whoever reads the evidence log *after*
    the look misses nothing at all: an entry leaves the stream when it is in the log.

    Raises:
        UnavailableError: Messages were handed back during each of several looks.
    """
    for _ in range(_LOOKS):
        seconds, microseconds = client.time()
        moved = client.get(MOVED_BACK)
        found = TextSet()
        for run_id in _run_ids(client):
            if run_id is not None:
                found.add(run_id)
        if client.get(MOVED_BACK) == moved:
            return Look(seconds + microseconds / 1e6, found)
    raise UnavailableError(
        f"messages were handed back to their queues during each of {_LOOKS} looks at the broker",
        hint="Workers die or give back one task after the other: see their logs. Then try again.",
    )


def visible_run_ids(client: redis.Redis) -> TextSet:
    """Every run that the broker holds: see `look`."""
    return look(client).run_ids


def waiting(client: redis.Redis, queue: Queue) -> int:
    """How many messages wait in one queue: one short command."""
    return client.llen(queue.value)


def purge(client: redis.Redis, queue: Queue) -> int:
    """Drop what waits in a queue and return how much it was; what is in flight stays."""
    with client.pipeline(transaction=True) as pipe:
        for name in _lists(queue):
            pipe.llen(name)
            pipe.delete(name)
        return sum(pipe.execute()[::2])


def _lists(queue: Queue) -> tuple[str, ...]:
    return (queue.value, *(queue.value + suffix for suffix in _PRIORITY_LISTS))


def _run_ids(client: redis.Redis) -> Iterator[str | None]:
    for queue in WORK:
        yield from map(run_id_of, _held(client, queue))
    yield from map(_run_id_of_record, _stream_records(client))


def _held(client: redis.Redis, queue: Queue) -> Iterator[bytes]:
    for name in _lists(queue):
        yield from _list_items(client, name)
    for consumer in client.zrange(consumers_key(queue), 0, -1):
        yield from _list_items(client, claim_key(queue, cast("bytes", consumer).decode()))
    for _, item in client.hscan_iter(unacked_key(queue), count=_PAGE):
        yield cast("bytes", item)


def _list_items(client: redis.Redis, name: str) -> Iterator[bytes]:
    # From the left: producers push there, which moves what was not read yet to later indexes and never past us.
    start = 0
    while page := cast("list[bytes]", client.lrange(name, start, start + _PAGE - 1)):
        yield from page
        start += len(page)


def _stream_records(client: redis.Redis) -> Iterator[bytes]:
    start = b"-"
    while page := cast("list[Any]", client.xrange(EVIDENCE_STREAM, min=start, count=_PAGE)):
        for entry_id, entry_fields in page:
            start = b"(" + entry_id
            yield entry_fields.get(FIELD.encode(), b"")


def _run_id_of_record(record: bytes) -> str | None:
    try:
        run_id = json.loads(record)["run_id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return run_id if isinstance(run_id, str) else None
