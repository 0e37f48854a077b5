"""The handler, from the lease to the commit, on the real broker with a scripted engine."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis

from broker import cancelled, dead, queues, starts
from broker.answers import Answers
from broker.claims import Claims, claim_key, index_key
from broker.envelope import opened
from broker.hand_back import HandBack, Patience
from replay import identity
from replay.contracts import Bundle, EscalationOrder, Generation, ReplayTask, State, Tier
from replay.errors import ModelUnavailable
from replay.models.breaker import EndpointPaused
from replay.pipeline import Engine
from replay.prompting import PromptLimits
from replay.settings import Settings
from replay.topology import Queue
from tests.factories import UNSURE, make_bundle, make_generation, make_task
from tests.processes import stream_records, wait_for
from workers import handlers
from workers.handlers import Desk, Lane
from workers.lease import Lease, _Keeper


class ScriptedEngine:
    """Retriever and generator of tests: each generation is what the script returns or raises."""

    def __init__(self, script: Callable[[], Generation]) -> None:
        self._script = script
        self.generations = 0

    def retrieve(self, task: ReplayTask) -> Bundle:
        """The same bundle for every task."""
        assert task.text
        return make_bundle()

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """What the script says."""
        assert tier
        assert messages
        assert schema
        self.generations += 1
        return self._script()


class Scene:
    """One message in flight, and the desk that it is handled at."""

    def __init__(self, valkey: redis.Redis, script: Callable[[], Generation] = make_generation) -> None:
        self.valkey = valkey
        self.engine = ScriptedEngine(script)
        self.desk = Desk(
            valkey, Engine(self.engine, self.engine, PromptLimits()), max_starts=3, hand_back=HandBack(valkey)
        )
        self.claims = Claims(valkey)

    def lease(self, queue: Queue, *, visibility_timeout_s: float = 60.0, tag: str = "tag") -> Lease:
        """Put a message in flight and return its lease."""
        self.valkey.lpush(queue, b"item")
        self.valkey.blmove(queue, claim_key(queue, "me"), 1, "RIGHT", "LEFT")
        assert self.claims.accept(queue, "me", b"item", tag)
        return Lease(self.claims, queue, tag, visibility_timeout_s)

    def handle(self, lane: Lane, payload: dict[str, Any], **options: Any) -> None:
        """Handle one message."""
        queue = Queue.LOCAL if lane is handlers.LOCAL else Queue.ESCALATION
        handlers.handle(lane, payload, self.lease(queue, **options), self.desk)

    def evidence(self) -> list[dict[str, Any]]:
        """The records on the stream."""
        return [json.loads(record) for record in stream_records(self.valkey)]


@pytest.fixture
def scene(valkey: redis.Redis) -> Scene:
    """A scene whose model answers well."""
    return Scene(valkey)


def _nothing_is_left(scene: Scene) -> bool:
    found = queues.depths(scene.valkey)
    # An attempt that is made leaves its mark, and no count of starts.
    known = [scene.valkey.hkeys(name) for name in scene.valkey.keys(starts.key("*"))]
    return not any(found.in_flight.values()) and all(names == [b"made"] for names in known)


def test_an_accepted_answer_ends_in_evidence_and_nothing_else(scene: Scene) -> None:
    """One record, no order, nothing in flight, no count of starts; but a mark that the attempt is made."""
    scene.handle(handlers.LOCAL, make_task().wire())
    [record] = scene.evidence()
    assert (record["schema"], record["state"]) == ("replay_run.v1", State.ACCEPTED)
    assert queues.depths(scene.valkey).waiting == {"replay.local": 0, "replay.escalation": 0}
    assert _nothing_is_left(scene)


def test_a_rejected_answer_goes_on_with_bundle_and_reasons(valkey: redis.Redis) -> None:
    """The order for the other lane is on its queue and handled there."""
    scene = Scene(valkey, lambda: make_generation("no json"))
    task = make_task()
    scene.handle(handlers.LOCAL, task.wire())
    item = valkey.rpop(Queue.ESCALATION)
    assert isinstance(item, bytes)
    envelope = opened(item, Queue.ESCALATION)
    order = EscalationOrder.model_validate(envelope.payload)
    assert envelope.message_id == f"{task.run_id}:escalation"
    assert (order.task, order.bundle) == (task, make_bundle())
    assert order.reasons

    scene.handle(handlers.ESCALATION, envelope.payload)
    states = [(record["attempt"]["tier"], record["state"]) for record in scene.evidence()]
    assert states == [("local", "escalated"), ("escalation", "rejected")]
    assert _nothing_is_left(scene)


def test_a_model_that_is_down_is_a_failed_run_and_no_verdict(valkey: redis.Redis) -> None:
    """A transport fault ends the run as failed and does not escalate."""

    def fault() -> Generation:
        raise ModelUnavailable("connection refused")

    scene = Scene(valkey, fault)
    scene.handle(handlers.LOCAL, make_task().wire())
    [record] = scene.evidence()
    assert (record["state"], record["reason"]) == (State.FAILED, "model: connection refused")
    assert valkey.llen(Queue.ESCALATION) == 0


def _paused() -> Generation:
    raise EndpointPaused("connection refused", target="m@http://model.example/v1")


def test_a_task_whose_endpoint_is_not_asked_goes_back(valkey: redis.Redis) -> None:
    """No evidence, no start: the message is on its queue again, and nothing is in flight."""
    scene = Scene(valkey, _paused)
    for n in range(5):
        scene.handle(handlers.LOCAL, make_task().wire(), tag=f"tag{n}")
        assert valkey.rpop(Queue.LOCAL) == b"item"
    assert scene.evidence() == []
    assert not any(queues.depths(valkey).in_flight.values())
    [known] = valkey.keys(starts.key("*"))
    assert valkey.hget(known, "starts") == b"0"


def test_a_task_that_has_waited_long_enough_fails_with_the_last_cause(valkey: redis.Redis) -> None:
    """The bounds end it, with how often it was tried; it does not escalate."""
    scene = Scene(valkey, _paused)
    scene.desk = dataclasses.replace(scene.desk, hand_back=HandBack(valkey, Patience(times=2)))
    for n in range(3):
        scene.handle(handlers.LOCAL, make_task().wire(), tag=f"tag{n}")
        valkey.delete(Queue.LOCAL)
    [record] = scene.evidence()
    assert record["state"] == State.FAILED
    assert record["reason"] == "model: connection refused (handed back 2 times)"
    assert valkey.llen(Queue.ESCALATION) == 0
    assert _nothing_is_left(scene)


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), MemoryError(), UnicodeError("\ud800")])
def test_a_bug_ends_as_failed_with_its_name(valkey: redis.Redis, error: Exception) -> None:
    """An unforeseen error is told in the evidence, with type and message, and the message is done."""

    def bug() -> Generation:
        raise error

    scene = Scene(valkey, bug)
    scene.handle(handlers.LOCAL, make_task().wire())
    [record] = scene.evidence()
    assert record["state"] == State.FAILED
    assert record["reason"].startswith(f"unforeseen: {type(error).__name__}: ")
    assert _nothing_is_left(scene)


def test_a_payload_of_another_version_is_a_dead_letter(scene: Scene) -> None:
    """Unknown fields and wrong types are refused with the place; the bytes are kept; the model is not asked."""
    for n, payload in enumerate([{}, make_task().wire() | {"new_field": 1}, make_task().wire() | {"text": " "}]):
        scene.handle(handlers.LOCAL, payload, tag=f"tag{n}")
    scene.handle(handlers.ESCALATION, make_task().wire(), tag="other")
    letters = dead.waiting(scene.valkey)
    assert [letter.cause.split(":")[0] for letter in letters] == ["payload"] * 4
    assert [record["schema"] for record in scene.evidence()] == ["replay_dead.v1"] * 4
    assert scene.engine.generations == 0
    assert _nothing_is_left(scene)


def test_a_task_that_never_ends_is_poison_after_three_starts(scene: Scene) -> None:
    """The fourth start runs nothing: a dead letter and a failed run, in one commit."""
    task = make_task()
    attempt = identity.attempt_id(task.run_id, Tier.LOCAL, 0)
    scene.valkey.hset(starts.key(attempt), "starts", "3")
    scene.handle(handlers.LOCAL, task.wire())
    [record] = scene.evidence()
    [letter] = dead.waiting(scene.valkey)
    assert record["state"] == State.FAILED
    assert record["reason"].startswith("poison: started 3 times")
    assert letter.cause == record["reason"]
    assert scene.engine.generations == 0
    assert _nothing_is_left(scene)


def test_a_poisoned_escalation_keeps_its_bundle(scene: Scene) -> None:
    """What the large model's lane was given stays in the evidence."""
    order = EscalationOrder(task=make_task(), bundle=make_bundle(), reasons=())
    attempt = identity.attempt_id(order.task.run_id, Tier.ESCALATION, 0)
    scene.valkey.hset(starts.key(attempt), "starts", "3")
    scene.handle(handlers.ESCALATION, order.wire())
    assert scene.evidence()[0]["bundle"] == make_bundle().wire()


def test_a_cancelled_batch_runs_nothing(scene: Scene) -> None:
    """Its tasks end as cancelled."""
    task = make_task(batch_id="batch_gone")
    cancelled.cancel(scene.valkey, "batch_gone")
    scene.handle(handlers.LOCAL, task.wire())
    [record] = scene.evidence()
    assert (record["state"], record["id"]) == (State.CANCELLED, task.run_id)
    assert scene.engine.generations == 0


def test_a_lease_that_ran_out_before_the_start_runs_nothing(scene: Scene) -> None:
    """A message that waited in the worker for too long is somebody else's: no start, no evidence."""
    lease = scene.lease(Queue.LOCAL)
    scene.valkey.zadd(index_key(Queue.LOCAL), {"tag": 0})
    scene.claims.sweep(Queue.LOCAL, 60)
    handlers.handle(handlers.LOCAL, make_task().wire(), lease, scene.desk)
    assert scene.evidence() == []
    assert scene.engine.generations == 0
    assert _nothing_is_left(scene)


def test_a_lease_that_is_lost_during_the_attempt_publishes_nothing(valkey: redis.Redis) -> None:
    """The other worker's outcome counts, and only that."""

    def frozen_meanwhile() -> Generation:
        valkey.zadd(index_key(Queue.LOCAL), {"tag": 0})
        assert Claims(valkey).sweep(Queue.LOCAL, 60).leases == 1
        return make_generation("no json")

    scene = Scene(valkey, frozen_meanwhile)
    scene.handle(handlers.LOCAL, make_task().wire())
    assert scene.evidence() == []
    assert queues.depths(valkey).waiting == {"replay.local": 1, "replay.escalation": 0}


def test_a_lease_is_renewed_while_the_attempt_runs(valkey: redis.Redis) -> None:
    """The renewing thread moves the message's place in the index forward, and ends when nothing is held any more."""
    renewed = threading.Event()

    def slow() -> Generation:
        first = valkey.zscore(index_key(Queue.LOCAL), "tag")
        for _ in range(200):
            if valkey.zscore(index_key(Queue.LOCAL), "tag") != first:
                renewed.set()
                break
            threading.Event().wait(0.01)
        return make_generation()

    scene = Scene(valkey, slow)
    scene.handle(handlers.LOCAL, make_task().wire(), visibility_timeout_s=0.2)
    assert renewed.is_set()
    assert len(scene.evidence()) == 1
    for keeper in [thread for thread in threading.enumerate() if thread.name == "lease 0.05 s"]:
        keeper.join(30)
        assert not keeper.is_alive()


def test_a_renewal_that_is_refused_ends_no_other() -> None:
    """An error that is no lost connection costs one renewal: the next one is made, and so are those of other leases."""
    keeper, renewed = _Keeper(0.01), threading.Event()

    class Refused:
        queue = "replay.test"
        calls = 0

        def renew(self) -> bool:
            self.calls += 1
            if self.calls == 1:
                raise redis.ResponseError("READONLY You can't write against a read only replica.")
            renewed.set()
            return True

    lease = Refused()
    keeper.hold(lease)  # type: ignore[arg-type]
    assert renewed.wait(10)
    keeper.let_go(lease)  # type: ignore[arg-type]


def test_a_lease_that_begins_late_is_renewed_in_time_and_one_that_has_ended_no_more(valkey: redis.Redis) -> None:
    """One thread for all of a process: it takes up a lease that begins between two of its looks."""
    scene = Scene(valkey)
    first, second = (scene.lease(Queue.LOCAL, visibility_timeout_s=0.4, tag=tag) for tag in ("first", "second"))

    def place(tag: str) -> float | None:
        return valkey.zscore(index_key(Queue.LOCAL), tag)

    def wait_for_renewal(tag: str) -> None:
        before = place(tag)
        wait_for(lambda: place(tag) != before, f"a renewal of {tag}")

    with first.kept():
        with second.kept():
            wait_for_renewal("second")
        # A round of renewals may have begun before it ended; the second one from here has not.
        wait_for_renewal("first")
        wait_for_renewal("first")
        ended = place("second")
        wait_for_renewal("first")
        wait_for_renewal("first")
        assert place("second") == ended


def _with_memory(valkey: redis.Redis, script: Callable[[], Generation]) -> Scene:
    scene = Scene(valkey, script)
    settings = Settings(base_url="http://127.0.0.1", local_model="scripted", escalation_model="scripted")
    engine = dataclasses.replace(scene.desk.engine, memory=Answers(valkey, settings))
    scene.desk = dataclasses.replace(scene.desk, engine=engine)
    return scene


def test_the_same_question_is_answered_from_memory_on_both_lanes(valkey: redis.Redis) -> None:
    """Four attempts in evidence, each of them whole; the model was asked for two."""
    scene = _with_memory(valkey, lambda: make_generation(UNSURE))
    for number, name in enumerate(("one", "two")):
        scene.handle(handlers.LOCAL, make_task(custom_id=name).wire(), tag=f"local{number}")
        item = valkey.rpop(Queue.ESCALATION)
        assert isinstance(item, bytes)
        scene.handle(handlers.ESCALATION, opened(item, Queue.ESCALATION).payload, tag=f"large{number}")
    first, second, third, fourth = (record["attempt"] for record in scene.evidence())
    assert scene.engine.generations == 2
    assert [attempt.get("reused", {}).get("attempt_id") for attempt in (first, second, third, fourth)] == [
        None,
        None,
        first["attempt_id"],
        second["attempt_id"],
    ]
    assert third["verdict"] == first["verdict"]
    assert _nothing_is_left(scene)


def test_an_attempt_that_was_not_committed_is_not_remembered(valkey: redis.Redis) -> None:
    """What others would name as their source must be in evidence."""

    def frozen_meanwhile() -> Generation:
        valkey.zadd(index_key(Queue.LOCAL), {"tag": 0})
        assert Claims(valkey).sweep(Queue.LOCAL, 60).leases == 1
        return make_generation()

    scene = _with_memory(valkey, frozen_meanwhile)
    scene.handle(handlers.LOCAL, make_task().wire())
    assert scene.evidence() == []
    assert valkey.keys("replay.answers:*") == []
