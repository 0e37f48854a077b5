"""Which limits a lane has: those of the settings, and over them what was set by command for all workers at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.models import prices
from replay.models.breaker import chain
from replay.settings import Settings

_PREFIX = "replay.limits"

NONE = "none"

# `args` holds a lane's limits from `first` on, as `Bounds.args` gives them; the hash holds what was set by command.
BOUNDS = """
local function bounds(key, args, first)
  local names = {'in_flight', 'requests_per_minute', 'tokens_per_minute', 'calls', 'tokens', 'money'}
  local b = {}
  for i, name in ipairs(names) do
    b[name] = tonumber(redis.call('HGET', key, name) or args[first + i - 1])
  end
  b.period, b.unpriced = args[first + 6], args[first + 7]
  return b
end
"""


class Period(StrEnum):
    """For how long a budget is."""

    DAY = "day"
    TOTAL = "total"


@dataclass(frozen=True)
class Bounds:
    """The limits of a lane as the settings have them; None: none.

    Attributes:
        in_flight: Tasks in work at once.
        requests_per_minute: For each endpoint, tries of the transport counted one by one.
        tokens_per_minute: For each endpoint, read and written.
        calls: Budget: requests to the lane's models.
        tokens: Budget: read and written.
        money: Budget, in the currency of the prices.
        period: For how long the budget is; a day is one of UTC.
        unpriced: A model of the lane that has no price; with one, no money may be spent by count.
    """

    in_flight: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    calls: int | None = None
    tokens: int | None = None
    money: float | None = None
    period: Period = Period.DAY
    unpriced: str = ""

    @classmethod
    def of(cls, tier: Tier, settings: Settings) -> Bounds:
        """The limits of a lane.

        Raises:
            ConfigurationError: The prices cannot be read.
        """
        unpriced = _unpriced(tier, settings)
        if tier is Tier.LOCAL:
            return cls(
                in_flight=settings.local_limit,
                requests_per_minute=settings.local_requests_per_minute,
                tokens_per_minute=settings.local_tokens_per_minute,
                period=Period(settings.escalation_budget_period),
                unpriced=unpriced,
            )
        return cls(
            in_flight=settings.escalation_limit or settings.escalation_slots,
            requests_per_minute=settings.escalation_requests_per_minute,
            tokens_per_minute=settings.escalation_tokens_per_minute,
            calls=settings.escalation_budget_calls,
            tokens=settings.escalation_budget_tokens,
            money=settings.escalation_budget_money,
            period=Period(settings.escalation_budget_period),
            unpriced=unpriced,
        )

    @property
    def args(self) -> list[str | int]:
        """What `BOUNDS` reads."""
        numbers = (self.in_flight, self.requests_per_minute, self.tokens_per_minute, self.calls, self.tokens)
        money = None if self.money is None else prices.nano(self.money)
        return [*(NONE if n is None else n for n in (*numbers, money)), self.period.value, self.unpriced]

    @property
    def limits_requests(self) -> bool:
        """Is there any limit beside that of tasks at once?"""
        numbers = (self.requests_per_minute, self.tokens_per_minute, self.calls, self.tokens, self.money)
        return any(number is not None for number in numbers)


def key(lane: str) -> str:
    """The hash of what was set by command for a lane, by the names of `Bounds`; money in billionths."""
    return f"{_PREFIX}:{lane}"


def named(settings: Settings) -> Iterator[str]:
    """The environment variables of the limits that are set."""
    for name in (
        "local_limit",
        "escalation_limit",
        *(f"{lane}_{what}_per_minute" for lane in ("local", "escalation") for what in ("requests", "tokens")),
        *(f"escalation_budget_{what}" for what in ("calls", "tokens", "money")),
    ):
        if getattr(settings, name) is not None:
            yield f"REPLAY_{name.upper()}"


def _unpriced(tier: Tier, settings: Settings) -> str:
    known = prices.parse(settings.escalation_prices)
    try:
        models = [target.model for target in chain(tier, settings)]
    except ConfigurationError:
        return ""  # without an endpoint nothing is asked
    return next((model for model in models if tier is Tier.LOCAL or prices.of(model, known) is None), "")
