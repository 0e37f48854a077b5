"""The scheduler on the real server, round by round."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
import redis

from broker import cancelled, heartbeat, queues
from broker.claims import Claims, claim_key, index_key
from broker.connection import connect
from broker.heartbeat import Heartbeat
from broker.signing import UNSIGNED
from broker.singleton import Singleton
from evidence.reader import EvidenceReader
from producer import manifest, reconcile, repeats, scheduler
from producer.cancel import cancel
from producer.manifest import Batch
from producer.repeats import Repeat
from producer.scheduler import Round, Rounds, run_scheduler
from producer.submit import submit
from replay.contracts import State
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import make_lines, make_run, record
from tests.factories import make_bundle
from tests.processes import python, running, wait_for


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """Settings with a corpus, on the real server."""
    made = Settings(data_dir=data_dir, broker_url=broker_url, reconcile_interval_s=1)
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


def submitted(settings: Settings, client: redis.Redis, nonce: str = "") -> Batch:
    """A batch of two."""
    return submit(make_lines(2), settings, source="tasks.jsonl", nonce=nonce, client=client).batch


def test_a_round_enqueues_what_every_batch_owes(settings: Settings, valkey: redis.Redis) -> None:
    """After a wipe all batches get back what they owe, once; a cancellation is told again."""
    batches = [submitted(settings, valkey, nonce) for nonce in ("a", "b", "c")]
    record(settings, make_run(batches[0].tasks[0]), *(make_run(task) for task in batches[1].tasks))
    cancel(batches[2], settings, valkey)
    valkey.flushall()
    rounds = Rounds(settings, valkey, UNSIGNED)
    assert rounds.make() == Round(owing=2, enqueued=3, swept=0)
    assert rounds.make() == Round(owing=2, enqueued=0, swept=0)
    assert cancelled.is_cancelled(valkey, batches[2].batch_id)
    assert valkey.llen(Queue.LOCAL.value) == 3


def test_what_has_ended_is_not_looked_at_again(
    settings: Settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended batches cost nothing until one of their runs is made again, or the memory is an hour old."""
    batch = submitted(settings, valkey)
    record(settings, *(make_run(task, State.FAILED) for task in batch.tasks))
    valkey.flushall()
    asked: list[str] = []
    owes = reconcile.owes

    def counted(batch_id: str, settings: Settings, reader: EvidenceReader) -> bool:
        asked.append(batch_id)
        return owes(batch_id, settings, reader)

    monkeypatch.setattr(reconcile, "owes", counted)
    now = 0.0
    rounds = Rounds(settings, valkey, UNSIGNED, clock=lambda: now)
    assert [rounds.make().owing for _ in range(3)] == [0, 0, 0]
    assert len(asked) == 1
    now = 3601.0
    rounds.make()
    assert len(asked) == 2

    task = batch.tasks[0]
    repeat = Repeat(letter_id="dead_1", run_id=task.run_id, task=repeats.repeated(task), recorded_at="now")
    repeats.add(manifest.folder(settings.batches_dir, batch.batch_id), repeat)
    assert rounds.make() == Round(owing=1, enqueued=1, swept=0)


def test_queues_without_a_worker_are_swept(settings: Settings, valkey: redis.Redis) -> None:
    """What a dead worker held comes back though no worker lives; where one lives it is left to that one."""
    submitted(settings, valkey)
    claims = Claims(valkey)
    for queue in (Queue.LOCAL,):
        item = valkey.blmove(queue, claim_key(queue, "gone"), 1, "RIGHT", "LEFT")
        assert claims.accept(queue, "gone", item, "tag")  # type: ignore[arg-type]  # bytes: it lay there
        valkey.zadd(index_key(queue), {"tag": 0})
    heartbeat.beat(valkey, Heartbeat("local-1@host", "local", "host", 1, 1, 0, 0))
    rounds = Rounds(settings, valkey, UNSIGNED)
    assert rounds.make().swept == 0
    heartbeat.leave(valkey, "local-1@host")
    assert rounds.make() == Round(owing=1, enqueued=0, swept=1)
    assert queues.depths(valkey).in_flight[Queue.LOCAL] == 0


def test_a_damaged_batch_does_not_stop_the_others(
    settings: Settings, valkey: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once and not again in each round."""
    bad, good = submitted(settings, valkey, "a"), submitted(settings, valkey, "b")
    path = manifest.folder(settings.batches_dir, bad.batch_id) / "manifest.jsonl"
    path.write_bytes(path.read_bytes().replace(b"claim 0", b"claim 9"))
    valkey.flushall()
    rounds = Rounds(settings, valkey, UNSIGNED)
    assert [rounds.make().enqueued for _ in range(2)] == [2, 0]
    assert [line for line in caplog.messages if bad.batch_id in line and "was changed" in line] != []
    assert len([line for line in caplog.messages if good.batch_id not in line]) == 1


def test_one_works_and_the_other_takes_over(settings: Settings, valkey: redis.Redis) -> None:
    """Two at once: one stands by, says so, and works as soon as the first one stops."""
    stops = [threading.Event(), threading.Event()]
    threads = [threading.Thread(target=run_scheduler, args=(settings, stop)) for stop in stops]
    first = Singleton(valkey, scheduler.lease_name(settings), 10.0)
    assert first.hold()
    try:
        threads[0].start()
        wait_for(lambda: _states(valkey) == ["standing by: another scheduler is at work"], "it to stand by")
        first.release()
        wait_for(lambda: _states(valkey) == [""], "it to take over")
        submitted(settings, valkey)
        valkey.flushall()
        # A wiped broker has no lease either; whoever comes first takes it, and the queue is filled again.
        wait_for(lambda: valkey.llen(Queue.LOCAL.value) == 2, "the queue to be filled again")
    finally:
        stops[0].set()
        threads[0].join(20)
    assert heartbeat.alive(valkey) == []
    assert valkey.keys("replay.scheduler*") == []


def test_schedulers_of_other_batches_do_not_stand_by_for_each_other(settings: Settings, tmp_path: Path) -> None:
    """One that was started where the batches are not does not keep the right one from its work."""
    other = settings.model_copy(update={"data_dir": tmp_path / "other"})
    names = {scheduler.lease_name(one) for one in (settings, settings.model_copy(), other)}
    assert len(names) == 2


def _states(valkey: redis.Redis) -> list[str]:
    return [beat.state for beat in heartbeat.alive(valkey) if beat.role == scheduler.ROLE]


def test_it_imports_no_celery(data_dir: Path, broker_url: str) -> None:
    """The command that starts it does not either: it is a small process."""
    code = "import sys, cli.worker, producer.scheduler; sys.exit(bool({'celery', 'kombu'} & sys.modules.keys()))"
    assert sys.executable
    with running(python(code), {}, data_dir / "log") as process:
        assert process.wait() == 0, process.output
    assert connect(Settings(data_dir=data_dir, broker_url=broker_url)).ping()
