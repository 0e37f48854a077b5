"""One suite over a fake and the real server; what needs scripts runs on the real one alone (see test_claims.py)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import redis

from broker import cancelled, dead, evidence_stream, heartbeat, queues
from broker.claims import Claims, claim_key
from broker.envelope import Envelope, publish
from broker.evidence_stream import Entry, EvidenceStream
from broker.heartbeat import Heartbeat
from replay.contracts import DeadLetter
from replay.topology import EVIDENCE_STREAM, Queue, TaskName
from tests.processes import stream_records


@pytest.fixture
def stream(client: redis.Redis) -> EvidenceStream:
    """The writer's end of an empty stream."""
    made = EvidenceStream(client, "one")
    made.ensure_group()
    return made


def _append(client: redis.Redis, *records: bytes) -> None:
    for record in records:
        evidence_stream.append(client, record)


def _records(entries: list[Entry]) -> list[bytes]:
    return [entry.record for entry in entries]


def test_stream_keeps_order_and_forgets_only_what_is_acknowledged(client: redis.Redis, stream: EvidenceStream) -> None:
    """Entries come in order, and the backlog is what was not acknowledged."""
    _append(client, b"a", b"b", b"c")
    entries = stream.read(2, 0)
    assert _records(entries) == [b"a", b"b"]
    assert evidence_stream.backlog(client) == 3
    stream.acknowledge([entry.entry_id for entry in entries])
    assert evidence_stream.backlog(client) == 1
    assert _records(stream.read(2, 0)) == [b"c"]
    assert stream.read(2, 0) == []


def test_stream_gives_own_pending_entries_first_after_a_restart(client: redis.Redis, stream: EvidenceStream) -> None:
    """A writer that comes back reads what it had not acknowledged, page by page, and then what is new."""
    _append(client, b"a", b"b", b"c")
    assert len(stream.read(3, 0)) == 3
    _append(client, b"d")

    again = EvidenceStream(client, "one")
    again.ensure_group()
    assert _records(again.read(2, 0)) == [b"a", b"b"]
    assert _records(again.read(2, 0)) == [b"c"]
    assert _records(again.read(2, 0)) == [b"d"]


def test_stream_takes_over_what_a_dead_writer_left(client: redis.Redis, stream: EvidenceStream) -> None:
    """Another writer gets the pending entries of one that is gone, and not those of one that is busy."""
    _append(client, b"a")
    assert len(stream.read(1, 0)) == 1
    other = EvidenceStream(client, "two")
    other.read(1, 0)
    assert other.inherit(60_000) == 0
    assert other.inherit(0) == 1
    assert _records(other.read(10, 0)) == [b"a"]


@pytest.mark.parametrize("fields", [{"text": "{}"}, {"record": ""}, {b"\xff\x00": b"\xfe"}])
def test_an_entry_without_the_field_is_read_as_a_dead_letter(
    client: redis.Redis, stream: EvidenceStream, fields: dict[Any, Any]
) -> None:
    """Its fields are kept; read twice, it is one and the same letter."""
    client.xadd(EVIDENCE_STREAM, fields)
    [entry] = stream.read(1, 0)
    stream.rewind()
    assert stream.read(1, 0) == [entry]
    letter = DeadLetter.model_validate_json(entry.record)
    assert letter.id == f"dead_entry_{entry.entry_id.decode()}"
    assert letter.cause == "evidence: an entry without the field `record`"
    shown = json.loads(base64.b64decode(letter.payload_base64))
    assert len(shown) == 1
    stream.acknowledge([entry.entry_id])
    assert evidence_stream.backlog(client) == 0


def test_an_entry_that_was_deleted_after_it_was_read_is_told_of(
    client: redis.Redis, stream: EvidenceStream, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing left to keep, but its end is no secret, and it holds nobody up."""
    entry_id = client.xadd(EVIDENCE_STREAM, {"record": "{}"})
    assert len(stream.read(1, 0)) == 1
    client.xdel(EVIDENCE_STREAM, entry_id)
    stream.rewind()
    found = stream.read(1, 0)
    assert [entry.record for entry in found] == [b""]
    assert "was deleted by somebody" in caplog.text
    stream.acknowledge([entry.entry_id for entry in found])
    assert stream.read(1, 0) == []


def test_publish_keeps_order_over_chunks(client: redis.Redis) -> None:
    """Messages come off the list's right end in the order in which they were given, however they were chunked."""
    messages = [(TaskName.AUDIT_LOCAL, f"run_{n}:local", {"n": n}) for n in range(7)]
    assert publish(client, Queue.LOCAL, messages, chunk=3) == 7
    items = [client.rpop(Queue.LOCAL) for _ in range(7)]
    assert [json.loads(item)["headers"]["id"] for item in items if isinstance(item, bytes)] == [m[1] for m in messages]


def test_depths_and_visible_runs_count_every_place(client: redis.Redis) -> None:
    """A run is seen while it waits, on a priority list, in a claim list, in flight, and on its way to the writer."""
    places = ["waiting", "priority", "claimed", "flying", "escalated"]
    local = {run: Envelope(TaskName.AUDIT_LOCAL, f"{run}:local", {}).sealed(Queue.LOCAL) for run in places}
    client.lpush(Queue.LOCAL, local["waiting"], b"\xff no envelope")
    client.lpush(f"{Queue.LOCAL}\x06\x163", local["priority"])
    client.zadd("replay.local.consumers", {"host:1:x": 1.0})
    client.lpush("replay.local.claim.host:1:x", local["claimed"])
    client.hset("replay.local.unacked", "tag", local["flying"])
    client.zadd("replay.local.unacked_index", {"tag": 1.0})
    client.lpush(Queue.ESCALATION, local["escalated"])
    _append(client, b'{"run_id": "written"}', b"not json", b'{"schema": "replay_dead.v1"}')

    assert queues.visible_run_ids(client) == {*places, "written"}
    found = queues.depths(client)
    assert found.waiting == {"replay.local": 3, "replay.escalation": 1}
    assert found.in_flight == {"replay.local": 1, "replay.escalation": 0}
    assert (found.oldest_lease_s["replay.local"] or 0) > 0
    assert found.oldest_lease_s["replay.escalation"] is None
    assert (found.dead, found.evidence) == (0, 3)


def test_visible_runs_reads_long_queues_page_by_page(client: redis.Redis) -> None:
    """No message is missed at the edge of a page."""
    publish(client, Queue.LOCAL, ((TaskName.AUDIT_LOCAL, f"run_{n}:local", {}) for n in range(1203)))
    assert len(queues.visible_run_ids(client)) == 1203


def test_purge_empties_a_queue_and_leaves_the_other(client: redis.Redis) -> None:
    """Purging counts what it dropped."""
    client.lpush(Queue.LOCAL, b"1", b"2")
    client.lpush(Queue.ESCALATION, b"3")
    assert queues.purge(client, Queue.LOCAL) == 2
    assert queues.depths(client).waiting == {"replay.local": 0, "replay.escalation": 1}


def test_cancelled_batches_are_known_until_restored(client: redis.Redis) -> None:
    """Cancelling is idempotent and can be taken back."""
    cancelled.cancel(client, "batch_a")
    cancelled.cancel(client, "batch_a")
    assert cancelled.is_cancelled(client, "batch_a")
    assert not cancelled.is_cancelled(client, "batch_b")
    cancelled.restore(client, "batch_a")
    assert not cancelled.is_cancelled(client, "batch_a")


def test_heartbeats_are_listed_until_they_expire_or_leave(client: redis.Redis) -> None:
    """A worker is listed with what it said last, its entry expires by itself, and a clean stop takes it off at once."""
    mine = Heartbeat("local-1@host", "local", "host", 1, 2, 1, 7)
    heartbeat.beat(client, mine)
    heartbeat.beat(client, Heartbeat("writer@host", "writer", "host", 2, 1, 0, 99))
    listed = heartbeat.alive(client)
    assert [(beat.worker, beat.role, beat.in_flight, beat.started) for beat in listed] == [
        ("local-1@host", "local", 1, 7),
        ("writer@host", "writer", 0, 99),
    ]
    assert listed[0].beat_at > 0
    assert 0 < int(client.ttl("replay.workers:local-1@host")) <= heartbeat.TTL_S
    heartbeat.leave(client, mine.worker)
    assert [beat.worker for beat in heartbeat.alive(client)] == ["writer@host"]


def test_a_dead_letter_is_on_the_queue_and_in_the_evidence(valkey: redis.Redis) -> None:
    """Both copies are the same letter; long bytes are cut and their true length is kept."""
    item = b"x" * (dead.KEPT_BYTES + 5)
    letter = dead.letter(Queue.LOCAL, "test", item)
    valkey.lpush(claim_key(Queue.LOCAL, "me"), item)
    assert Claims(valkey).bury(Queue.LOCAL, "me", item, letter)
    assert dead.waiting(valkey) == [letter]
    assert letter.payload_bytes == dead.KEPT_BYTES + 5
    assert stream_records(valkey) == [dead.wire(letter)]


def test_foreign_bytes_on_the_dead_queue_are_shown_as_themselves(client: redis.Redis) -> None:
    """Listing goes on over them."""
    client.lpush(Queue.DEAD, b"\xff junk")
    [found] = dead.waiting(client)
    assert (found.cause, found.payload_bytes) == ("not a dead letter", 6)
    assert [letter.id for _, letter in dead.items(client)] == [found.id], "its name stays the same"
