"""What happened over a stretch of time, from sums of minutes and hours: the number of runs costs nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from . import latency
from .schema import SPANS

_COUNTS = (  # noqa: SIM905  a list of names reads better
    "attempts accepted rejected escalated failed cancelled prompt_tokens completion_tokens cached_tokens cost "
    "retrieve_ms generate_ms gate_ms"
).split()


@dataclass
class Sum:
    """What attempts of one tier did; of no tier (""), runs that ended without. Durations are sums in milliseconds."""

    attempts: int = 0
    accepted: int = 0
    rejected: int = 0
    escalated: int = 0
    failed: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    retrieve_ms: float = 0.0
    generate_ms: float = 0.0
    gate_ms: float = 0.0
    latency: list[int] = field(default_factory=latency.blank)

    @property
    def judged(self) -> int:
        """Attempts that the gate accepted or rejected."""
        return self.accepted + self.rejected + self.escalated

    @property
    def ended(self) -> int:
        """Runs that ended."""
        return self.accepted + self.rejected + self.failed + self.cancelled

    def percentile(self, share: float) -> float | None:
        """Of the time of a generation, in milliseconds."""
        return latency.percentile(self.latency, share)

    def add(self, other: Sum) -> None:
        """Take another sum in."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]


@dataclass(frozen=True)
class Series:
    """Sums by step and tier.

    Attributes:
        starts: Unix time at which each step begins.
        step_s: Its width.
        tiers: By tier a sum for each step.
    """

    starts: tuple[int, ...]
    step_s: int
    tiers: dict[str, tuple[Sum, ...]]

    def whole(self, *tiers: str) -> Sum:
        """The sum over all steps, of these tiers or of all."""
        total = Sum()
        for tier in tiers or self.tiers:
            for part in self.tiers.get(tier, ()):
                total.add(part)
        return total


def span_of(step_s: int) -> int:
    """The widest stored sums that a step is made of."""
    return max(span for span in SPANS if step_s % span == 0)


def series(db: sqlite3.Connection, since: float, until: float, step_s: int) -> Series:
    """The time from `since` to `until` in steps.

    Args:
        db: The views.
        since: Unix time; the step that holds it is the first one.
        until: Unix time; the step that holds it is the last one.
        step_s: Width of a step: whole minutes.
    """
    first, last = int(since) // step_s * step_s, int(until) // step_s * step_s
    starts = tuple(range(first, last + step_s, step_s))
    tiers: defaultdict[str, list[Sum]] = defaultdict(lambda: [Sum() for _ in starts])
    where = (span_of(step_s), first, last + step_s)
    counted = db.execute(
        f"SELECT (start - ?) / ? AS step, tier, {', '.join(f'SUM({name})' for name in _COUNTS)} FROM sums"  # noqa: S608  constants
        " WHERE span = ? AND start >= ? AND start < ? GROUP BY step, tier",
        (first, step_s, *where),
    )
    for step, tier, *counts in counted:
        tiers[tier][step] = Sum(*counts)
    packed: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
    for start, tier, one in db.execute(
        "SELECT start, tier, latency FROM sums WHERE span = ? AND start >= ? AND start < ?", where
    ):
        packed[tier, (start - first) // step_s].append(one)
    for (tier, step), some in packed.items():
        tiers[tier][step].latency = latency.total(some)
    return Series(starts, step_s, {tier: tuple(sums) for tier, sums in tiers.items()})


def objections(db: sqlite3.Connection, since: float, until: float) -> dict[str, Counter[str]]:
    """How many attempts each rule objected to: by rule, by tier. By minutes up to two days, by hours beyond."""
    span = SPANS[0] if until - since <= 2 * 86400 else SPANS[-1]
    found: dict[str, Counter[str]] = {}
    rows = db.execute(
        "SELECT rule, tier, SUM(attempts) FROM objections WHERE span = ? AND start >= ? AND start <= ?"
        " GROUP BY rule, tier",
        (span, int(since) // span * span, until),
    )
    for rule, tier, count in rows:
        found.setdefault(rule, Counter())[tier] += count
    return found


def objections_over(db: sqlite3.Connection, since: float, until: float, step_s: int) -> dict[str, list[int]]:
    """The same over time: by rule, a count for each step of `series` with the same arguments."""
    first, last = int(since) // step_s * step_s, int(until) // step_s * step_s
    found: dict[str, list[int]] = {}
    rows = db.execute(
        "SELECT rule, (start - ?) / ? AS step, SUM(attempts) FROM objections"
        " WHERE span = ? AND start >= ? AND start < ? GROUP BY rule, step",
        (first, step_s, span_of(step_s), first, last + step_s),
    )
    for rule, step, count in rows:
        found.setdefault(rule, [0] * ((last - first) // step_s + 1))[step] = count
    return found
