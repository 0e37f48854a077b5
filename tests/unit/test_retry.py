from __future__ import annotations

import threading

import pytest
import redis

from broker.signing import UNSIGNED
from evidence.reader import EvidenceReader
from producer import manifest, marks, repeats
from producer.cancel import cancel
from producer.manifest import Batch
from producer.progress import Progress
from producer.progress import snapshot as look
from producer.reconcile import wait
from producer.results import results
from producer.retry import Retried, retry
from replay.contracts import State
from replay.errors import InputError
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import make_run, record, submitted


@pytest.fixture
def batch(settings: Settings, client: redis.Redis) -> Batch:
    """Four tasks: accepted, failed, rejected, and one that waits."""
    batch = submitted(settings, client, 4).batch
    client.rpop(Queue.LOCAL.value, 3)
    record(
        settings,
        make_run(batch.tasks[0]),
        make_run(batch.tasks[1], State.FAILED, None, reason="gone"),
        make_run(batch.tasks[2], State.REJECTED),
    )
    return batch


def test_failed_runs_are_made_again_once(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """A new run stands in the place of the failed one, in results and progress; again, there is nothing to do."""
    assert retry(batch.batch_id, settings, client, UNSIGNED) == Retried(1, 1)
    again = manifest.load(settings.batches_dir, batch.batch_id)
    assert again.tasks[1] == repeats.repeated(batch.tasks[1])
    assert retry(batch.batch_id, settings, client, UNSIGNED) == Retried(0, 0)
    reader = EvidenceReader(settings.evidence_log)
    assert [row.state for row in results(again, reader)] == ["accepted", "waiting", "rejected", "waiting"]
    seen = look(again, reader, client)
    assert (seen.done, seen.failed, seen.queued, seen.prompt_tokens) == (2, 0, 2, 200)
    record(settings, make_run(again.tasks[1]))
    assert [row.state for row in results(again, reader)] == ["accepted", "accepted", "rejected", "waiting"]


def test_who_waits_sees_what_is_made_again(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """The second end of a task counts in the place of the first one, and the waiting ends."""
    stop = threading.Event()
    seen: list[int] = []

    def on_progress(progress: Progress) -> None:
        seen.append(progress.done)
        if len(seen) == 1:
            retry(batch.batch_id, settings, client, UNSIGNED)
            now = manifest.load(settings.batches_dir, batch.batch_id).tasks
            record(settings, make_run(now[1]), make_run(now[3]))
        elif len(seen) == 3:
            stop.set()

    end = wait(batch, settings, client, on_progress=on_progress, stop=stop, poll_s=0)
    assert (seen, end.failed, end.finished) == ([3, 4], 0, True)


def test_what_fails_again_is_retried_again(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Each time with the next number."""
    retry(batch.batch_id, settings, client, UNSIGNED)
    record(settings, make_run(manifest.load(settings.batches_dir, batch.batch_id).tasks[1], State.FAILED, None))
    assert retry(batch.batch_id, settings, client, UNSIGNED) == Retried(1, 1)
    assert manifest.load(settings.batches_dir, batch.batch_id).tasks[1].options.repeat == 2


def test_rejected_ones_only_when_asked(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Both together are one file of repetitions."""
    both = (State.FAILED, State.REJECTED)
    assert retry(batch.batch_id, settings, client, UNSIGNED, states=both) == Retried(2, 2)
    assert manifest.load(settings.batches_dir, batch.batch_id).superseded == tuple(
        task.run_id for task in batch.tasks[1:3]
    )


def test_of_a_paused_batch_they_are_owed(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """They are noted, and wait for its resumption."""
    marks.pause(settings.batches_dir, batch.batch_id)
    assert retry(batch.batch_id, settings, client, UNSIGNED) == Retried(1, 0)


def test_what_cannot_be_retried(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Accepted runs, and a cancelled batch."""
    with pytest.raises(InputError, match="only failed and rejected runs"):
        retry(batch.batch_id, settings, client, UNSIGNED, states=[State.ACCEPTED])
    cancel(batch, settings, client)
    with pytest.raises(InputError, match="was cancelled"):
        retry(batch.batch_id, settings, client, UNSIGNED)
