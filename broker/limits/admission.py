"""Before each request of a model: one script asks the lane's budget and the endpoint's rates, and takes from both.

What is taken is an estimate; another script puts it right when the request has ended. If the process dies in between,
the estimate stands.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import redis
from redis.exceptions import RedisError

from broker.limits import bounds, budget, rates
from broker.limits.bounds import BOUNDS, Bounds
from broker.limits.budget import BUDGET
from broker.limits.rates import PATIENT_S, RATES
from replay.contracts import Tier
from replay.models import prices
from replay.models.breaker import Target
from replay.models.limits import Call, Estimate, Limited
from replay.settings import Settings

logger = logging.getLogger(__name__)

# For so long a lane that has no limits is believed to have none set by command either.
_FRESH_S = 1.0

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"
_CODE = _NOW + BOUNDS + BUDGET + RATES

# keys: limits, rates, what is spent in a day and in all; args: those of the lane (8), tokens, money.
_ADMIT = (
    _CODE
    + f"""
local b, tokens, money = bounds(KEYS[1], ARGV, 1), tonumber(ARGV[9]), tonumber(ARGV[10])
local count = count_of(b, KEYS[3], KEYS[4])
roll(count, b.period, now)
local why = beyond(b, spent(count, b.period, now), tokens, money, now)
if why then
  redis.call('HSET', count, 'next_tokens:' .. KEYS[2], tokens, 'next_money:' .. KEYS[2], money)
  return {{'out of budget', why}}
end
local at, slow = now, ''
if has_rates(b) then at, slow = fits_at(window(KEYS[2], now), b, tokens, now) end
local second = string.format('%d', math.floor(at))
if at - now <= {PATIENT_S} then
  book(KEYS[2], second, 1, tokens)
  forget_old(KEYS[2], now)
end
if has_rates(b) then mark(KEYS[2], window(KEYS[2], now), b, tokens, now) end
if at - now > {PATIENT_S} then return {{'limited', slow}} end
redis.call('HDEL', count, 'next_tokens:' .. KEYS[2], 'next_money:' .. KEYS[2])
local today, ever = charge(KEYS[3], 'day', now, tokens, money), charge(KEYS[4], 'total', now, tokens, money)
return {{'', string.format('%.6f', at - now), second, today, ever}}"""
)

# keys as above; args: those of the lane, the estimate, the second, the two counts, and what to add: calls, tokens,
# money.
_SETTLE = (
    _CODE
    + """
local b = bounds(KEYS[1], ARGV, 1)
put_right(KEYS[3], ARGV[11], ARGV[13], ARGV[14], ARGV[15])
put_right(KEYS[4], ARGV[12], ARGV[13], ARGV[14], ARGV[15])
if redis.call('HEXISTS', KEYS[2], 'r' .. ARGV[10]) == 1 then
  book(KEYS[2], ARGV[10], ARGV[13], ARGV[14])
  if has_rates(b) then mark(KEYS[2], window(KEYS[2], now), b, tonumber(ARGV[9]), now) end
end"""
)


@dataclass(frozen=True)
class _Taken:
    """What an admission has taken, and from which counts."""

    wait_s: float
    second: bytes
    since: tuple[bytes, bytes]


class SharedLimiter:
    """The `Limiter` of workers.

    Args:
        client: The broker.
        settings: Limits and prices.
        sleep: Waits for a turn that is near.

    Raises:
        ConfigurationError: The prices cannot be read.
    """

    def __init__(
        self, client: redis.Redis, settings: Settings, *, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._bounds = {tier: Bounds.of(tier, settings) for tier in Tier}
        self._prices = prices.parse(settings.escalation_prices)
        self._admit = client.register_script(_ADMIT)
        self._settle = client.register_script(_SETTLE)
        # By lane: when it was last seen that nothing is limited.
        self._free_at: dict[Tier, float] = {}

    @contextmanager
    def admitted(self, tier: Tier, target: Target, estimated: Estimate) -> Iterator[Call]:
        """Admit one request, after a wait of at most `PATIENT_S`.

        Raises:
            Limited: The budget is spent, or its turn is too far; or the broker, which alone knows, does not answer.
        """
        call = Call()
        if self._is_free(tier):
            yield call
            return
        keys = [bounds.key(tier), rates.key(target.name), *budget.keys(tier)]
        args = [*self._bounds[tier].args, estimated.tokens]
        taken = self._take(tier, target, keys, [*args, self._cost(target, estimated)])
        try:
            if taken is not None and taken.wait_s > 0:
                self._sleep(taken.wait_s)
            yield call
        finally:
            if taken is not None:
                read, written = call.used(estimated)
                used = [0 if call.sent else -1, read + written - estimated.tokens]
                cost = self._cost(target, Estimate(read, written)) - self._cost(target, estimated)
                self._put_right(target, keys, [*args, taken.second, *taken.since, *used, cost])

    def _take(self, tier: Tier, target: Target, keys: list[str], args: list[Any]) -> _Taken | None:
        try:
            reply = cast("list[bytes]", self._admit(keys=keys, args=args))
        except RedisError as error:
            if not self._bounds[tier].limits_requests:
                return None  # it would only be counted
            raise Limited(f"the broker, where limits are counted, is gone: {error}", target=target.name) from error
        if reply[0]:
            why = f"{reply[0].decode()}: {reply[1].decode('utf-8', 'replace')}"
            raise Limited(f"{target.name}: {why}", target=target.name)
        return _Taken(float(reply[1]), reply[2], (reply[3], reply[4]))

    def _put_right(self, target: Target, keys: list[str], args: list[Any]) -> None:
        try:
            self._settle(keys=keys, args=args)
        except RedisError as error:
            logger.warning("%s: what a request used could not be told; its estimate stands: %s", target.name, error)

    def _is_free(self, tier: Tier) -> bool:
        """Is there nothing to limit? What the large model is asked is counted in any case: it may be limited later."""
        if tier is not Tier.LOCAL or self._bounds[tier].limits_requests:
            return False
        if time.monotonic() - self._free_at.get(tier, float("-inf")) < _FRESH_S:
            return True
        try:
            free = not self._client.exists(bounds.key(tier))
        except RedisError:
            return True
        if free:
            self._free_at[tier] = time.monotonic()
        return free

    def _cost(self, target: Target, tokens: Estimate) -> int:
        price = prices.of(target.model, self._prices)
        return 0 if price is None else price.nano(tokens.prompt_tokens, tokens.completion_tokens)
