"""Counts of all processes in the broker, and one look at everything, on the real server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError as Lost

from broker import evidence_stream, meters, overview
from broker.envelope import ENQUEUED_AT, Envelope, enqueued_at_of, opened, publish
from broker.meters import Meter, Meters
from broker.queues import depths, server_time
from replay.contracts import Tier
from replay.settings import Settings
from replay.topology import METERS, Queue, TaskName
from tests.factories import make_task


def _message(name: str = "one") -> tuple[TaskName, str, dict[str, object]]:
    task = make_task(custom_id=name)
    return TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()


def test_counts_of_several_processes_add_up(valkey: redis.Redis) -> None:
    """Counters and histograms are sums over all who flushed; what is flushed is not told again."""
    for _ in range(2):
        mine = Meters()
        mine.count(meters.ATTEMPTS, "local", "accepted", by=3)
        mine.count(meters.ATTEMPTS, "escalation", "failed")
        mine.observe(meters.RETRIEVE, 0.0011)
        mine.observe(meters.RETRIEVE, 1e9)
        mine.flush(valkey)
        mine.flush(valkey)
    read = meters.read(valkey)
    assert read.counters[meters.ATTEMPTS] == {("local", "accepted"): 6, ("escalation", "failed"): 2}
    assert read.value(meters.ATTEMPTS) == 8
    assert read.value(meters.ATTEMPTS, tier="local") == 6
    histogram = read.histograms[meters.RETRIEVE][()]
    assert (sum(histogram.counts), histogram.counts[1], histogram.counts[-1]) == (4, 2, 2)
    assert histogram.total == pytest.approx(2e9)


def test_a_value_on_a_bound_is_within_it(valkey: redis.Redis) -> None:
    """As Prometheus has it: less or equal."""
    mine = Meters()
    for bound in meters.SYNC.buckets:
        mine.observe(meters.SYNC, bound)
    mine.flush(valkey)
    histogram = meters.read(valkey).histograms[meters.SYNC][()]
    assert histogram.counts == (1.0,) * len(meters.SYNC.buckets) + (0.0,)
    assert histogram.total == pytest.approx(sum(meters.SYNC.buckets))


def test_counts_wait_for_a_broker_that_does_not_take_them(valkey: redis.Redis, tmp_path: Path) -> None:
    """A lost or full broker raises nothing and costs no count."""
    mine = Meters()
    mine.count(meters.ROUNDS)
    away = redis.Redis(unix_socket_path=str(tmp_path / "nowhere"))
    with pytest.raises(Lost):
        away.ping()
    mine.flush(away)
    mine.count(meters.ROUNDS)
    mine.flush(valkey)
    assert meters.read(valkey).value(meters.ROUNDS) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"\xff", "1"),
        ("[]", "1"),
        ("7", "1"),
        ('["replay_attempts","local"]', "1"),
        ('["replay_attempts","local",7]', "1"),
        (json.dumps(["replay_attempts", "local", "x" * 81]), "1"),
        ('["replay_attempts","local","accepted","more"]', "1"),
        ('["replay_retrieve_seconds"]', "1"),
        ('["replay_retrieve_seconds","0.3"]', "1"),
        ('["invented"]', "1"),
        ('["replay_scheduler_rounds"]', "many"),
        ('["replay_scheduler_rounds"]', "nan"),
        ('["replay_scheduler_rounds"]', "-1"),
        ("[" * 100_000, "1"),
    ],
)
def test_what_a_stranger_writes_there_is_left_out(valkey: redis.Redis, field: str | bytes, value: str) -> None:
    """Neither an error nor a made-up time series."""
    valkey.hset(METERS, field, value)
    assert meters.read(valkey) == meters.Reading()


def test_names_end_in_their_unit_and_are_unique() -> None:
    """What is measured is in seconds or counts things; no label can hold a text of a task or a model."""
    assert len({meter.name for meter in meters.ALL}) == len(meters.ALL)
    declared = [value for value in vars(meters).values() if isinstance(value, Meter)]
    assert set(declared) == set(meters.ALL)
    for meter in meters.ALL:
        assert not meter.buckets or meter.name.endswith(("_seconds", "_records"))
        assert meter.buckets == tuple(sorted(meter.buckets))
        assert set(meter.labels) <= {"tier", "outcome", "state", "rule", "kind", "queue", "held_as", "cause"}


def test_a_message_says_since_when_it_waits(valkey: redis.Redis) -> None:
    """The moment is that of the first enqueuing, and stays when the message is handed back and sealed again."""
    before = time.time()
    publish(valkey, Queue.LOCAL, [_message()])
    item = valkey.lindex(Queue.LOCAL, 0)
    assert isinstance(item, bytes)
    at = enqueued_at_of(item)
    assert at is not None
    assert before - 0.001 <= at <= time.time() + 0.001
    again = opened(item, Queue.LOCAL)
    assert enqueued_at_of(again.sealed(Queue.LOCAL)) == at


@pytest.mark.parametrize("said", ["yesterday", True, None, -1, 10**400, 1e300, [1]])
def test_a_moment_that_is_none_is_left_out(said: object) -> None:
    """The message runs all the same: the header is for people."""
    name, message_id, payload = _message()
    message = json.loads(Envelope(name, message_id, payload).sealed(Queue.LOCAL))
    message["headers"][ENQUEUED_AT] = said
    item = json.dumps(message).encode()
    assert opened(item, Queue.LOCAL) == Envelope(name, message_id, payload)
    assert enqueued_at_of(item) is None


def test_depths_know_how_long_the_next_one_has_waited(valkey: redis.Redis) -> None:
    """The age is that of the message which is taken next; nothing is known of none, and of a stock producer's."""
    assert depths(valkey).oldest_waiting_s == {Queue.LOCAL: None, Queue.ESCALATION: None}
    name, message_id, payload = _message()
    for age in (100, 50):
        old = Envelope(name, message_id, payload, server_time(valkey) - age)
        valkey.lpush(Queue.LOCAL, old.sealed(Queue.LOCAL))
    age_s = depths(valkey).oldest_waiting_s[Queue.LOCAL]
    assert age_s is not None
    assert 100 <= age_s < 110
    valkey.rpush(Queue.LOCAL, b"{}")
    assert depths(valkey).oldest_waiting_s[Queue.LOCAL] is None


def test_depths_know_how_far_the_evidence_is_behind(valkey: redis.Redis) -> None:
    """The lag is the age of the oldest record that is not in the log."""
    assert depths(valkey).evidence_lag_s == 0
    milliseconds = int(server_time(valkey) * 1000) - 30_000
    valkey.xadd("replay.evidence", {"record": b"{}"}, id=f"{milliseconds}-0")
    evidence_stream.append(valkey, b"{}")
    found = depths(valkey)
    assert found.evidence == 2
    assert 30 <= found.evidence_lag_s < 40


def test_one_look_has_everything(valkey: redis.Redis, broker_settings: Settings) -> None:
    """The overview names the server, its memory, and what was counted."""
    mine = Meters()
    mine.count(meters.ROUNDS)
    mine.flush(valkey)
    seen = overview.look(valkey, broker_settings)
    assert seen.server.version.startswith(("Valkey ", "Redis "))
    assert seen.server.memory_bytes > 0
    assert [lane.status.lane for lane in seen.lanes] == ["local", "escalation"]
    assert seen.counted.value(meters.ROUNDS) == 1
    assert seen.writer is None
