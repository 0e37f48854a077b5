"""How many tasks of a lane are in work at once: the leases are the places."""

from __future__ import annotations

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker import lanes, starts
from broker.claims import Claims, Entrance, claim_key, index_key
from broker.hand_back import HandBack, Turned
from broker.lanes import Door, LaneState
from broker.limits.bounds import Bounds
from broker.queues import depths
from replay.models.limits import Limited
from replay.topology import Queue

QUEUE = Queue.ESCALATION.value
LEASE_S = 60


def _claimed(client: redis.Redis) -> bytes:
    item = client.lmove(QUEUE, claim_key(QUEUE, "me"), "RIGHT", "LEFT")
    assert isinstance(item, bytes)
    return item


def _door(limit: int) -> Door:
    return Door("escalation", ("m@http://model.example/v1",), 10_000, Bounds(in_flight=limit))


class Workers:
    """Some workers of one lane, and what they hold, as they themselves would say.

    Args:
        client: The broker, which is emptied.
        limit: Places of the lane.
    """

    def __init__(self, client: redis.Redis, limit: int) -> None:
        client.flushall()
        self.client, self.limit, self.door = client, limit, _door(limit)
        self.claims = Claims(client)
        self.held: list[str] = []
        self.frozen: list[str] = []

    def take(self) -> Entrance:
        """A message comes, and one worker takes it if it may."""
        self.client.lpush(QUEUE, b"item")
        tag = f"tag{self.client.incr('tags')}"
        entrance = self.claims.admit(QUEUE, "me", _claimed(self.client), tag, self.door)
        if entrance is Entrance.IN:
            self.held.append(tag)
        else:
            self.client.delete(QUEUE)
        return entrance

    def renew(self, tag: str) -> bool:
        """Its holder gives a sign of life."""
        renewed = self.claims.renew(QUEUE, tag)
        if renewed and tag in self.frozen:
            self.frozen.remove(tag)
            self.held.append(tag)
        return renewed

    def end(self, tag: str, *, commit: bool) -> bool:
        """Its holder commits, or gives it back."""
        self.held.remove(tag)
        done = self.claims.commit(QUEUE, tag, b"{}") if commit else self.claims.give_back(QUEUE, tag)
        self.client.delete(QUEUE)
        return done

    def freeze(self, tag: str) -> None:
        """Its holder is heard of no more, and its lease runs out."""
        self.client.zincrby(index_key(QUEUE), -2 * LEASE_S, tag)
        self.held.remove(tag)
        self.frozen.append(tag)

    def sweep(self) -> int:
        """Another worker looks for leases that ran out."""
        self.client.delete(QUEUE)
        return self.claims.sweep(QUEUE, LEASE_S).leases


STEPS = st.sampled_from(["take", "take", "take", "renew", "commit", "give back", "freeze", "wake", "sweep"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 3), steps=st.lists(st.tuples(STEPS, st.integers(0, 9)), max_size=40))
def test_never_more_tasks_than_places(client: redis.Redis, limit: int, steps: list[tuple[str, int]]) -> None:
    """However workers take, renew, end, freeze, wake up and sweep; and never fewer, while there is a message.

    A holder that froze has its place until a sweep takes it away; if it wakes up before, it still has it.
    """
    workers = Workers(client, limit)
    gone: list[str] = []
    for step, pick in steps:
        some = workers.frozen if step == "wake" else workers.held
        tag = some[pick % len(some)] if some else None
        if step == "take":
            free = len(workers.held) + len(workers.frozen) < limit
            assert workers.take() is (Entrance.IN if free else Entrance.SHUT)
        elif step == "sweep":
            assert workers.sweep() == len(workers.frozen)
            gone += workers.frozen
            workers.frozen.clear()
        elif tag is None:
            continue
        elif step in {"renew", "wake"}:
            assert workers.renew(tag)
        elif step == "freeze":
            workers.freeze(tag)
        else:
            assert workers.end(tag, commit=step == "commit")
        assert len(workers.held) + len(workers.frozen) == depths(client).in_flight[QUEUE] <= limit
        assert not any(workers.renew(tag) for tag in gone)


def test_a_full_lane_says_so_and_is_not_hindered(client: redis.Redis) -> None:
    """Nothing is wrong with it, so no worker says that it is hindered; the message is back at the head of its queue."""
    claims = Claims(client)
    client.lpush(QUEUE, b"first", b"second")
    for entrance in (Entrance.IN, Entrance.SHUT):
        assert claims.admit(QUEUE, "me", _claimed(client), f"tag {entrance}", _door(1)) is entrance
    status = lanes.look(client, _door(1))
    assert (status.state, status.reason, str(status)) == (LaneState.FULL, "1 of 1 tasks are in work", "")
    assert lanes.look(client, _door(2)).state is LaneState.OPEN
    assert client.lrange(QUEUE, 0, -1) == [b"second"]


def test_waiting_for_a_limit_counts_nothing_against_a_task(client: redis.Redis) -> None:
    """However often it is handed back: its place is free, its start is taken back, no bound of patience comes near."""
    claims, hand_back = Claims(client), HandBack(client)
    client.lpush(QUEUE, b"item")
    for _ in range(150):
        assert claims.admit(QUEUE, "me", _claimed(client), "tag", _door(1)) is Entrance.IN
        assert claims.begin(QUEUE, "tag", "att").starts == 1
        turned, _ = hand_back(QUEUE, "tag", "att", Limited("60 of 60 requests a minute", target="m"))
        assert turned is Turned.WAITS
    assert client.hmget(starts.key("att"), ["handed", "handed_since", "starts"]) == [None, None, b"0"]
