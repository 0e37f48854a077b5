"""The moves of a message, on the real server: they are scripts, which the fake does not run."""

from __future__ import annotations

import contextlib
import json
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from broker import queues, starts
from broker.claims import (
    MOVED_BACK,
    Begun,
    Claims,
    Push,
    Recovered,
    Turn,
    claim_key,
    consumers_key,
    index_key,
    unacked_key,
)
from broker.envelope import Envelope, run_id_of
from replay.errors import UnavailableError
from replay.topology import Queue, TaskName
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
    """Evidence, pushes, the end of lease and count and the mark come together, and only once."""
    tag = _fly(valkey, claims)
    assert claims.begin(QUEUE, tag, "att_1") == Begun(Turn.OURS, 1)
    push = Push("other", b"order")
    assert claims.commit(QUEUE, tag, b"record", attempt_id="att_1", pushes=[push])
    assert not claims.commit(QUEUE, tag, b"record", attempt_id="att_1", pushes=[push])
    assert _evidence(valkey) == [b"record"]
    assert valkey.lrange("other", 0, -1) == [b"order"]
    assert valkey.exists(unacked_key(QUEUE), index_key(QUEUE), QUEUE) == 0
    assert valkey.hkeys(starts.key("att_1")) == [b"made"]
    assert 0 < int(valkey.ttl(starts.key("att_1"))) <= starts.TTL_S


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


# --- doubled messages ------------------------------------------------------------------------------------------------


def _same_message_twice(valkey: redis.Redis, claims: Claims) -> None:
    _fly(valkey, claims, b"item", "first")
    _fly(valkey, claims, b"item", "second")


def test_of_two_messages_of_one_attempt_one_runs(valkey: redis.Redis, claims: Claims) -> None:
    """The second is dropped while the first is in flight, and after the first is done; only starts of work count."""
    _same_message_twice(valkey, claims)
    assert claims.begin(QUEUE, "first", "att_1") == Begun(Turn.OURS, 1)
    assert claims.begin(QUEUE, "second", "att_1").turn is Turn.ELSEWHERE
    assert valkey.hkeys(unacked_key(QUEUE)) == [b"first"]
    assert claims.commit(QUEUE, "first", b"record", attempt_id="att_1")

    _fly(valkey, claims, b"item", "third")
    assert claims.begin(QUEUE, "third", "att_1").turn is Turn.MADE
    assert valkey.exists(unacked_key(QUEUE), index_key(QUEUE)) == 0
    assert _evidence(valkey) == [b"record"]


def test_the_double_runs_when_the_holder_is_gone(valkey: redis.Redis, claims: Claims) -> None:
    """A holder whose lease was swept, or that was given back, holds the attempt no longer: no work is lost."""
    _same_message_twice(valkey, claims)
    assert claims.begin(QUEUE, "first", "att_1").turn is Turn.OURS
    assert claims.give_back(QUEUE, "first")
    assert claims.begin(QUEUE, "second", "att_1") == Begun(Turn.OURS, 2)
    assert not claims.commit(QUEUE, "first", b"late", attempt_id="att_1")
    assert claims.commit(QUEUE, "second", b"record", attempt_id="att_1")
    assert _evidence(valkey) == [b"record"]


def test_begin_counts_each_start_and_refuses_a_lost_lease(valkey: redis.Redis, claims: Claims) -> None:
    """A message that comes back counts on; one whose lease ran out counts nothing."""
    for number in (1, 2):
        tag = _fly(valkey, claims, tag=f"tag{number}")
        assert claims.begin(QUEUE, tag, "att_1") == Begun(Turn.OURS, number)
        assert claims.give_back(QUEUE, tag)
        valkey.delete(QUEUE)
    assert claims.begin(QUEUE, "tag2", "att_1") == Begun(Turn.LOST, 0)
    assert valkey.hget(starts.key("att_1"), "starts") == b"2"


def test_only_marks_without_evidence_are_forgotten(valkey: redis.Redis, claims: Claims) -> None:
    """A mark older than the look is of lost evidence and goes; a younger one may have its by now, and stays."""
    for attempt in ("att_old", "att_new"):
        claims.commit(QUEUE, _fly(valkey, claims, tag=attempt), b"record", attempt_id=attempt)
    valkey.hset(starts.key("att_begun"), "starts", "2")
    looked_at = float(valkey.hget(starts.key("att_new"), "made") or 0)
    valkey.hset(starts.key("att_old"), "made", str(looked_at - 1))
    assert starts.forget_lost(valkey, ["att_old", "att_new", "att_begun", "att_unknown"], looked_at) == 1
    assert valkey.exists(starts.key("att_old"), starts.key("att_new"), starts.key("att_begun")) == 2


# --- looks -----------------------------------------------------------------------------------------------------------


def _message(run_id: str) -> bytes:
    return Envelope(TaskName.AUDIT_LOCAL, f"{run_id}:local", {}).sealed(QUEUE)


def test_every_move_back_is_counted(valkey: redis.Redis, claims: Claims) -> None:
    """Giving back, declining and sweeping count up what a look compares; moves forward and idle sweeps do not."""
    counts = [valkey.get(MOVED_BACK)]

    def count() -> None:
        counts.append(valkey.get(MOVED_BACK))

    tag = _fly(valkey, claims)
    claims.begin(QUEUE, tag, "att_1")
    claims.sweep(QUEUE, 60)
    count()
    claims.give_back(QUEUE, tag)
    count()
    item = valkey.blmove(QUEUE, claim_key(QUEUE, CONSUMER), 1, "RIGHT", "LEFT")
    claims.decline(QUEUE, CONSUMER, item)  # type: ignore[arg-type]  # bytes: it lay there
    count()
    valkey.blmove(QUEUE, claim_key(QUEUE, CONSUMER), 1, "RIGHT", "LEFT")
    _age(valkey, consumers_key(QUEUE), CONSUMER, 11)
    claims.sweep(QUEUE, 60)
    count()
    assert counts == [None, None, b"1", b"2", b"3"]


def test_a_look_sees_what_is_handed_back_behind_it(
    valkey: redis.Redis, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that goes back to the queue after the queue was read would be missed; the look is made again."""
    _fly(valkey, claims, _message("run_1"), "tag")
    read_flight = valkey.hscan_iter

    def hand_back_first(name: str, **options: Any) -> Any:
        claims.give_back(QUEUE, "tag")
        return read_flight(name, **options)

    monkeypatch.setattr(valkey, "hscan_iter", hand_back_first)
    assert queues.look(valkey).run_ids == {"run_1"}


def test_a_look_that_never_comes_to_rest_says_so(
    valkey: redis.Redis, claims: Claims, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is called missing on the ground of a look that may have missed something."""
    read_flight = valkey.hscan_iter

    def restless(name: str, **options: Any) -> Any:
        valkey.incr(MOVED_BACK)
        return read_flight(name, **options)

    monkeypatch.setattr(valkey, "hscan_iter", restless)
    with pytest.raises(UnavailableError, match="handed back"):
        queues.look(valkey)


def test_no_look_misses_a_message_that_moves_meanwhile(valkey: redis.Redis, claims: Claims) -> None:
    """Two workers move 300 messages through both lanes, and now and then back; every look sees all of them."""
    runs = {f"run_{n}" for n in range(300)}
    valkey.lpush(QUEUE, *(_message(run_id) for run_id in sorted(runs)))

    def work(number: int) -> None:
        chance = random.Random(number)  # noqa: S311  the same moves each time; no secret
        for queue, other in ((Queue.LOCAL, Queue.ESCALATION), (Queue.ESCALATION, None)):
            name = f"worker{number}"
            claims.register(queue, name)
            while isinstance(item := valkey.lmove(queue, claim_key(queue, name), "RIGHT", "LEFT"), bytes):
                if chance.random() < 0.02:
                    claims.decline(queue, name, item)
                    continue
                tag = uuid.uuid4().hex
                assert claims.accept(queue, name, item, tag)
                if chance.random() < 0.02:
                    claims.give_back(queue, tag, behind=True)
                    continue
                # The record of the first lane does not say the run: from there on only the pushed message does.
                record = json.dumps({} if other else {"run_id": run_id_of(item)}).encode()
                assert claims.commit(queue, tag, record, pushes=[Push(other, item)] if other else ())

    looks = 0
    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(work, number) for number in range(2)]
        while not all(one.done() for one in working) or not looks:
            with contextlib.suppress(UnavailableError):
                assert queues.look(valkey).run_ids == runs
                looks += 1
        for one in working:
            one.result()
    assert queues.look(valkey).run_ids == runs
