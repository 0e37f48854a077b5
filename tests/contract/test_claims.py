"""The moves of a message, on the real server: they are scripts, which the fake does not run."""

from __future__ import annotations

import json

import pytest
import redis

from broker import queues
from broker.claims import Claims, Push, Recovered, claim_key, consumers_key, index_key, unacked_key
from replay.topology import Queue
from tests.processes import stream_records

QUEUE = Queue.LOCAL.value
CONSUMER = "host:1:abc"


@pytest.fixture
def claims(valkey: redis.Redis) -> Claims:
    """The moves on an empty server, with a live consumer."""
    made = Claims(valkey)
    made.register(QUEUE, CONSUMER)
    return made


def _claim(valkey: redis.Redis, item: bytes = b"item", consumer: str = CONSUMER) -> bytes:
    valkey.lpush(QUEUE, item)
    moved = valkey.blmove(QUEUE, claim_key(QUEUE, consumer), 1, "RIGHT", "LEFT")
    assert moved == item
    return item


def _fly(valkey: redis.Redis, claims: Claims, item: bytes = b"item", tag: str = "tag") -> str:
    assert claims.accept(QUEUE, CONSUMER, _claim(valkey, item), tag)
    return tag


def _age(valkey: redis.Redis, key: str, member: str, seconds: float) -> None:
    valkey.zincrby(key, -seconds, member)


def _waiting(valkey: redis.Redis) -> list[bytes]:
    return [item for item in valkey.lrange(QUEUE, 0, -1) if isinstance(item, bytes)]


def _evidence(valkey: redis.Redis) -> list[bytes]:
    return stream_records(valkey)


def test_accept_moves_a_claim_into_flight_once(valkey: redis.Redis, claims: Claims) -> None:
    """The claim list is empty afterwards, the message is in flight, and a second acceptance finds nothing."""
    item = _claim(valkey)
    assert claims.accept(QUEUE, CONSUMER, item, "tag")
    assert not claims.accept(QUEUE, CONSUMER, item, "other")
    assert valkey.exists(claim_key(QUEUE, CONSUMER)) == 0
    assert valkey.hgetall(unacked_key(QUEUE)) == {b"tag": item}
    assert claims.renew(QUEUE, "tag")


def test_commit_publishes_and_lets_go(valkey: redis.Redis, claims: Claims) -> None:
    """Evidence, pushes and the end of lease and count come together, and only once."""
    tag = _fly(valkey, claims)
    valkey.set("starts", 1)
    push = Push("other", b"order")
    assert claims.commit(QUEUE, tag, b"record", starts_key="starts", pushes=[push])
    assert not claims.commit(QUEUE, tag, b"record", starts_key="starts", pushes=[push])
    assert _evidence(valkey) == [b"record"]
    assert valkey.lrange("other", 0, -1) == [b"order"]
    assert valkey.exists("starts", unacked_key(QUEUE), index_key(QUEUE), QUEUE) == 0


def test_a_worker_that_lost_its_lease_can_do_nothing(valkey: redis.Redis, claims: Claims) -> None:
    """After a sweep the old tag neither renews, nor commits, nor condemns, nor hands back over the new holder."""
    tag = _fly(valkey, claims)
    _age(valkey, index_key(QUEUE), tag, 61)
    assert claims.sweep(QUEUE, 60) == Recovered(leases=1, claims=0)

    item = valkey.blmove(QUEUE, claim_key(QUEUE, CONSUMER), 1, "RIGHT", "LEFT")
    assert isinstance(item, bytes)
    assert claims.accept(QUEUE, CONSUMER, item, "new")
    assert not claims.renew(QUEUE, tag)
    assert not claims.commit(QUEUE, tag, b"record")
    assert claims.condemn(QUEUE, tag, "late") is None
    assert not claims.give_back(QUEUE, tag)
    assert _evidence(valkey) == []
    assert claims.renew(QUEUE, "new")


def test_a_renewed_lease_is_not_swept(valkey: redis.Redis, claims: Claims) -> None:
    """Renewal counts from the moment of renewal."""
    tag = _fly(valkey, claims)
    _age(valkey, index_key(QUEUE), tag, 59)
    assert claims.renew(QUEUE, tag)
    _age(valkey, index_key(QUEUE), tag, 59)
    assert claims.sweep(QUEUE, 60) == Recovered(leases=0, claims=0)


def test_sweep_returns_the_claim_of_a_consumer_that_is_gone(valkey: redis.Redis, claims: Claims) -> None:
    """A claim of a live consumer stays; when its consumer falls silent, it is next in the queue."""
    item = _claim(valkey, b"claimed")
    valkey.lpush(QUEUE, b"later")
    assert claims.sweep(QUEUE, 60) == Recovered(leases=0, claims=0)
    _age(valkey, consumers_key(QUEUE), CONSUMER, 11)
    assert claims.sweep(QUEUE, 60) == Recovered(leases=0, claims=1)
    assert _waiting(valkey) == [b"later", item]
    assert not claims.accept(QUEUE, CONSUMER, item, "tag"), "a frozen consumer that wakes up finds nothing"


def test_sweep_remembers_a_silent_consumer_for_an_hour(valkey: redis.Redis, claims: Claims) -> None:
    """A claim made in a consumer's last moment is still found, and its name does not stay for ever."""
    _age(valkey, consumers_key(QUEUE), CONSUMER, 11)
    claims.sweep(QUEUE, 60)
    _claim(valkey)
    assert claims.sweep(QUEUE, 60).claims == 1
    _age(valkey, consumers_key(QUEUE), CONSUMER, 3600)
    claims.sweep(QUEUE, 60)
    assert valkey.zcard(consumers_key(QUEUE)) == 0


def test_decline_and_give_back_choose_the_end_of_the_queue(valkey: redis.Redis, claims: Claims) -> None:
    """What was not begun is next again; what killed a process waits behind the others."""
    valkey.lpush(QUEUE, b"waiting")
    tag = "tag"
    item = valkey.blmove(QUEUE, claim_key(QUEUE, CONSUMER), 1, "RIGHT", "LEFT")
    assert isinstance(item, bytes)
    assert claims.accept(QUEUE, CONSUMER, item, tag)
    valkey.lpush(QUEUE, b"other")
    assert claims.give_back(QUEUE, tag, behind=True)
    assert _waiting(valkey) == [b"waiting", b"other"]
    assert valkey.blmove(QUEUE, claim_key(QUEUE, CONSUMER), 1, "RIGHT", "LEFT") == b"other"
    assert claims.decline(QUEUE, CONSUMER, b"other")
    assert _waiting(valkey) == [b"waiting", b"other"]


def test_condemn_keeps_the_bytes_of_a_message_in_flight(valkey: redis.Redis, claims: Claims) -> None:
    """The letter lies on the dead queue and in the evidence, and nothing is in flight any more."""
    tag = _fly(valkey, claims, b"\x00\xffbytes")
    letter = claims.condemn(QUEUE, tag, "test")
    assert letter is not None
    assert letter.payload_base64 == "AP9ieXRlcw=="
    [record] = _evidence(valkey)
    assert valkey.lrange(Queue.DEAD.value, 0, -1) == [record]
    assert json.loads(record)["cause"] == "test"
    assert queues.depths(valkey).in_flight[QUEUE] == 0
