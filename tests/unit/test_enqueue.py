"""Queues that are full, priorities, and what is done about a batch while it is being submitted."""

from __future__ import annotations

import threading
from pathlib import Path

import fakeredis
import pytest
import redis

from broker.envelope import CHUNK
from broker.signing import UNSIGNED
from producer import cancel as cancelling
from producer import enqueue, manifest, marks, pause, reconcile
from producer.enqueue import WhenFull
from producer.marks import Priority
from producer.submit import Stage, Step, Submission, submit
from producer.tasks import lines_of
from replay.errors import BrokerUnavailable, InputError
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import furnish, make_lines, submitted, waiting
from tests.failing_redis import FullRedis

BOUND = 1000


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Settings with a corpus and a small bound."""
    return furnish(Settings(data_dir=data_dir, submit_max_waiting=BOUND))


def names(client: redis.Redis) -> list[str]:
    """Custom ids on the local queue in the order in which workers take them."""
    return [message.payload["custom_id"] for message in waiting(client)]


def test_a_full_queue_gets_no_more_and_the_rest_comes_when_there_is_room(
    settings: Settings, client: redis.Redis
) -> None:
    """The caller who does not wait learns how many are left; a reconciler enqueues what fits, each run once."""
    done = submitted(settings, client, BOUND + 700)
    assert (done.enqueued, done.left) == (BOUND, 700)
    assert reconcile.reconcile(done.batch_id, settings, client, UNSIGNED).enqueued == 0
    first = names(client)
    client.ltrim(Queue.LOCAL.value, 0, BOUND - CHUNK - 1)
    kept = set(names(client))
    account, enqueued = vars(reconcile.reconcile(done.batch_id, settings, client, UNSIGNED)).values()
    # What was taken off without evidence is owed again, and first.
    assert (account.missing, enqueued) == (CHUNK + 700, CHUNK)
    assert set(names(client)) - kept == set(first[:CHUNK])


def test_who_waits_goes_on_as_soon_as_there_is_room(settings: Settings, client: redis.Redis) -> None:
    """The wait is told, and a worker that takes messages ends it."""
    count = BOUND + 10
    steps: list[Step] = []

    def on_step(step: Step) -> None:
        steps.append(step)
        if step.is_full and step.done < count:
            client.rpop(Queue.LOCAL.value, 20)

    done = submitted(settings, client, count, when_full=WhenFull.WAIT, on_step=on_step)
    assert (done.enqueued, done.left) == (count, 0)
    assert [step.stage for step in steps if step.is_full] != []
    assert (steps[-1].stage, steps[-1].done, steps[-1].total) == (Stage.ENQUEUING, count, count)


def test_large_tasks_go_in_small_commands(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by their bytes, not only by their number; each is enqueued once, in order."""
    monkeypatch.setattr(enqueue, "CHUNK_BYTES", 1000)
    steps: list[Step] = []
    done = submitted(settings, client, 10, on_step=steps.append)
    one = len(next(lines_of(done.batch.tasks))[1])
    counts = [step.done for step in steps if step.stage is Stage.ENQUEUING]
    assert counts == [*range(-(-1000 // one), 10, -(-1000 // one)), 10]
    assert names(client) == [f"t{number}" for number in range(10)]


def test_high_goes_before_what_waits_and_normal_behind(settings: Settings, client: redis.Redis) -> None:
    """Within a batch the order stays."""
    submitted(settings, client, 3)
    lines = [line.model_copy(update={"custom_id": f"u{number}"}) for number, line in enumerate(make_lines(3))]
    urgent = submit(lines, settings, source="", client=client, priority=Priority.HIGH)
    assert names(client) == ["u0", "u1", "u2", "t0", "t1", "t2"]
    assert marks.priority_of(settings.batches_dir, urgent.batch_id) is Priority.HIGH


def test_low_puts_few_on_the_queue(settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bound is small and counts what others have there; the reconciler keeps to it, until it is changed."""
    monkeypatch.setattr(enqueue, "LOW_WAITING", 2)
    first = submitted(settings, client, 3, nonce="others")
    low = submitted(settings, client, 3, priority=Priority.LOW)
    assert (low.enqueued, low.left) == (0, 3)
    client.rpop(Queue.LOCAL.value, 2)
    assert first.enqueued == 3
    assert reconcile.reconcile(low.batch_id, settings, client, UNSIGNED).enqueued == 3
    client.delete(Queue.LOCAL.value)
    again = submitted(settings, client, 3, priority=Priority.NORMAL)
    assert (again.resumed, again.enqueued) == (True, 3)


def test_a_full_broker_is_told_and_resumed(settings: Settings) -> None:
    """What it took runs; the same command enqueues exactly the rest once it has room."""
    count = CHUNK + 5
    with FullRedis(server=fakeredis.FakeServer()) as client:
        client.publishes_left = 1
        with pytest.raises(BrokerUnavailable, match=f"broker is full: accepted {CHUNK} of {count}") as full:
            submitted(settings, client, count)
        assert "REPLAY_SUBMIT_MAX_WAITING" in full.value.hint
        client.publishes_left = -1
        again = submitted(settings, client, count)
        assert (again.already_queued, again.enqueued) == (CHUNK, 5)
        assert sorted(names(client)) == sorted(f"t{number}" for number in range(count))


@pytest.mark.parametrize("wait", [True, False])
def test_a_batch_that_is_cancelled_while_it_is_submitted(settings: Settings, client: redis.Redis, wait: bool) -> None:
    """The submit stops, also while it waits for room, and says how far it came; the rest is owed."""
    seen: list[str] = []

    def on_step(step: Step) -> None:
        if step.stage is Stage.ENQUEUING and not seen and (step.is_full or not wait):
            seen.extend(manifest.known(settings.batches_dir))
            cancelling.cancel(manifest.load(settings.batches_dir, seen[0]), settings, client)

    with pytest.raises(InputError, match="cancelled while it was being submitted"):
        submitted(settings, client, BOUND + 700, when_full=WhenFull.WAIT, on_step=on_step)
    assert len(names(client)) == (BOUND if wait else CHUNK)
    account = reconcile.examine(seen[0], settings, client)
    assert (account.in_broker + account.missing, account.owed) == (BOUND + 700, BOUND + 700)


def test_a_batch_that_is_paused_while_it_is_submitted(settings: Settings, client: redis.Redis) -> None:
    """The submit ends without an error and says what is left; submitting again enqueues nothing, resuming the rest."""

    def on_step(step: Step) -> None:
        if step.stage is Stage.ENQUEUING:
            pause.pause(manifest.known(settings.batches_dir)[0], settings, client, reason="tea")

    done = submitted(settings, client, CHUNK + 7, on_step=on_step)
    assert (done.enqueued, done.left) == (CHUNK, 7)
    assert marks.why_paused(settings.batches_dir, done.batch_id) == "tea"
    assert submitted(settings, client, CHUNK + 7).left == 7
    assert reconcile.reconcile(done.batch_id, settings, client, UNSIGNED).enqueued == 0
    assert pause.resume(done.batch_id, settings, client, UNSIGNED).enqueued == 7
    assert pause.resume(done.batch_id, settings, client, UNSIGNED).enqueued == 0
    assert marks.why_paused(settings.batches_dir, done.batch_id) is None


def test_two_producers_of_one_file_enqueue_each_run_once(settings: Settings, client: redis.Redis) -> None:
    """The second one waits for the first and finds what it did."""
    made: list[Submission] = []

    def produce() -> None:
        made.append(submitted(settings, client, 600))

    threads = [threading.Thread(target=produce) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((one.enqueued, one.already_queued) for one in made) == [(0, 600), (600, 0)]
    assert len(names(client)) == 600
