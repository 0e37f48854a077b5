"""What `replay top` shows, as values: one look at everything, and rates from the looks of the last minute."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Any

import redis

from broker import meters, overview
from broker.meters import Histogram, Meter, Reading
from broker.overview import Overview
from evidence.reader import EvidenceReader
from evidence.row import Row
from replay.contracts import State, Tier
from replay.settings import Settings

WINDOW_S = 60.0
RECENT = 12


@dataclass(frozen=True)
class Rates:
    """How fast it goes, over the looks of the last minute; None where there is only one of them.

    Attributes:
        over_s: Seconds between the first and the last of these looks.
        runs_per_s: Runs that ended.
        tokens_per_s: Tokens that the models wrote.
        escalated: Share of the local attempts whose answer the gate rejected and sent to the large model; None without
            any.
        generate_p50_s: By tier: time of a generation, the median, to the accuracy of the buckets; None without any.
        generate_p95_s: The same at 95 %.
        ends_in_s: By queue: when what waits will have been taken, at the present rate; None where nothing is taken.
    """

    over_s: float
    runs_per_s: float
    tokens_per_s: float
    escalated: float | None
    generate_p50_s: dict[str, float | None]
    generate_p95_s: dict[str, float | None]
    ends_in_s: dict[str, float | None]


@dataclass(frozen=True)
class Sight:
    """One look with what follows from the ones before it, and the last records of the evidence, newest first."""

    seen: Overview
    rates: Rates | None
    recent: tuple[Row, ...]


class Watch:
    """Looks again and again.

    Args:
        client: The broker.
        settings: Whose endpoints and evidence.
    """

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._reader = EvidenceReader(settings.evidence_log)
        self._looks: deque[Overview] = deque()

    def look(self) -> Sight:
        """Look once; every `RedisError` goes through."""
        seen = overview.look(self._client, self._settings)
        while self._looks and seen.at - self._looks[0].at > WINDOW_S:
            self._looks.popleft()
        self._looks.append(seen)
        recent = tuple(reversed(self._reader.tail(RECENT)))
        return Sight(seen, rates(self._looks[0], seen), recent)


def rates(first: Overview, last: Overview) -> Rates | None:
    """What happened between two looks. A broker that lost its data in between shows as what was counted since."""
    over_s = last.at - first.at
    if over_s <= 0:
        return None
    then, now = first.counted, last.counted

    def rose(meter: Meter, **labels: str) -> float:
        before, after = then.value(meter, **labels), now.value(meter, **labels)
        return after - before if after >= before else after

    local = rose(meters.ATTEMPTS, tier=Tier.LOCAL)
    spent = {tier.value: _rose(meters.GENERATE, (tier.value,), then, now) for tier in Tier}
    taken = {queue: sum(_rose(meters.WAITED, (queue,), then, now).counts) for queue in last.depths.waiting}
    return Rates(
        over_s=round(over_s, 1),
        runs_per_s=round(rose(meters.RUNS) / over_s, 3),
        tokens_per_s=round(rose(meters.TOKENS, kind="completion") / over_s, 3),
        escalated=round(rose(meters.ATTEMPTS, tier=Tier.LOCAL, outcome=State.ESCALATED) / local, 4) if local else None,
        generate_p50_s={tier: quantile(meters.GENERATE, histogram, 0.5) for tier, histogram in spent.items()},
        generate_p95_s={tier: quantile(meters.GENERATE, histogram, 0.95) for tier, histogram in spent.items()},
        ends_in_s={
            queue: round(last.depths.waiting[queue] / count * over_s, 1) if count else None
            for queue, count in taken.items()
        },
    )


def quantile(meter: Meter, histogram: Histogram, share: float) -> float | None:
    """The value below which this share lies, taken as evenly spread in its bucket, as PromQL's `histogram_quantile`."""
    rank = share * sum(histogram.counts)
    if not rank:
        return None
    below = 0.0
    for at, count in enumerate(histogram.counts):
        if count and below + count >= rank:
            if at == len(meter.buckets):
                break
            start = meter.buckets[at - 1] if at else 0.0
            return round(start + (meter.buckets[at] - start) * (rank - below) / count, 4)
        below += count
    return meter.buckets[-1]


def wire(sight: Sight) -> dict[str, Any]:
    """The same for programs: plain JSON values, without what the metrics say better."""
    value = asdict(replace(sight, seen=replace(sight.seen, counted=Reading())))
    del value["seen"]["counted"]
    return {**value.pop("seen"), **value}


def _rose(meter: Meter, labels: tuple[str, ...], then: Reading, now: Reading) -> Histogram:
    nothing = Histogram((0.0,) * (len(meter.buckets) + 1), 0.0)
    before = then.histograms.get(meter, {}).get(labels, nothing)
    after = now.histograms.get(meter, {}).get(labels, nothing)
    if sum(after.counts) < sum(before.counts):
        return after
    pairs = zip(after.counts, before.counts, strict=True)
    return Histogram(tuple(max(0.0, a - b) for a, b in pairs), after.total - before.total)
