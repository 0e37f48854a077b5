from __future__ import annotations

import base64
import json
import resource
from pathlib import Path

import fakeredis
import pytest
import redis

from broker import envelope, queues
from broker.evidence_stream import append
from producer import manifest, single
from producer.cancel import cancel
from producer.submit import Submission, submit
from replay import identity
from replay.contracts import EscalationOrder, ReplayTask, State, TaskOptions
from replay.corpus import snapshot
from replay.errors import AppendFailed, BrokerUnavailable, ConfigurationError, CorpusError, InputError
from replay.settings import Settings
from replay.topology import CANCELLED, Queue
from tests.batches import by_name, make_lines, make_run, record, submitted, waiting
from tests.failing_redis import FailingRedis


def test_a_batch_is_durable_and_enqueued_in_order(settings: Settings, client: redis.Redis) -> None:
    """Every task lies in the manifest and, as a message that a worker reads, on the local queue."""
    done = submitted(settings, client)
    assert (done.total, done.already_done, done.already_queued, done.enqueued, done.resumed) == (3, 0, 0, 3, False)
    batch = manifest.load(settings.batches_dir, done.batch_id)
    assert batch.corpus_version == snapshot.current_version(settings.corpus_dir)
    messages = waiting(client)
    assert [ReplayTask.model_validate(message.payload) for message in messages] == list(batch.tasks)
    assert [message.message_id for message in messages] == [f"{task.run_id}:local" for task in batch.tasks]


def test_the_same_again_adds_nothing(settings: Settings, client: redis.Redis) -> None:
    """A second submit finds its tasks in the broker and leaves them there."""
    first = submitted(settings, client)
    again = submitted(settings, client)
    assert again == Submission(first.batch, 0, 3, 0, resumed=True)
    assert len(waiting(client)) == 3


def test_resuming_enqueues_what_is_owed_and_nowhere(settings: Settings, client: redis.Redis) -> None:
    """Ended runs, and runs whose evidence is on its way to the writer, are left alone; a lost one is enqueued."""
    tasks = by_name(submitted(settings, client).batch)
    client.flushall()
    record(settings, make_run(tasks["t0"], State.REJECTED))
    append(client, identity.canonical_json(make_run(tasks["t1"]).wire()))
    again = submitted(settings, client)
    assert (again.already_done, again.already_queued, again.enqueued) == (1, 1, 1)
    assert [message.message_id for message in waiting(client)] == [f"{tasks['t2'].run_id}:local"]


def test_a_manifest_that_is_made_anew_counts_what_is_in_evidence(settings: Settings, client: redis.Redis) -> None:
    """As the hint of a damaged one says: what has ended is done, and not left over."""
    first = submitted(settings, client)
    record(settings, make_run(first.batch.tasks[0], State.ACCEPTED))
    manifest.folder(settings.batches_dir, first.batch_id).rename(settings.data_dir / "moved away")
    again = submitted(settings, client)
    assert (again.resumed, again.already_done, again.left) == (False, 1, 0)
    assert again.enqueued == again.total - 1


def test_a_lost_escalation_goes_on_and_does_not_start_anew(settings: Settings, client: redis.Redis) -> None:
    """The order is made again from the local attempt's evidence: the same bundle, the gate's reasons."""
    tasks = by_name(submitted(settings, client).batch)
    client.flushall()
    run = make_run(tasks["t1"], State.ESCALATED, rules=["literals.missing"])
    record(settings, run)
    assert submitted(settings, client).enqueued == 3
    (message,) = waiting(client, Queue.ESCALATION)
    assert message.message_id == f"{tasks['t1'].run_id}:escalation"
    order = EscalationOrder.model_validate(message.payload)
    assert (order.task, order.bundle) == (tasks["t1"], run.bundle)
    assert [reason.rule for reason in order.reasons] == ["literals.missing"]
    assert len(waiting(client)) == 2


def test_without_a_corpus_nothing_is_accepted(tmp_path: Path, client: redis.Redis) -> None:
    """A submit that needs retrieval is refused with how to build a corpus; a pure baseline is not."""
    bare = Settings(data_dir=tmp_path / "bare")
    with pytest.raises(CorpusError) as refused:
        submitted(bare, client)
    assert "corpus build" in refused.value.hint
    assert not bare.batches_dir.exists()
    assert submitted(bare, client, line={"options": TaskOptions(retrieval=False)}).enqueued == 3


def test_without_a_broker_nothing_is_accepted(settings: Settings) -> None:
    """A broker that is down is found out before the manifest is written."""
    with pytest.raises(BrokerUnavailable) as refused:
        submit(make_lines(), settings, source="tasks.jsonl")
    assert "replay up" in refused.value.hint
    assert not settings.batches_dir.exists()


def test_no_tasks_are_no_batch(settings: Settings, client: redis.Redis) -> None:
    """An input without one good task is refused."""
    with pytest.raises(InputError, match=r"no task to submit in tasks\.jsonl"):
        submitted(settings, client, 0)


def test_a_broker_that_dies_in_between_says_how_far_it_came(settings: Settings) -> None:
    """Whole chunks are accepted; the error counts them; the same command then enqueues exactly the rest."""
    count = 2 * envelope.CHUNK + 7
    with FailingRedis(server=fakeredis.FakeServer()) as client:
        client.publishes_left = 1
        with pytest.raises(BrokerUnavailable, match=f"accepted {envelope.CHUNK} of {count} tasks") as cut:
            submitted(settings, client, count)
        assert "run the same command again" in cut.value.hint
        client.publishes_left = -1
        again = submitted(settings, client, count)
        assert (again.resumed, again.already_queued, again.enqueued) == (True, envelope.CHUNK, count - envelope.CHUNK)
        assert len(queues.visible_run_ids(client)) == count
        assert client.llen(Queue.LOCAL.value) == count


def test_a_disk_that_says_no_accepts_nothing(settings: Settings, client: redis.Redis) -> None:
    """When the manifest cannot be written whole, there is none, and nothing is enqueued."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, unlimited[1]))
    try:
        with pytest.raises(AppendFailed) as refused:
            submitted(settings, client)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert "submit again" in refused.value.hint
    assert manifest.known(settings.batches_dir) == []
    assert client.llen(Queue.LOCAL.value) == 0
    assert submitted(settings, client).enqueued == 3


def test_a_data_directory_that_is_none_is_explained(settings: Settings, client: redis.Redis) -> None:
    """Where the batches cannot be kept, the setting that chooses the place is named."""
    settings.batches_dir.write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot be kept in") as refused:
        submitted(settings, client)
    assert "REPLAY_DATA_DIR" in refused.value.hint


def test_a_cancelled_batch_is_not_resumed_but_may_be_run_anew(settings: Settings, client: redis.Redis) -> None:
    """Cancelling tells workers and marks the batch durably; a nonce makes another batch of the same tasks."""
    batch = submitted(settings, client).batch
    record(settings, make_run(batch.tasks[0]))
    assert cancel(batch, settings, client) == 2
    assert client.sismember(CANCELLED, batch.batch_id)
    with pytest.raises(InputError, match="was cancelled"):
        submitted(settings, client)
    anew = submit(make_lines(), settings, source="tasks.jsonl", client=client, nonce="again")
    assert (anew.resumed, anew.enqueued) == (False, 3)


def test_a_cancellation_without_a_broker_is_marked_and_told(settings: Settings, client: redis.Redis) -> None:
    """The mark is durable before the broker is asked, and who cancels learns that the workers do not know yet."""
    batch = submitted(settings, client).batch
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with pytest.raises(BrokerUnavailable, match="is marked as cancelled, but the workers could not be told"):
        cancel(batch, away)
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)


def test_a_single_task_is_a_new_batch_each_time(settings: Settings, client: redis.Redis) -> None:
    """`replay run` never resumes: the same words are asked again."""
    line = single.line_of("Verify that it holds.")
    first, second = (single.submit_one(line, settings, client=client) for _ in range(2))
    assert first.batch_id != second.batch_id
    assert len(waiting(client)) == 2


def test_a_message_is_what_a_stock_worker_reads(settings: Settings, client: redis.Redis) -> None:
    """The body is one JSON argument in Celery's call form, without secrets of ours."""
    submitted(settings, client, 1)
    item = json.loads(client.lindex(Queue.LOCAL.value, 0))  # type: ignore[arg-type]  # there is one
    arguments, keywords, _ = json.loads(base64.b64decode(item["body"]))
    assert keywords == {}
    assert arguments[0]["schema"] == "replay_task.v1"
