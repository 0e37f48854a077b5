"""What Prometheus is told, by its own parser."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import httpx
import pytest
import redis
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from broker import evidence_stream, heartbeat, lanes, meters
from broker.envelope import publish
from broker.heartbeat import Heartbeat
from broker.lanes import LaneState
from broker.meters import Meters
from dashboard import metrics
from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.factories import make_task
from tests.processes import wait_for

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """A broker that runs."""
    return Settings(data_dir=data_dir, broker_url=broker_url, base_url="http://127.0.0.1:1/v1", local_model="m")


def _samples(settings: Settings) -> dict[tuple[str, ...], float]:
    page, content_type = metrics.exposition(settings)
    assert content_type.startswith("text/plain")
    families = text_string_to_metric_families(page.decode())
    return {_key(sample): sample.value for family in families for sample in family.samples}


def _key(sample: Sample) -> tuple[str, ...]:
    # The values in the order of their labels' names.
    return (sample.name, *(value for _, value in sorted(sample.labels.items())))


def test_without_a_broker_it_says_so(data_dir: Path) -> None:
    """The exporter answers, so that the alarm is about the broker and not about the exporter."""
    told = _samples(Settings(data_dir=data_dir))
    assert told["replay_broker_up",] == 0
    assert ("replay_dead_letters",) not in told


def test_an_idle_system_has_all_its_series_at_zero(settings: Settings) -> None:
    """A rule sees the first failure as a rise only where there was a zero before."""
    told = _samples(settings)
    assert told["replay_broker_up",] == 1
    assert told["replay_attempts_total", "failed", "local"] == 0
    assert told["replay_queue_oldest_waiting_seconds", "replay.local"] == 0
    assert told["replay_lane_state", "local", "open"] == 1
    assert told["replay_lane_state", "local", "paused"] == 0
    assert told["replay_workers", "writer"] == 0
    assert {state for name, lane, state in _labelled(told, "replay_lane_state") if lane == "local"} == set(LaneState)


def _labelled(told: dict[tuple[str, ...], float], name: str) -> list[tuple[str, ...]]:
    return [key for key in told if key[0] == name]


def test_what_goes_on_is_told(settings: Settings, valkey: redis.Redis) -> None:
    """Depth and age of queues, evidence, lanes, workers and counts are those of the broker."""
    task = make_task()
    publish(valkey, Queue.LOCAL, [(TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire())] * 3)
    evidence_stream.append(valkey, b"{}")
    lanes.pause(valkey, "local", 'a "reason"\nof two lines')
    heartbeat.beat(valkey, Heartbeat("w", "local", "here", 1, concurrency=4, in_flight=2, started=9, state="paused"))
    counted = Meters()
    counted.count(meters.ATTEMPTS, "local", "accepted", by=5)
    counted.observe(meters.GENERATE, 0.3, "local")
    counted.observe(meters.GENERATE, 1000.0, "local")
    counted.flush(valkey)
    told = _samples(settings)
    assert told["replay_queue_waiting_messages", "replay.local"] == 3
    assert ("replay_queue_oldest_waiting_seconds", "replay.local") in told
    assert told["replay_evidence_backlog_records",] == 1
    assert told["replay_lane_state", "local", "paused"] == 1
    assert told["replay_lane_state", "local", "open"] == 0
    assert told["replay_worker_slots", "local"] == 4
    assert told["replay_worker_busy_slots", "local"] == 2
    assert told["replay_workers_hindered", "local"] == 1
    assert told["replay_attempts_total", "accepted", "local"] == 5
    assert told["replay_model_generate_seconds_bucket", "0.25", "local"] == 0
    assert told["replay_model_generate_seconds_bucket", "0.5", "local"] == 1
    assert told["replay_model_generate_seconds_bucket", "+Inf", "local"] == 2
    assert told["replay_model_generate_seconds_count", "local"] == 2
    assert told["replay_model_generate_seconds_sum", "local"] == pytest.approx(1000.3)


def test_no_text_of_a_task_is_told(settings: Settings, valkey: redis.Redis) -> None:
    """What is audited stays out of the metrics, wherever it lies in the broker."""
    task = make_task("Verify the canary-5d1e.", custom_id="canary-5d1e", batch_id="batch_canary-5d1e")
    publish(valkey, Queue.LOCAL, [(TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire())])
    valkey.lpush(Queue.DEAD, b"canary-5d1e")
    evidence_stream.append(valkey, b'{"schema":"canary-5d1e"}')
    assert b"canary-5d1e" not in metrics.exposition(settings)[0]


def test_the_newer_format_is_given_where_it_is_asked_for(settings: Settings) -> None:
    """OpenMetrics, whole to its end."""
    page, content_type = metrics.exposition(settings, OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text")
    names = {family.name for family in open_metrics(page.decode())}  # type: ignore[no-untyped-call]  # it is not
    assert {"replay_attempts", "replay_broker_up"} <= names
    assert page.endswith(b"# EOF\n")


def test_it_serves_on_a_port_of_its_own_until_told_to_stop(settings: Settings) -> None:
    """A second one on the same port is refused in words."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
        taken.listen()
        with pytest.raises(ConfigurationError, match="cannot listen"):
            metrics.serve(settings, "127.0.0.1", port, threading.Event())
    stop = threading.Event()
    server = threading.Thread(target=metrics.serve, args=(settings, "127.0.0.1", port, stop))
    server.start()
    try:
        page = wait_for(lambda: _get(f"http://127.0.0.1:{port}/metrics"), "the exporter")
        assert "replay_broker_up 1.0" in page
    finally:
        stop.set()
        server.join()


def _get(url: str) -> str:
    try:
        return httpx.get(url, trust_env=False).text
    except httpx.HTTPError:
        return ""
