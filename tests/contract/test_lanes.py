"""Breakers, doors and hand-backs, on the real broker."""

from __future__ import annotations

import json
from typing import NoReturn

import httpx
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from broker import breaker, evidence_stream, lanes, starts
from broker.breaker import SharedBreaker, State
from broker.claims import Claims, Entrance, claim_key
from broker.hand_back import HandBack, Patience, Turned
from broker.lanes import Door, LaneState
from broker.queues import depths
from replay.contracts import Tier
from replay.errors import ModelRefused, ModelUnavailable
from replay.models.breaker import EndpointPaused, Target
from replay.models.client import ModelClient
from replay.models.faults import Refused, Transient
from replay.models.limits import Limited
from replay.models.routing import Endpoint
from replay.settings import Settings
from replay.topology import Queue
from tests.scripted_model import instance_of, schema_of

QUEUE = Queue.LOCAL.value
TARGET = Target("m", Endpoint("http://model.example/v1"))
OTHER = Target("n", Endpoint("http://model.example/v1"))


@pytest.fixture
def shared(valkey: redis.Redis) -> SharedBreaker:
    """A breaker that opens at the third failure, for a minute."""
    return SharedBreaker(valkey, failures=3, pause_s=60)


def _fails(fault: BaseException | None = None) -> NoReturn:
    raise fault or Transient("connection refused")


def _answers() -> str:
    return "answer"


def _open(shared: SharedBreaker, target: Target = TARGET) -> None:
    for _ in range(2):
        with pytest.raises(Transient):
            shared.call(target, _fails)
    with pytest.raises(EndpointPaused):
        shared.call(target, _fails)


def _pause_is_over(valkey: redis.Redis, target: Target = TARGET) -> None:
    valkey.hset(breaker.key(target.name), "until", "0")


# --- breaker --------------------------------------------------------------------------------------------------------


def test_failures_in_a_row_stop_the_requests_of_all_workers(valkey: redis.Redis, shared: SharedBreaker) -> None:
    """At the third one, whoever met it; then no request is made, and the last cause is told. Other models go on."""
    elsewhere = SharedBreaker(valkey, failures=3, pause_s=60)
    for one in (shared, elsewhere):
        with pytest.raises(Transient):
            one.call(TARGET, _fails)
    with pytest.raises(EndpointPaused, match="connection refused") as stopped:
        shared.call(TARGET, _fails)
    assert (stopped.value.target, stopped.value.asked_to_wait) == (TARGET.name, False)
    asked: list[str] = []
    with pytest.raises(EndpointPaused, match="connection refused"):
        elsewhere.call(TARGET, lambda: asked.append("asked"))
    assert asked == []
    assert elsewhere.call(OTHER, _answers) == "answer"


@pytest.mark.parametrize("answer", [None, Refused("no such model", status=404)])
def test_an_answer_between_them_begins_the_count_anew(shared: SharedBreaker, answer: Refused | None) -> None:
    """A refusal is an answer too."""
    for _ in range(3):
        for _ in range(2):
            with pytest.raises(Transient):
                shared.call(TARGET, _fails)
        if answer is None:
            shared.call(TARGET, _answers)
        else:
            with pytest.raises(ModelRefused):
                shared.call(TARGET, lambda: _fails(answer))


def test_after_the_pause_one_request_tries(valkey: redis.Redis, shared: SharedBreaker) -> None:
    """Nobody else is let through meanwhile; its failure begins the next pause, its answer lets all through."""
    _open(shared)

    def tries_alone() -> NoReturn:
        with pytest.raises(EndpointPaused):
            shared.call(TARGET, _answers)
        _fails()

    _pause_is_over(valkey)
    with pytest.raises(EndpointPaused):
        shared.call(TARGET, tries_alone)
    with pytest.raises(EndpointPaused):
        shared.call(TARGET, _answers)
    _pause_is_over(valkey)
    assert [shared.call(TARGET, _answers) for _ in range(2)] == ["answer"] * 2
    assert lanes.paused_endpoints(valkey) == {}


def test_a_try_of_a_worker_that_died_does_not_block_for_ever(valkey: redis.Redis, shared: SharedBreaker) -> None:
    """After two minutes another one tries."""
    _open(shared)
    _pause_is_over(valkey)
    with pytest.raises(KeyboardInterrupt):
        shared.call(TARGET, lambda: _fails(KeyboardInterrupt()))
    with pytest.raises(EndpointPaused):
        shared.call(TARGET, _answers)
    valkey.hincrbyfloat(breaker.key(TARGET.name), "trial", -breaker.TRIAL_S)
    assert shared.call(TARGET, _answers) == "answer"


@pytest.mark.parametrize(
    ("fault", "state", "seconds"),
    [
        (ModelUnavailable("slow down", retry_after_s=600), State.PAUSED, 600),
        (Refused("no credit", status=402, quota=True), State.QUOTA, breaker.QUOTA_S),
        (Refused("no credit", status=429, quota=True, retry_after_s=7200), State.QUOTA, 7200),
    ],
)
def test_an_endpoint_that_asks_to_wait_is_left_alone(
    valkey: redis.Redis, shared: SharedBreaker, fault: Exception, state: State, seconds: float
) -> None:
    """At its first word, for as long as it asks; the answer to a request that was under way does not end it."""

    def another_runs_into_it() -> str:
        with pytest.raises(EndpointPaused) as stopped:
            shared.call(TARGET, lambda: _fails(fault))
        assert stopped.value.asked_to_wait
        return "answer"

    assert shared.call(TARGET, another_runs_into_it) == "answer"
    with pytest.raises(EndpointPaused) as refused:
        shared.call(TARGET, _answers)
    assert refused.value.asked_to_wait
    status = lanes.look(valkey, Door("local", (TARGET.name,), 10))
    assert (status.state.value, status.target) == (state.value, TARGET.name)
    assert status.seconds == pytest.approx(seconds, abs=30)
    _pause_is_over(valkey)
    shared.call(TARGET, _answers)
    assert lanes.look(valkey, Door("local", (TARGET.name,), 10)).state is LaneState.OPEN


def test_answers_in_quick_succession_cost_the_broker_nothing(
    valkey: redis.Redis, shared: SharedBreaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of the first one; after a fault it is asked and told again at once."""
    monkeypatch.setattr(breaker, "_FRESH_S", 3600)
    for _ in range(3):
        shared.call(TARGET, _answers)
    assert valkey.hget(breaker.key(TARGET.name), "answered") == b"1"
    with pytest.raises(Transient):
        shared.call(TARGET, _fails)
    shared.call(TARGET, _answers)
    assert valkey.hmget(breaker.key(TARGET.name), ["answered", "failures"]) == [b"2", b"0"]


def test_a_fallback_answers_as_soon_as_the_first_model_is_given_up(valkey: redis.Redis) -> None:
    """In the same task: the generation names the model that answered, and the first one is not asked again."""
    asked: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        payload = json.loads(request.content)
        asked.append(payload["model"])
        if payload["model"] == "first":
            return httpx.Response(503, json={"error": {"message": "loading"}})
        choice = {"message": {"content": json.dumps(instance_of(schema_of(payload)))}, "finish_reason": "stop"}
        return httpx.Response(200, json={"choices": [choice]})

    settings = Settings(base_url="http://big.example/v1", escalation_model="first", escalation_fallbacks="second")
    client = ModelClient(
        settings,
        breaker=SharedBreaker(valkey, failures=1, pause_s=60),
        transport=httpx.MockTransport(server),
    )
    schema = {"type": "object", "properties": {"verdict": {"enum": ["pass"]}}, "required": ["verdict"]}
    for _ in range(2):
        assert client.generate(Tier.ESCALATION, [{"role": "user", "content": "?"}], schema).model == "second"
    assert asked.count("first") == 1
    assert lanes.look(valkey, lanes.door(Tier.ESCALATION, settings)).state is LaneState.OPEN


def test_without_a_broker_requests_are_made(valkey: redis.Redis) -> None:
    """And fail as they would."""
    gone = SharedBreaker(redis.Redis(port=1, retry=Retry(NoBackoff(), 0)), failures=1, pause_s=60)
    assert gone.call(TARGET, _answers) == "answer"
    with pytest.raises(Transient):
        gone.call(TARGET, _fails)


# --- doors ----------------------------------------------------------------------------------------------------------


def _claim(valkey: redis.Redis) -> bytes:
    item = valkey.lmove(QUEUE, claim_key(QUEUE, "me"), "RIGHT", "LEFT")
    assert isinstance(item, bytes)
    return item


def _admit(valkey: redis.Redis, door: Door, tag: str = "tag") -> Entrance:
    return Claims(valkey).admit(QUEUE, "me", _claim(valkey), tag, door)


def test_a_shut_door_puts_the_message_back_at_the_head(valkey: redis.Redis) -> None:
    """Nothing is held: neither claimed nor in flight. After `resume` it goes in."""
    door = Door("local", (), 10)
    valkey.lpush(QUEUE, b"first", b"second")
    lanes.pause(valkey, "local", "budget review")
    assert _admit(valkey, door) is Entrance.SHUT
    assert valkey.lrange(QUEUE, 0, -1) == [b"second", b"first"]
    assert valkey.llen(claim_key(QUEUE, "me")) == 0
    assert depths(valkey).in_flight[QUEUE] == 0
    assert str(lanes.look(valkey, door)) == "paused: budget review"
    assert lanes.look(valkey, Door("escalation", (), 10)).state is LaneState.OPEN

    assert lanes.resume(valkey, door)
    assert not lanes.resume(valkey, door)
    assert _admit(valkey, door) is Entrance.IN
    assert depths(valkey).in_flight[QUEUE] == 1


def test_a_writer_that_is_behind_shuts_every_door(valkey: redis.Redis) -> None:
    """From the set number of records on, and not before."""
    door = Door("local", (), 3)
    for _ in range(2):
        evidence_stream.append(valkey, b"{}")
    assert lanes.look(valkey, door).state is LaneState.OPEN
    evidence_stream.append(valkey, b"{}")
    valkey.lpush(QUEUE, b"first")
    assert _admit(valkey, door) is Entrance.SHUT
    status = lanes.look(valkey, door)
    assert (status.state, status.seconds) == (LaneState.WRITER, None)
    assert str(status) == "writer: 3 records wait for the evidence writer"


def test_a_breaker_shuts_the_door_unless_a_fallback_is_there(valkey: redis.Redis, shared: SharedBreaker) -> None:
    """A lane stands still where all its targets do; then the one that is asked first again is told."""
    door = Door("local", (TARGET.name, OTHER.name), 10)
    _open(shared)
    assert lanes.look(valkey, door).state is LaneState.OPEN
    _open(shared, OTHER)
    status = lanes.look(valkey, door)
    assert (status.state, status.target) == (LaneState.BREAKER, TARGET.name)
    assert set(lanes.paused_endpoints(valkey)) == {TARGET.name, OTHER.name}


def test_after_the_pause_one_message_is_let_in(valkey: redis.Redis, shared: SharedBreaker) -> None:
    """The next one while it tries is not; once it has its answer, all are."""
    door = Door("local", (TARGET.name,), 10)
    _open(shared)
    _pause_is_over(valkey)
    valkey.lpush(QUEUE, b"1", b"2", b"3")
    assert lanes.look(valkey, door).state is LaneState.OPEN
    assert [_admit(valkey, door, tag) for tag in "ab"] == [Entrance.IN, Entrance.SHUT]

    def meanwhile() -> str:
        valkey.hdel(breaker.key(TARGET.name), "admitted")
        assert _admit(valkey, door, "c") is Entrance.SHUT
        return "answer"

    shared.call(TARGET, meanwhile)
    assert [_admit(valkey, door, tag) for tag in "de"] == [Entrance.IN, Entrance.IN]


def test_the_door_of_a_lane_names_its_model_and_the_fallbacks() -> None:
    """In the order in which they are asked; without an endpoint there is none."""
    settings = Settings(
        base_url="http://big.example/v1", local_model="s", escalation_model="m", escalation_fallbacks=" n, m ,"
    )
    where = "http://big.example/v1"
    assert lanes.door(Tier.LOCAL, settings).targets == (f"s@{where}",)
    assert lanes.door(Tier.ESCALATION, settings).targets == (f"m@{where}", f"n@{where}")
    assert lanes.door(Tier.LOCAL, Settings(local_model="vendor/model")).targets == ()


# --- hand-backs -----------------------------------------------------------------------------------------------------


class Waiting:
    """One message that is begun and handed back, again and again."""

    def __init__(self, valkey: redis.Redis, patience: Patience) -> None:
        self.valkey = valkey
        self.hand_back = HandBack(valkey, patience)
        self.claims = Claims(valkey)
        valkey.lpush(QUEUE, b"item")

    def once(self, *, asked_to_wait: bool = False, limited: bool = False) -> tuple[Turned, int]:
        """Take it, begin its attempt, and hand it back."""
        tag = f"tag{self.valkey.incr('tags')}"
        assert self.claims.accept(QUEUE, "me", _claim(self.valkey), tag)
        assert self.claims.begin(QUEUE, tag, "att").starts == 1
        paused = EndpointPaused("gone", target=TARGET.name, asked_to_wait=asked_to_wait)
        if limited:
            paused = Limited("out of budget", target=TARGET.name)
        return self.hand_back(QUEUE, tag, "att", paused)


def test_a_hand_back_costs_no_start_and_goes_behind_the_others(valkey: redis.Redis) -> None:
    """Up to the set number; then the message stays in flight, for its handler to end."""
    waiting = Waiting(valkey, Patience(times=3))
    for times in (1, 2):
        assert waiting.once() == (Turned.WAITS, times)
        assert depths(valkey).in_flight[QUEUE] == 0
    valkey.lpush(QUEUE, b"other")
    assert waiting.once() == (Turned.WAITS, 3)
    assert valkey.lrange(QUEUE, 0, -1) == [b"item", b"other"]
    assert valkey.rpop(QUEUE) == b"other"
    assert waiting.once() == (Turned.ENOUGH, 3)
    assert depths(valkey).in_flight[QUEUE] == 1


def test_a_task_that_the_endpoint_alone_does_not_answer_ends_sooner(valkey: redis.Redis) -> None:
    """Where others are answered between its hand-backs, three of these are enough."""
    waiting = Waiting(valkey, Patience(times=100, alone=3))
    assert [waiting.once()[0] for _ in range(10)] == [Turned.WAITS] * 10
    for turned in (Turned.WAITS, Turned.WAITS, Turned.ENOUGH):
        SharedBreaker(valkey, failures=3, pause_s=60).call(TARGET, _answers)
        assert waiting.once()[0] is turned


def test_time_is_bounded_but_for_what_the_endpoint_asks(valkey: redis.Redis) -> None:
    """An hour after the first hand-back it ends; waiting for a quota does not count."""
    waiting = Waiting(valkey, Patience())
    assert waiting.once()[0] is Turned.WAITS
    valkey.hincrbyfloat(starts.key("att"), "handed_since", -3601)
    assert waiting.once(asked_to_wait=True)[0] is Turned.WAITS
    assert waiting.once()[0] is Turned.ENOUGH


@pytest.mark.parametrize("limited", [False, True])
def test_what_a_task_was_told_to_wait_is_no_silence(valkey: redis.Redis, limited: bool) -> None:
    """Two hours of a quota, or of a budget of ours, between two silences of a moment."""
    waiting, hour = Waiting(valkey, Patience()), 3600
    assert waiting.once()[0] is Turned.WAITS
    assert waiting.once(asked_to_wait=True, limited=limited)[0] is Turned.WAITS
    for field in ("handed_since", "handed_waits"):
        valkey.hincrbyfloat(starts.key("att"), field, -2 * hour)
    assert waiting.once()[0] is Turned.WAITS
    valkey.hincrbyfloat(starts.key("att"), "handed_since", -hour - 1)
    assert waiting.once()[0] is Turned.ENOUGH


def test_a_lost_lease_hands_nothing_back(valkey: redis.Redis) -> None:
    """Another worker has the message."""
    paused = EndpointPaused("gone", target=TARGET.name)
    assert HandBack(valkey)(QUEUE, "no such tag", "att", paused) == (Turned.LOST, 0)
    assert valkey.exists(starts.key("att")) == 0
