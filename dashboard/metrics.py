"""What Prometheus is told: the state of the whole system from the broker, and what every process has counted.

One exporter tells of all roles on all hosts, so only one of them is to be scraped; the numbers of two are the same.
Every label has a closed set of values, except `endpoint`, which has one for each endpoint in somebody's settings.
Nothing of a task's or a model's text is in it.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import redis
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from broker import overview
from broker.connection import connect
from broker.heartbeat import Heartbeat
from broker.lanes import LaneState
from broker.meters import ALL, Histogram, Meter, Reading
from broker.overview import Overview
from broker.queues import WORK
from evidence.commit import Outcome
from replay.contracts import State, Tier
from replay.errors import ConfigurationError, ReplayError
from replay.settings import Settings

ROLES = ("local", "escalation", "writer", "scheduler")

# Shown as 0 from the beginning, so that the first one is a rise that a rule can see.
_FROM_ZERO: dict[str, tuple[tuple[str, ...], ...]] = {
    "replay_attempts": tuple((tier, state) for tier in Tier for state in State if state is not State.CANCELLED),
    "replay_attempts_reused": tuple((tier,) for tier in Tier),
    "replay_runs": tuple((state,) for state in State if state is not State.ESCALATED),
    "replay_model_requests": tuple((tier,) for tier in Tier),
    "replay_model_faults": tuple((tier,) for tier in Tier),
    "replay_messages_recovered": tuple((queue.value, held) for queue in WORK for held in ("lease", "claim")),
    "replay_messages_refused": tuple((queue.value, cause) for queue in WORK for cause in ("envelope", "signature")),
    "replay_evidence_records": tuple((outcome.value,) for outcome in Outcome),
    "replay_scheduler_rounds": ((),),
    "replay_scheduler_enqueued": ((),),
    "replay_scheduler_swept": ((),),
}


def exposition(settings: Settings, accept: str = "") -> tuple[bytes, str]:
    """The page of metrics and its content type, in the format that the scraper asks for.

    A broker that does not answer is told of as `replay_broker_up 0`, and not by an error.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_registry(settings)), content_type


def samples(settings: Settings) -> list[dict[str, Any]]:
    """The same as JSON values."""
    return [
        {"name": sample.name, "labels": sample.labels, "value": sample.value}
        for metric in _System(settings).collect()
        for sample in metric.samples
    ]


def serve(settings: Settings, host: str, port: int, until: threading.Event) -> None:
    """Serve `/metrics` on a port of its own, where no dashboard runs.

    Args:
        settings: Say where the broker is.
        host: Address to listen on.
        port: Port there; 0 takes a free one.
        until: Ends it.

    Raises:
        ConfigurationError: Another program listens there.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=_registry(settings))
    except OSError as error:
        raise ConfigurationError(
            f"the metrics cannot listen on {host}:{port}: {error.strerror or error}",
            hint="Choose another port: replay metrics --serve --port 9500",
        ) from error
    print(f"metrics on http://{host}:{server.server_port}/metrics", flush=True)  # noqa: T201  says where to look
    until.wait()
    server.shutdown()
    server.server_close()
    thread.join()


def _registry(settings: Settings) -> CollectorRegistry:
    # Without a look beforehand: a broker that is not up yet is no reason not to start.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_System(settings))
    return registry


class _System(Collector):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        """All metrics, looked at now."""
        began = time.monotonic()
        seen = _look(self._settings)
        yield _gauge("replay_broker_up", "Whether the broker answers.", float(seen is not None))
        yield _version()
        if self._settings.data_dir.is_dir():
            free = shutil.disk_usage(self._settings.data_dir).free
            yield _gauge("replay_data_disk_free_bytes", "Free bytes where this exporter has the data.", free)
        if seen is not None:
            yield from _state(seen)
            yield from _workers(seen)
            yield from _counted(seen.counted)
        yield _gauge("replay_exporter_look_seconds", "Time of this look.", time.monotonic() - began)


def _look(settings: Settings) -> Overview | None:
    client: redis.Redis | None = None
    try:
        client = connect(settings, patience=0)
        return overview.look(client, settings)
    except (ReplayError, RedisError):
        return None
    finally:
        if client is not None:
            client.close()


def _state(seen: Overview) -> Iterator[Metric]:
    depths = seen.depths
    waiting = _labelled("replay_queue_waiting_messages", "Messages that no worker has taken.", "queue")
    in_flight = _labelled("replay_queue_in_flight_messages", "Messages that a worker has.", "queue")
    age = _labelled("replay_queue_oldest_waiting_seconds", "Age of the message that is taken next.", "queue")
    lease = _labelled("replay_queue_oldest_lease_seconds", "Since the oldest lease was renewed.", "queue")
    for queue, count in depths.waiting.items():
        waiting.add_metric([queue], count)
        in_flight.add_metric([queue], depths.in_flight[queue])
        lease.add_metric([queue], depths.oldest_lease_s[queue] or 0.0)
        since = depths.oldest_waiting_s.get(queue)
        if since is not None or not count:  # a stock producer's message does not say
            age.add_metric([queue], since or 0.0)
    yield from (waiting, in_flight, age, lease)
    yield _gauge("replay_dead_letters", "Letters on the dead queue.", depths.dead)
    yield _gauge("replay_evidence_backlog_records", "Records that are not yet in the log.", depths.evidence)
    yield _gauge("replay_evidence_lag_seconds", "Age of the oldest of them.", depths.evidence_lag_s)

    lane_state = _labelled("replay_lane_state", "1 for the state in which the lane is.", "lane", "state")
    for lane in seen.lanes:
        for state in LaneState:
            lane_state.add_metric([lane.status.lane, state.value], float(lane.status.state is state))
    yield lane_state
    yield from _limits(seen)
    paused = _labelled("replay_endpoint_paused", "1 for each endpoint that is not asked, and why.", "endpoint", "state")
    for endpoint, why in seen.endpoints.items():
        paused.add_metric([endpoint, why.partition(":")[0]], 1.0)
    yield paused
    yield _gauge("replay_broker_memory_bytes", "What the broker's data takes.", seen.server.memory_bytes)
    yield _gauge("replay_broker_memory_limit_bytes", "Its maxmemory; 0: none.", seen.server.memory_limit_bytes)
    yield _gauge("replay_writer_epoch", "Grows with each take-over.", seen.writer.epoch if seen.writer else 0)


def _limits(seen: Overview) -> Iterator[Metric]:
    used = _labelled("replay_lane_used", "What of a limit is used, in its own unit.", "lane", "limit")
    limits = _labelled("replay_lane_limit", "The limit, where there is one.", "lane", "limit")
    for lane in seen.lanes:
        budget = lane.budget
        uses = {"in_flight": lane.in_flight, "calls": budget.calls, "tokens": budget.tokens, "money": budget.money}
        for name, use in uses.items():
            used.add_metric([lane.status.lane, name], use.used)
            if use.limit is not None:
                limits.add_metric([lane.status.lane, name], use.limit)
    yield from (used, limits)


def _workers(seen: Overview) -> Iterator[Metric]:
    alive = _labelled("replay_workers", "Workers that gave a sign of life.", "role")
    hindered = _labelled("replay_workers_hindered", "Those of them that stand by or take no messages.", "role")
    slots = _labelled("replay_worker_slots", "Tasks that they work on at once.", "role")
    busy = _labelled("replay_worker_busy_slots", "Tasks that they work on now.", "role")
    silent = _labelled("replay_worker_silent_seconds", "Longest time since a heartbeat, by clocks of hosts.", "role")
    for role in ROLES:
        beats: list[Heartbeat] = [beat for beat in seen.workers if role in beat.role.split("+")]
        alive.add_metric([role], len(beats))
        hindered.add_metric([role], sum(bool(beat.state) for beat in beats))
        slots.add_metric([role], sum(beat.concurrency for beat in beats))
        busy.add_metric([role], sum(beat.in_flight for beat in beats))
        if beats:
            silent.add_metric([role], max(0.0, seen.at - min(beat.beat_at for beat in beats)))
    yield from (alive, hindered, slots, busy, silent)


def _counted(reading: Reading) -> Iterator[Metric]:
    for meter in ALL:
        if meter.buckets:
            yield _histogram(meter, reading.histograms.get(meter, {}))
            continue
        counter = CounterMetricFamily(meter.name, meter.help, labels=meter.labels)
        values = dict.fromkeys(_FROM_ZERO.get(meter.name, ()), 0.0) | reading.counters.get(meter, {})
        for labels, value in values.items():
            counter.add_metric(labels, value)
        yield counter


def _histogram(meter: Meter, found: dict[tuple[str, ...], Histogram]) -> Metric:
    family = HistogramMetricFamily(meter.name, meter.help, labels=meter.labels)
    bounds = (*map(repr, meter.buckets), "+Inf")
    for labels, histogram in found.items():
        total, cumulative = 0.0, []
        for bound, count in zip(bounds, histogram.counts, strict=True):
            total += count
            cumulative.append((bound, total))
        family.add_metric(labels, cumulative, histogram.total)
    return family


def _version() -> Metric:
    family = _labelled("replay_build_info", "1, with the version of the exporter.", "version")
    family.add_metric([metadata.version("replay-audit")], 1.0)
    return family


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=labels)
