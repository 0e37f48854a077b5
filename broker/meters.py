"""Counters and histograms of all processes, in one hash of the broker: one exporter can then tell of the whole system.

A process of a pool cannot open a port for each of its children, and what a process has counted is gone with it. So each
counts in memory and adds what it has counted to the hash with its heartbeat. They are for looking at, not for accounts:
a process that is killed takes up to two seconds of counts with it, an addition whose reply was lost is made twice, and
a broker that lost its data begins again at zero, which Prometheus takes for a restart. What is owed and what was done
stands in the manifests and in the evidence.
"""

from __future__ import annotations

import json
import logging
import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import redis
from redis.exceptions import RedisError

from replay.topology import METERS

logger = logging.getLogger(__name__)

# A value of a label that is longer than this was made up by a stranger.
_LONGEST_LABEL = 80
_SUM = "sum"
_INFINITE = "+Inf"


@dataclass(frozen=True)
class Meter:
    """One thing that is counted, or, where it has `buckets`, measured.

    Attributes:
        name: As Prometheus shows it, without `_total`; the unit stands at its end.
        help: What it is, in a sentence.
        labels: Names of its labels; their values come from closed sets of ours.
        buckets: Upper bounds, rising; the last one is unbounded and not named.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 300.0)
_WAITS = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)

ATTEMPTS = Meter("replay_attempts", "Attempts in the evidence, by how each ended.", ("tier", "outcome"))
REUSED = Meter("replay_attempts_reused", "Those of them that took the reply of an earlier one.", ("tier",))
RUNS = Meter("replay_runs", "Runs that have ended, by their state.", ("state",))
OBJECTIONS = Meter("replay_gate_objections", "Reasons that the gate gave, by rule.", ("tier", "rule"))
TOKENS = Meter("replay_tokens", "Tokens as the servers counted them.", ("tier", "kind"))
REQUESTS = Meter("replay_model_requests", "HTTP requests of generations, retries included.", ("tier",))
FAULTS = Meter("replay_model_faults", "Attempts without a reply of the model.", ("tier",))
GENERATE = Meter("replay_model_generate_seconds", "Time of one generation, retries included.", ("tier",), _SECONDS)
RETRIEVE = Meter("replay_retrieve_seconds", "Time of one retrieval.", (), _SECONDS)
GATE = Meter("replay_gate_seconds", "Time of one verdict.", ("tier",), _SECONDS)
RECORDS = Meter("replay_evidence_records", "Records that the writer was given, by what became of them.", ("outcome",))
BATCH = Meter("replay_writer_batch_records", "Records in one batch of the writer.", (), _SIZES)
APPEND = Meter("replay_writer_append_seconds", "Time of one batch in the log: write, fsync, index.", (), _SECONDS)
SYNC = Meter("replay_writer_sync_seconds", "Write and fsync of one batch.", (), _SECONDS)
WAITED = Meter("replay_queue_wait_seconds", "From enqueuing to the moment a worker takes it.", ("queue",), _WAITS)
RECOVERED = Meter("replay_messages_recovered", "Messages of dead workers that a worker put back.", ("queue", "held_as"))
REFUSED = Meter("replay_messages_refused", "Messages that could not be read, now dead letters.", ("queue", "cause"))
ROUNDS = Meter("replay_scheduler_rounds", "Rounds of the scheduler.")
ROUND_TIME = Meter("replay_scheduler_round_seconds", "Time of one round of the scheduler.", (), _SECONDS)
ENQUEUED = Meter("replay_scheduler_enqueued", "Runs that were owed and nowhere, enqueued again by the scheduler.")
SWEPT = Meter("replay_scheduler_swept", "Messages that the scheduler put back on queues without a worker.")

ALL = (
    ATTEMPTS,
    REUSED,
    RUNS,
    OBJECTIONS,
    TOKENS,
    REQUESTS,
    FAULTS,
    GENERATE,
    RETRIEVE,
    GATE,
    RECORDS,
    BATCH,
    APPEND,
    SYNC,
    WAITED,
    RECOVERED,
    REFUSED,
    ROUNDS,
    ROUND_TIME,
    ENQUEUED,
    SWEPT,
)
_BY_NAME = {meter.name: meter for meter in ALL}


class Meters:
    """What one process has counted and not yet told. Not shared between threads."""

    def __init__(self) -> None:
        # By name of the meter, its labels, and the part of a histogram; made into fields only when they are told.
        self._counted: defaultdict[tuple[str, tuple[str, ...], str], float] = defaultdict(float)

    def count(self, meter: Meter, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        if by:
            self._counted[meter.name, labels, ""] += by

    def observe(self, meter: Meter, value: float, *labels: str) -> None:
        """Add one value to a histogram."""
        self.observe_all(meter, (value,), *labels)

    def observe_all(self, meter: Meter, values: Collection[float], *labels: str) -> None:
        """Add values to a histogram."""
        if not values:
            return
        for at, times in Counter(bisect_left(meter.buckets, value) for value in values).items():
            bound = _INFINITE if at == len(meter.buckets) else repr(meter.buckets[at])
            self._counted[meter.name, labels, bound] += times
        self._counted[meter.name, labels, _SUM] += sum(values)

    def flush(self, client: redis.Redis) -> None:
        """Tell the broker. Where it does not take it, the counts are kept for the next time; nothing is raised."""
        if not self._counted:
            return
        try:
            with client.pipeline(transaction=True) as pipe:
                for (name, labels, part), value in self._counted.items():
                    words = [name, *labels, part] if part else [name, *labels]
                    pipe.hincrbyfloat(METERS, json.dumps(words, separators=(",", ":")), value)
                pipe.execute()
        except RedisError as error:
            logger.debug("counts are kept for later: %s", error)
            return
        self._counted.clear()


@dataclass(frozen=True)
class Histogram:
    """How often a value lay in each bucket, the unbounded one last, and the sum of all values."""

    counts: tuple[float, ...]
    total: float


@dataclass
class Reading:
    """What all processes together have counted, by meter and the values of its labels."""

    counters: dict[Meter, dict[tuple[str, ...], float]] = field(default_factory=dict)
    histograms: dict[Meter, dict[tuple[str, ...], Histogram]] = field(default_factory=dict)

    def value(self, meter: Meter, **labels: str) -> float:
        """The sum of a counter over all label values that are not given."""
        wanted = [(meter.labels.index(name), value) for name, value in labels.items()]
        found = self.counters.get(meter, {})
        return sum(count for values, count in found.items() if all(values[at] == value for at, value in wanted))


def read(client: redis.Redis) -> Reading:
    """Read the hash. A field that is none of ours is left out: whoever reaches the broker can write there."""
    reading = Reading()
    parts: dict[tuple[Meter, tuple[str, ...]], dict[str, float]] = defaultdict(dict)
    for name, text in cast("Mapping[bytes, bytes]", client.hgetall(METERS)).items():
        known = _read_field(name)
        value = _number(text)
        if known is None or value is None:
            continue
        meter, labels, part = known
        if part is None:
            reading.counters.setdefault(meter, {})[labels] = value
        else:
            parts[meter, labels][part] = value
    for (meter, labels), found in parts.items():
        bounds = (*map(repr, meter.buckets), _INFINITE)
        histogram = Histogram(tuple(found.get(bound, 0.0) for bound in bounds), found.get(_SUM, 0.0))
        reading.histograms.setdefault(meter, {})[labels] = histogram
    return reading


def _read_field(name: bytes) -> tuple[Meter, tuple[str, ...], str | None] | None:
    try:
        words: Any = json.loads(name)
    except (ValueError, RecursionError):
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) and len(word) <= _LONGEST_LABEL for word in words):
        return None
    meter = _BY_NAME.get(words[0]) if words else None
    if meter is None:
        return None
    labels = tuple(words[1 : 1 + len(meter.labels)])
    rest = words[1 + len(meter.labels) :]
    parts = (*map(repr, meter.buckets), _INFINITE, _SUM) if meter.buckets else ()
    if len(labels) != len(meter.labels) or len(rest) != bool(parts) or (rest and rest[0] not in parts):
        return None
    return meter, labels, rest[0] if rest else None


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
