"""A paused batch: workers let go of its messages, and what somebody says to the broker alone becomes durable."""

from __future__ import annotations

from typing import Any

import pytest
import redis

from broker import cancelled, paused, queues, starts
from broker.paused import Wish
from broker.signing import UNSIGNED
from producer import manifest, marks, pause, reconcile
from producer.manifest import Batch
from producer.scheduler import Round, Rounds
from producer.submit import submit
from replay import identity
from replay.contracts import State, Tier
from replay.corpus import snapshot
from replay.errors import AppendFailed, BrokerUnavailable, InputError
from replay.settings import Settings
from replay.topology import CANCELLED, PAUSED, Queue
from tests.batches import make_lines, make_run, record
from tests.contract.test_handlers import Scene
from tests.factories import make_bundle, make_task
from workers import handlers


@pytest.fixture
def settings(data_dir: object, broker_url: str) -> Settings:
    """Settings with a corpus, on the real server."""
    made = Settings(data_dir=data_dir, broker_url=broker_url)
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


@pytest.fixture
def batch(settings: Settings, valkey: redis.Redis) -> Batch:
    """A batch of two, enqueued."""
    return submit(make_lines(2), settings, source="tasks.jsonl", client=valkey).batch


# --- workers ---------------------------------------------------------------------------------------------------------


def test_a_message_of_a_paused_batch_is_let_go_of(valkey: redis.Redis) -> None:
    """No model is asked, nothing is written, nothing is in flight, and the start does not count."""
    scene, task = Scene(valkey), make_task()
    paused.pause(valkey, task.batch_id)
    scene.handle(handlers.LOCAL, task.wire())
    assert (scene.evidence(), scene.engine.generations) == ([], 0)
    assert not any(queues.depths(valkey).in_flight.values())
    key = starts.key(identity.attempt_id(task.run_id, Tier.LOCAL, 0))
    assert valkey.hgetall(key) == {b"starts": b"0"}
    paused.resume(valkey, task.batch_id)
    scene.handle(handlers.LOCAL, task.wire(), tag="again")
    assert [each["state"] for each in scene.evidence()] == [State.ACCEPTED]


def test_a_batch_that_goes_on_in_between_keeps_its_message(valkey: redis.Redis) -> None:
    """The flag is looked at in the step that drops the message; a lost lease is no reason to run it."""
    scene, task = Scene(valkey), make_task()
    lease = scene.lease(Queue.LOCAL)
    assert not lease.let_go(valkey, "att_1", task.batch_id)
    assert queues.depths(valkey).in_flight["replay.local"] == 1
    paused.pause(valkey, task.batch_id)
    assert lease.let_go(valkey, "att_1", task.batch_id)
    assert lease.let_go(valkey, "att_1", task.batch_id)
    assert not any(queues.depths(valkey).in_flight.values())


def test_what_is_wanted_of_a_batch(valkey: redis.Redis) -> None:
    """A cancellation goes before a pause, and is there again when that ends."""
    assert paused.wish(valkey, "batch_a") is Wish.NOTHING
    paused.pause(valkey, "batch_a")
    assert (paused.wish(valkey, "batch_a"), paused.is_paused(valkey, "batch_a")) == (Wish.PAUSED, True)
    cancelled.cancel(valkey, "batch_a")
    assert paused.wish(valkey, "batch_a") is Wish.CANCELLED
    cancelled.restore(valkey, "batch_a")
    paused.resume(valkey, "batch_a")
    assert (paused.wish(valkey, "batch_a"), paused.is_paused(valkey, "batch_a")) == (Wish.RESUMED, False)
    paused.forget(valkey, "batch_a")
    assert paused.wish(valkey, "batch_a") is Wish.NOTHING


# --- the batch -------------------------------------------------------------------------------------------------------


def test_resuming_enqueues_what_was_let_go_of(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """Exactly that, once; while it is paused nobody enqueues it."""
    pause.pause(batch.batch_id, settings, valkey, reason="why not")
    valkey.rpop(Queue.LOCAL.value)  # as a worker does that lets go of it
    rounds = Rounds(settings, valkey, UNSIGNED)
    assert rounds.make() == Round(owing=1, enqueued=0, swept=0)
    account = reconcile.examine(batch.batch_id, settings, valkey)
    assert (account.missing, account.paused) == (1, True)
    done = pause.resume(batch.batch_id, settings, valkey, UNSIGNED)
    assert (done.enqueued, done.account.in_broker) == (1, 1)
    assert valkey.llen(Queue.LOCAL.value) == 2
    assert valkey.hgetall(PAUSED) == {}


def test_a_broker_that_lost_its_data_is_told_of_the_pause(
    settings: Settings, valkey: redis.Redis, batch: Batch
) -> None:
    """The mark is durable, and nothing is enqueued for a batch that waits."""
    pause.pause(batch.batch_id, settings, valkey)
    valkey.flushall()
    assert Rounds(settings, valkey, UNSIGNED).make().enqueued == 0
    assert paused.is_paused(valkey, batch.batch_id)


def test_what_the_dashboard_says_to_the_broker_becomes_durable(
    settings: Settings, valkey: redis.Redis, batch: Batch
) -> None:
    """A pause, its end, and a cancellation, each at the scheduler's next round."""
    rounds = Rounds(settings, valkey, UNSIGNED)
    paused.pause(valkey, batch.batch_id)
    rounds.make()
    assert marks.is_paused(settings.batches_dir, batch.batch_id)
    valkey.delete(Queue.LOCAL.value)
    paused.resume(valkey, batch.batch_id)
    assert rounds.make().enqueued == 2
    assert not marks.is_paused(settings.batches_dir, batch.batch_id)
    cancelled.cancel(valkey, batch.batch_id)
    rounds.make()
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)


def test_a_mark_that_the_disk_refuses_stops_no_other_batch(
    settings: Settings, valkey: redis.Redis, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler goes on with what it can do, and makes the mark when there is room."""

    def full(*_: Any) -> None:
        raise AppendFailed("no room")

    rounds = Rounds(settings, valkey, UNSIGNED)
    paused.pause(valkey, batch.batch_id)
    submit(make_lines(3), settings, source="other.jsonl", client=valkey)
    valkey.delete(Queue.LOCAL.value)
    with monkeypatch.context() as patched:
        patched.setattr(marks, "pause", full)
        assert rounds.make().enqueued == 3
    rounds.make()
    assert marks.is_paused(settings.batches_dir, batch.batch_id)


def test_a_pause_in_the_moment_of_a_resumption_is_not_lost(
    settings: Settings, valkey: redis.Redis, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler makes the end of the first pause durable, and the second one stands from its next round on."""
    pause.pause(batch.batch_id, settings, valkey)
    paused.resume(valkey, batch.batch_id)
    resume = marks.resume

    def paused_again(*place: Any) -> bool:
        pause.pause(batch.batch_id, settings, valkey, reason="once more")
        return resume(*place)

    rounds = Rounds(settings, valkey, UNSIGNED)
    with monkeypatch.context() as patched:
        patched.setattr(marks, "resume", paused_again)
        rounds.make()
    assert paused.is_paused(valkey, batch.batch_id)
    rounds.make()
    assert marks.is_paused(settings.batches_dir, batch.batch_id)


def test_the_broker_forgets_batches_that_have_ended(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """Their marks stay; a log that lost the ends has the cancellation told again."""
    manifest.mark_cancelled(settings.batches_dir, batch.batch_id)
    rounds = Rounds(settings, valkey, UNSIGNED)
    rounds.make()
    assert valkey.smembers(CANCELLED) == {batch.batch_id.encode()}
    record(settings, *(make_run(task, State.CANCELLED, None) for task in batch.tasks))
    rounds.make()
    assert valkey.smembers(CANCELLED) == set()
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)
    for path in settings.evidence_log.parent.iterdir():
        if path.is_file():
            path.unlink()
    Rounds(settings, valkey, UNSIGNED).make()
    assert cancelled.is_cancelled(valkey, batch.batch_id)


def test_pauses_that_cannot_be(settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """A cancelled batch is not paused; without a broker the mark is made, and who pauses learns that."""
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with pytest.raises(BrokerUnavailable, match="marked as paused, but the workers could not be told"):
        pause.pause(batch.batch_id, away)
    assert marks.is_paused(settings.batches_dir, batch.batch_id)
    with pytest.raises(InputError, match="There is no batch"):
        pause.pause("batch_0", settings, valkey)
    manifest.mark_cancelled(settings.batches_dir, batch.batch_id)
    with pytest.raises(InputError, match="was cancelled"):
        pause.pause(batch.batch_id, settings, valkey)
