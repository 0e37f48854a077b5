from __future__ import annotations

import base64
from typing import Any, cast

import fakeredis
import filelock
import pytest
import redis

from broker import dead, envelope, starts
from broker.evidence_stream import append
from broker.signing import UNSIGNED, Keyring
from producer import letters, manifest, reconcile
from producer.cancel import cancel
from producer.manifest import Batch
from producer.reconcile import Account, examine
from replay import identity
from replay.contracts import State, Tier
from replay.errors import BrokerUnavailable, UnavailableError
from replay.settings import Settings
from replay.topology import CANCELLED, Queue
from tests.batches import make_run, record, submitted, waiting


@pytest.fixture
def batch(settings: Settings, client: redis.Redis) -> Batch:
    """A batch of four, submitted."""
    return submitted(settings, client, 4).batch


def ids(client: redis.Redis) -> list[str]:
    """Message ids on the local queue, oldest first."""
    return [message.message_id for message in waiting(client)]


def again(batch: Batch, settings: Settings, client: redis.Redis, **options: Any) -> tuple[Account, int]:
    """Reconcile once."""
    found = reconcile.reconcile(batch.batch_id, settings, client, UNSIGNED, **options)
    return found.account, found.enqueued


def test_each_run_is_in_one_place(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Ended, in the broker (also as evidence on its way), and missing: nothing counts twice, nothing is changed."""
    client.rpop(Queue.LOCAL.value, 3)
    record(settings, make_run(batch.tasks[0], State.FAILED))
    append(client, identity.canonical_json(make_run(batch.tasks[1]).wire()))
    assert examine(batch.batch_id, settings, client) == Account(
        batch.batch_id, accepted=4, ended=1, in_broker=2, dead=0, missing=1
    )
    assert ids(client) == [f"{batch.tasks[3].run_id}:local"]


def test_what_is_missing_is_enqueued_once(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """One look finds the lost message; a second reconcile right after it finds nothing to do."""
    client.rpop(Queue.LOCAL.value)
    found, count = again(batch, settings, client)
    assert (found.missing, count) == (1, 1)
    found, count = again(batch, settings, client)
    assert (found.in_broker, found.missing, count) == (4, 0, 0)
    assert sorted(ids(client)) == sorted(f"{task.run_id}:local" for task in batch.tasks)


def test_a_wiped_broker_gets_back_all_that_is_owed(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """After a broker lost everything, what has not ended is enqueued and the cancellation is told again."""
    record(settings, make_run(batch.tasks[0]))
    cancel(batch, settings, client)
    client.flushall()
    found, count = again(batch, settings, client)
    assert (found.ended, found.missing, count) == (1, 3, 3)
    assert client.sismember(CANCELLED, batch.batch_id)


def test_evidence_that_was_lost_is_made_again(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """The broker says that an attempt is made, but neither stream nor log has it: the mark does not block it."""
    client.flushall()
    marks = [starts.key(identity.attempt_id(batch.tasks[n].run_id, Tier.LOCAL, 0)) for n in range(2)]
    for mark, made_at in zip(marks, (1.0, 1e12), strict=True):
        client.hset(mark, "made", str(made_at))
    assert again(batch, settings, client)[1] == 4
    assert [client.exists(mark) for mark in marks] == [0, 1], "one that was made after the look is kept"


def test_a_run_that_died_too_often_is_held_back(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Two deaths are healed from the manifest; at the third somebody has to look, and the account says so."""
    item = client.rpop(Queue.LOCAL.value)
    assert isinstance(item, bytes)
    for deaths, (held, count) in enumerate([(0, 1), (0, 1), (1, 0)], start=1):
        client.lpush(Queue.DEAD.value, dead.wire(dead.letter(Queue.LOCAL, "payload: test", item)))
        found, enqueued = again(batch, settings, client)
        assert (found.dead, enqueued) == (held, count), deaths
        if count:
            client.lpop(Queue.LOCAL.value)


def test_who_comes_second_waits_or_says_so(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """While another process holds the batch nothing is enqueued."""
    client.flushall()
    lock = filelock.FileLock(manifest.folder(settings.batches_dir, batch.batch_id) / "lock")
    with lock, pytest.raises(UnavailableError, match="another process"):
        again(batch, settings, client, patience_s=0)
    assert ids(client) == []
    assert again(batch, settings, client, patience_s=0)[1] == 4


def test_what_is_enqueued_again_is_signed(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """With keys, the messages bear the first one's signature."""
    client.flushall()
    keyring = Keyring([b"first key of them", b"second"])
    reconcile.reconcile(batch.batch_id, settings, client, keyring)
    items = cast("list[bytes]", client.lrange(Queue.LOCAL.value, 0, -1))
    assert len([envelope.opened(item, Queue.LOCAL, Keyring([b"first key of them"])) for item in items]) == 4


def test_a_broker_that_is_gone_is_told(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Where nothing can be seen, nothing is called missing."""
    server = fakeredis.FakeServer()
    server.connected = False
    with pytest.raises(BrokerUnavailable):
        again(batch, settings, fakeredis.FakeRedis(server=server))


def test_the_run_of_a_cut_letter_is_known(batch: Batch) -> None:
    """Of a message that is longer than what is kept, the beginning of its body says whose it is."""
    task = batch.tasks[0].model_copy(update={"text": "x" * 200_000})
    item = envelope.Envelope(envelope.TASK_OF[Queue.LOCAL], f"{task.run_id}:local", task.wire()).sealed(Queue.LOCAL)
    letter = dead.letter(Queue.LOCAL, "test", item)
    assert len(base64.b64decode(letter.payload_base64)) < letter.payload_bytes
    assert letters.run_id_of(letter) == task.run_id
    assert letters.batch_id_of(letter) == task.batch_id
