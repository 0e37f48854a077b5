from __future__ import annotations

import threading
from pathlib import Path

import fakeredis
import pytest
import redis

from broker import heartbeat
from broker.claims import unacked_key
from broker.heartbeat import Heartbeat
from evidence.reader import EvidenceReader
from producer import manifest
from producer.manifest import Batch
from producer.progress import Progress, Watch, snapshot
from producer.reconcile import hindrance, wait
from replay.contracts import State, Tier
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import by_name, make_lines, make_run, record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data directory of their own."""
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def batch() -> Batch:
    """Eight tasks."""
    return manifest.plan(make_lines(8), source="tasks.jsonl", corpus_version=None, created_at="2026-01-01")


def beat(client: redis.Redis, *roles: str) -> None:
    """Let a worker of each role give a sign of life."""
    for role in roles:
        heartbeat.beat(client, Heartbeat(f"{role}@here", role, "here", 1, 1, 0, 0))


def test_every_task_is_in_exactly_one_place(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Ends come from the ledger; what is not ended is split by the depths; the parts add up to the total."""
    tasks = by_name(batch)
    record(
        settings,
        make_run(tasks["t0"]),
        make_run(tasks["t1"], State.ESCALATED),
        make_run(tasks["t1"], State.ACCEPTED, Tier.ESCALATION),
        make_run(tasks["t2"], State.REJECTED),
        make_run(tasks["t3"], State.FAILED, None, reason="model: gone"),
        make_run(tasks["t4"], State.ESCALATED),
        make_run(tasks["t5"], State.ESCALATED),
    )
    client.hset(unacked_key(Queue.LOCAL.value), "tag1", "held")
    client.hset(unacked_key(Queue.ESCALATION.value), "tag2", "held")
    seen = snapshot(batch, EvidenceReader(settings.evidence_log), client)
    assert seen == Progress(
        total=8,
        queued=1,
        running=2,
        accepted_local=1,
        accepted_escalation=1,
        escalated_waiting=1,
        rejected=1,
        failed=1,
        prompt_tokens=600,
        completion_tokens=60,
        cached_tokens=240,
        elapsed_s=seen.elapsed_s,
    )
    assert (seen.done, seen.finished) == (4, False)
    assert seen.queued + seen.running + seen.escalated_waiting + seen.done == seen.total


def test_other_batches_in_the_queues_do_not_make_more_tasks(
    settings: Settings, client: redis.Redis, batch: Batch
) -> None:
    """However much is in flight, a batch never shows more than its own tasks."""
    for number in range(20):
        client.hset(unacked_key(Queue.LOCAL.value), f"tag{number}", "held")
    seen = snapshot(batch, EvidenceReader(settings.evidence_log), client)
    assert (seen.running, seen.queued) == (8, 0)


def test_rates_come_from_what_happened_while_watching(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """Tokens a second and the time left follow from the looks; work of an earlier session is in neither."""
    now = 0.0
    record(settings, make_run(batch.tasks[0]))
    watch = Watch(batch, EvidenceReader(settings.evidence_log), client, clock=lambda: now)
    first = watch.look()
    assert (first.tokens_per_s, first.eta_s, first.elapsed_s) == (None, None, 0.0)
    record(settings, make_run(batch.tasks[1]), make_run(batch.tasks[2]))
    now = 4.0
    second = watch.look()
    assert (second.tokens_per_s, second.eta_s, second.elapsed_s) == (5.0, 10.0, 4.0)


def test_a_broker_that_is_gone_leaves_the_ledger(settings: Settings, batch: Batch) -> None:
    """Without a broker the ends are still known, and it is said that the rest is not."""
    record(settings, make_run(batch.tasks[0]))
    server = fakeredis.FakeServer()
    server.connected = False
    seen = snapshot(batch, EvidenceReader(settings.evidence_log), fakeredis.FakeRedis(server=server))
    assert (seen.accepted_local, seen.running, seen.queued, seen.broker_answers) == (1, 0, 7, False)


def test_missing_workers_are_named(client: redis.Redis) -> None:
    """Only the lanes that still have work are asked for, and the writer always."""
    assert "no writer and no local worker is alive" in str(hindrance(Progress(total=1, queued=1), client))
    beat(client, "local", "writer")
    assert hindrance(Progress(total=1, queued=1), client) is None
    assert "`replay worker escalation`" in str(hindrance(Progress(total=1, escalated_waiting=1), client))
    beat(client, "local+escalation")
    assert hindrance(Progress(total=1, escalated_waiting=1), client) is None
    assert "broker does not answer" in str(hindrance(Progress(total=1, broker_answers=False), client))


def test_waiting_ends_with_the_batch(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """The wait tells each look and each change of what hinders, and returns once all tasks have ended."""
    manifest.write(batch, settings.batches_dir)
    looks: list[Progress] = []
    troubles: list[str | None] = []

    def on_progress(progress: Progress) -> None:
        looks.append(progress)
        match len(looks):
            case 1:
                record(settings, *(make_run(task) for task in batch.tasks[:4]))
            case 2:
                beat(client, "local", "writer", "escalation")
            case 3:
                record(settings, *(make_run(task) for task in batch.tasks[4:]))

    last = wait(
        batch,
        settings,
        client,
        on_progress=on_progress,
        on_trouble=troubles.append,
        poll_s=0.01,
    )
    assert [look.done for look in looks] == [0, 4, 4, 8]
    assert last.finished
    assert last.accepted_local == 8
    assert troubles[0] is not None
    assert troubles[1:] == [None]


def test_waiting_can_be_stopped(settings: Settings, client: redis.Redis, batch: Batch) -> None:
    """A set event ends the wait at the next look, with the batch as it stands."""
    stop = threading.Event()
    seen = wait(batch, settings, client, on_progress=lambda _: stop.set(), stop=stop, poll_s=0.01)
    assert not seen.finished
