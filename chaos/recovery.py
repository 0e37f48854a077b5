"""How long it takes until what a killed worker held goes on elsewhere.

At a kill the messages in flight on that lane are noted. Half a visibility timeout later those of them whose lease has
not been renewed since were the dead worker's: the living renew four times in a timeout. Each has recovered when another
worker begins the attempt, by the times that stand in its evidence. Where the lane had no worker at all meanwhile, or no
broker, there was nobody to recover anything: such times say how fast processes start here, and are kept apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

import redis

from broker.claims import consumers_key, index_key, unacked_key
from broker.envelope import run_id_of
from chaos.checks import Line
from replay.contracts import Tier
from replay.topology import Queue

LANES = {Tier.LOCAL: Queue.LOCAL, Tier.ESCALATION: Queue.ESCALATION}

_SAMPLE_S = 0.2
# What took longer than any run may stand still was written by a worker whose clock had jumped.
_LONGEST_S = 1800.0
# Two missed looks are no outage.
_NOBODY_S = 0.5


@dataclass(frozen=True)
class Orphan:
    """A run whose worker was killed in the middle of its attempt, at a Unix time."""

    run_id: str
    tier: Tier
    killed_at: float


@dataclass(frozen=True)
class Scene:
    """What was in flight on a lane right after a kill: delivery tag -> run."""

    tier: Tier
    killed_at: float
    held: dict[bytes, str]


@dataclass(frozen=True)
class Seen:
    """What a run's recoveries are judged by.

    Attributes:
        orphans: All of them.
        outages: By lane: spans of Unix time without a worker or without a broker.
        wiped_at: When the broker lost its data; what was orphaned before and not recovered needs the reconciler.
    """

    orphans: list[Orphan] = field(default_factory=list)
    outages: dict[Tier, list[tuple[float, float]]] = field(default_factory=lambda: {tier: [] for tier in LANES})
    wiped_at: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Times:
    """Seconds of each recovery, in no order: with a worker of the lane there all the time, and without."""

    attended: list[float] = field(default_factory=list)
    unattended: list[float] = field(default_factory=list)


class Watch:
    """Looks on: finds the orphans of each kill, and when a lane had nobody.

    Args:
        client: The broker, without retries.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.seen = Seen()
        self._client = client
        self.sampled_at = time.time()

    def scene(self, tier: Tier) -> Scene:
        """Look right after a kill."""
        killed_at = time.time()
        held: dict[bytes, str] = {}
        with suppress(redis.RedisError):  # it is down as well
            items = cast("dict[bytes, bytes]", self._client.hgetall(unacked_key(LANES[tier])))
            held = {tag: run for tag, item in items.items() if (run := run_id_of(item)) is not None}
        return Scene(tier, killed_at, held)

    def confirm(self, scene: Scene) -> None:
        """Look again, half a timeout later."""
        with suppress(redis.RedisError):
            for tag, run_id in scene.held.items():
                renewed_at = self._client.zscore(index_key(LANES[scene.tier]), tag)
                if renewed_at is not None and renewed_at <= scene.killed_at:
                    self.seen.orphans.append(Orphan(run_id, scene.tier, scene.killed_at))

    def sample(self, running: Mapping[Tier, Collection[int]]) -> None:
        """Note which lanes have nobody.

        Args:
            running: Process ids of each lane's workers that live and are not frozen; whether one consumes already is
                known from the broker.
        """
        now = time.time()
        if now - self.sampled_at < _SAMPLE_S:
            return
        for tier, queue in LANES.items():
            there: set[int] = set()
            with suppress(redis.RedisError):
                names = cast("list[bytes]", self._client.zrange(consumers_key(queue), 0, -1))
                there = {int(name.split(b":")[-2]) for name in names}
            if not there & set(running[tier]):
                self.seen.outages[tier].append((self.sampled_at, now))
        self.sampled_at = now


def bound_s(visibility_timeout_s: float) -> float:
    """What recovery may take: the lease runs out, and the next sweep finds it (`workers.app.configuration`)."""
    return visibility_timeout_s + max(1.0, visibility_timeout_s / 12)


def times(seen: Seen, lines: Iterable[Line]) -> Times:
    """Time each orphan from its kill until the attempt is made elsewhere.

    An orphan whose attempt was not made again is left out, and so is one that the reconciler had to bring back, or that
    was made again by a worker whose clock had jumped.
    """
    begun: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        if line.is_run and line.tier is not None and line.recorded_at is not None:
            at = datetime.fromisoformat(line.recorded_at).timestamp() - line.took_s
            begun.setdefault((line.run_id, line.tier), []).append(at)
    taken = Times()
    for orphan in seen.orphans:
        after = [
            at for at in begun.get((orphan.run_id, orphan.tier.value), ()) if 0 < at - orphan.killed_at < _LONGEST_S
        ]
        again_at = min(after, default=math.inf)
        if not after or any(orphan.killed_at <= at <= again_at for at in seen.wiped_at):
            continue
        spans = seen.outages[orphan.tier]
        outage_s = sum(max(0.0, min(end, again_at) - max(begin, orphan.killed_at)) for begin, end in spans)
        (taken.attended if outage_s <= _NOBODY_S else taken.unattended).append(again_at - orphan.killed_at)
    return taken


def p95(values: Sequence[float]) -> float | None:
    """The smallest value that 95 of 100 do not exceed; None without any."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * 95 // 100) - 1)] if ordered else None
