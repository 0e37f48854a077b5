"""What the doctor sees in a real broker, and that it sees what is wrong with one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from broker import heartbeat
from broker.claims import Claims, claim_key, consumers_key, index_key, unacked_key
from broker.connection import connect
from broker.evidence_stream import EvidenceStream, append
from broker.heartbeat import Heartbeat
from replay.settings import Settings
from replay.topology import HEARTBEATS, Queue
from stack import broker_health
from stack.finding import Finding, Health
from tests.processes import embedded_broker

QUEUE = Queue.LOCAL.value


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A broker whose settings a test may change."""
    with embedded_broker(tmp_path_factory.mktemp("health")) as settings:
        yield settings


@pytest.fixture
def client(own: Settings) -> Iterator[redis.Redis]:
    """Its client; the server is empty and as it was started."""
    with connect(own) as client:
        kept = {name: client.config_get(name)[name] for name in ("maxmemory-policy", "maxmemory", "appendonly")}
        client.flushall()
        yield client
        for name, value in kept.items():
            client.config_set(name, value)


def _by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_the_embedded_broker_is_set_up_well(client: redis.Redis, own: Settings) -> None:
    """What `replay up` starts is what the doctor wants."""
    found = _by_name(broker_health.setup(client, own))
    assert {finding.health for finding in found.values()} == {Health.OK}
    assert "Valkey" in found["broker, version"].detail


@pytest.mark.parametrize(
    ("setting", "name", "health"),
    [
        ("maxmemory-policy allkeys-lru", "broker, eviction", Health.FAIL),
        ("maxmemory 1100000", "broker, memory", Health.WARN),
        ("appendonly no", "broker, persistence", Health.WARN),
    ],
)
def test_a_setting_that_loses_work_is_told(
    client: redis.Redis, own: Settings, setting: str, name: str, health: Health
) -> None:
    """Eviction, a server that is nearly full, and no append-only file: each with what to do."""
    client.config_set(*setting.split())
    found = _by_name(broker_health.setup(client, own))
    assert found[name].health is health
    assert found[name].mend
    others = {finding.health for finding in found.values() if finding.name != name}
    assert others == {Health.OK}


def test_a_replica_is_told(client: redis.Redis, own: Settings) -> None:
    """A server that takes no writes is no broker."""
    client.replicaof("127.0.0.1", "1")
    try:
        assert _by_name(broker_health.setup(client, own))["broker, role"].health is Health.FAIL
    finally:
        client.replicaof("NO", "ONE")


def test_clocks_that_disagree_are_told(client: redis.Redis, own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of this host by asking the broker, those of others by their heartbeats."""
    heartbeat.beat(client, Heartbeat("w1", "local", "there", 1, 1, 0, 0))
    assert {finding.health for finding in broker_health.clocks(client, own)} == {Health.OK}
    client.hset(f"{HEARTBEATS}:w1", "beat_at", time.time() + 60)
    real = time.time
    monkeypatch.setattr("stack.broker_health.time.time", lambda: real() - 30)
    found = _by_name(broker_health.clocks(client, own))
    assert found["clock of this host"].health is Health.WARN
    assert "behind" in found["clock of this host"].detail
    assert found["clock of there"].health is Health.WARN


def test_nothing_held_is_well_and_fresh_leases_are_too(client: redis.Redis, own: Settings) -> None:
    """A message that a worker has just taken is held by somebody."""
    claims = Claims(client)
    claims.register(QUEUE, "consumer")
    client.lpush(claim_key(QUEUE, "consumer"), b"m")
    assert claims.accept(QUEUE, "consumer", b"m", "tag")
    assert [finding.health for finding in broker_health.held(client, own)] == [Health.OK]


def test_what_nobody_holds_is_told(client: redis.Redis, own: Settings) -> None:
    """A lease that ran out, a claim of a dead consumer, a message without a lease, evidence of a dead writer."""
    old = time.time() - own.visibility_timeout_s - 300
    client.hset(unacked_key(QUEUE), mapping={"expired": b"m", "lost": b"m"})
    client.zadd(index_key(QUEUE), {"expired": old})
    client.zadd(consumers_key(QUEUE), {"gone": old})
    client.lpush(claim_key(QUEUE, "gone"), b"m")
    stream = EvidenceStream(client, "gone:1")
    stream.ensure_group()
    append(client, b"{}")
    assert len(stream.read(1, 0)) == 1
    found = list(broker_health.held(client, own))
    told = {(finding.name, finding.health) for finding in found}
    assert told == {
        ("evidence on its way", Health.WARN),
        (f"leases, {QUEUE}", Health.WARN),
        (f"claims, {QUEUE}", Health.WARN),
        (f"leases, {QUEUE}", Health.FAIL),
    }
    assert all("1 " in finding.detail and finding.mend for finding in found)


def test_without_a_broker_it_says_that_it_did_not_look(tmp_path: Path) -> None:
    """One line for each group, and no error."""
    check = broker_health.looking("clocks", broker_health.clocks)
    assert [finding.health for finding in check(Settings(data_dir=tmp_path))] == [Health.WARN]
