"""Every limit of a lane beside what is used of it, at one moment of the broker."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis

from broker import lanes
from broker.lanes import DOOR, Door, LaneStatus
from broker.limits.bounds import Period
from broker.limits.rates import RATES
from replay.contracts import Tier
from replay.models import prices
from replay.settings import Settings

# keys and args: those of the door.
_SNAPSHOT = (
    "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"
    + DOOR
    + RATES
    + """
local b = bounds(KEYS[4], ARGV, 2)
local count = count_of(b, KEYS[5], KEYS[6])
local known = redis.call('HMGET', count, 'period', 'since')
local seen = {
  now = string.format('%.6f', now),
  found = shut(KEYS, 1, ARGV, 1, now, false) or {},
  in_flight = redis.call('ZCARD', KEYS[3]),
  limits = b,
  spent = spent(count, b.period, now),
  since = known[1] == period_at(b.period, now) and known[2] or '',
  rates = {},
}
for i = 8, #KEYS, 2 do
  local w = window(KEYS[i], now)
  table.insert(seen.rates, {requests = sum(w, 'r', now), tokens = sum(w, 't', now)})
end
return cjson.encode(seen)"""
)


@dataclass(frozen=True)
class Use:
    """How much of a limit is used; the limit is None where there is none."""

    used: float
    limit: float | None

    def __str__(self) -> str:
        """For people."""
        return f"{self.used:.6g}" if self.limit is None else f"{self.used:.6g} of {self.limit:.6g}"


@dataclass(frozen=True)
class Rates:
    """What an endpoint was asked in the last minute."""

    target: str
    requests: Use
    tokens: Use


@dataclass(frozen=True)
class Budget:
    """What a lane has spent; what is in work counts by its estimate.

    Attributes:
        period: What the limits are for.
        since: When the count began, UTC, ISO 8601; empty where nothing was spent in this period.
        calls: Requests to the lane's models, retries and probes counted.
        tokens: Read and written.
        money: In the currency of the prices.
    """

    period: Period
    since: str
    calls: Use
    tokens: Use
    money: Use


@dataclass(frozen=True)
class LaneSnapshot:
    """A lane, and all its limits.

    Attributes:
        status: Whether it takes messages, and if not, why and until when.
        in_flight: Tasks in work, over all workers.
        rates: Of its endpoints, in the order in which they are asked.
        budget: What is spent.
    """

    status: LaneStatus
    in_flight: Use
    rates: tuple[Rates, ...]
    budget: Budget

    def as_json(self) -> dict[str, Any]:
        """The status with the limits beside it."""
        limits = {name: value for name, value in asdict(self).items() if name != "status"}
        return {**asdict(self.status), **limits}


def snapshot(client: redis.Redis, settings: Settings) -> list[LaneSnapshot]:
    """Every lane with its limits, in one look for each.

    Raises:
        RedisError: The broker does not answer.
        ConfigurationError: The prices cannot be read.
    """
    return [snapshot_of(client, lanes.door(tier, settings)) for tier in Tier]


def snapshot_of(client: redis.Redis, door: Door) -> LaneSnapshot:
    """One lane with its limits."""
    # Read-only, so that a user who may only look may ask.
    reply = client.eval_ro(_SNAPSHOT, len(door.keys), *door.keys, *cast("list[str]", door.args))
    seen: dict[str, Any] = json.loads(cast("bytes", reply))
    limits, spent = seen["limits"], seen["spent"]
    limited_money, money = limits.get("money"), spent["money"]
    return LaneSnapshot(
        status=lanes.status(door.lane, float(seen["now"]), list(seen["found"])),
        in_flight=Use(seen["in_flight"], limits.get("in_flight")),
        rates=tuple(
            Rates(
                target,
                Use(used["requests"], limits.get("requests_per_minute")),
                Use(used["tokens"], limits.get("tokens_per_minute")),
            )
            for target, used in zip(door.targets, seen["rates"] or (), strict=True)
        ),
        budget=Budget(
            period=Period(limits["period"]),
            since=_iso(seen["since"]),
            calls=Use(spent["calls"], limits.get("calls")),
            tokens=Use(spent["tokens"], limits.get("tokens")),
            money=Use(prices.money(money), None if limited_money is None else prices.money(limited_money)),
        ),
    )


def _iso(since: str) -> str:
    return datetime.fromtimestamp(float(since), UTC).isoformat(timespec="seconds") if since else ""
