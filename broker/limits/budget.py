"""What a lane has spent of its budget: calls, tokens and money, for a day of UTC or in all.

A call is charged before it is made, by an upper estimate, and put right when it has ended. Who dies in between leaves
the estimate as spent. It is charged to the count of the day and to that of all, whichever of them is limited: processes
whose settings name different periods do not take each other's count away.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import redis

from broker.limits import bounds
from broker.limits.bounds import NONE, Period
from replay.models import prices

_PREFIX = "replay.budget"

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"

# The hash: `period` is the number of a day since 1970, or `total`; `since` is when its count began, and tells it from
# another count; `recounted` is set once what the evidence knows of the time before is in it; `next_*:<rates>` is what
# the call may take that was last refused to the model with these rates: a fallback may be cheaper.
BUDGET = """
local function period_at(period, now)
  if period == 'day' then return string.format('%d', math.floor(now / 86400)) end
  return 'total'
end
local function begin(key, period, now, recounted)
  redis.call('DEL', key)
  redis.call('HSET', key, 'period', period, 'since', string.format('%.6f', now), 'calls', 0, 'tokens', 0, 'money', 0)
  if recounted then redis.call('HSET', key, 'recounted', 1) end
end
local function roll(key, period, now)
  local known = redis.call('HGET', key, 'period')
  local wanted = period_at(period, now)
  -- After a day comes the next one, of which nothing is spent. Any other count begins in the midst of its time, also
  -- that of a day to which the clock was set back.
  if known ~= wanted then begin(key, wanted, now, known and tonumber(known) < tonumber(wanted)) end
end
-- Of the two counts, the one that is limited.
local function count_of(b, day, total)
  if b.period == 'day' then return day end
  return total
end
local function spent(key, period, now)
  local s = {calls = 0, tokens = 0, money = 0}
  if redis.call('HGET', key, 'period') == period_at(period, now) then
    for name in pairs(s) do s[name] = math.max(0, tonumber(redis.call('HGET', key, name) or 0)) end
  end
  return s
end
local function next_call(key, period, now, rates)
  if redis.call('HGET', key, 'period') ~= period_at(period, now) then return 1, 1 end
  local n = redis.call('HMGET', key, 'next_tokens:' .. rates, 'next_money:' .. rates)
  return math.max(1, tonumber(n[1] or 1)), math.max(1, tonumber(n[2] or 1))
end
local function charge(key, period, now, tokens, money)
  roll(key, period, now)
  redis.call('HINCRBY', key, 'calls', 1)
  redis.call('HINCRBY', key, 'tokens', tokens)
  redis.call('HINCRBY', key, 'money', money)
  return redis.call('HGET', key, 'since')
end
local function put_right(key, since, calls, tokens, money)
  if redis.call('HGET', key, 'since') ~= since then return end
  redis.call('HINCRBY', key, 'calls', calls)
  redis.call('HINCRBY', key, 'tokens', tokens)
  redis.call('HINCRBY', key, 'money', money)
end
local function dear(billionths) return string.format('%.6g', billionths / 1000000000) end
-- Why a call that takes so much is beyond the budget, and until when; nil where it is within.
local function beyond(b, s, tokens, money, now)
  local during, over = 'in all', ''
  if b.period == 'day' then
    during, over = 'today', string.format('%d', (math.floor(now / 86400) + 1) * 86400)
  end
  if b.calls and s.calls + 1 > b.calls then
    return string.format('%d of %d calls %s', s.calls, b.calls, during), over
  end
  if b.tokens and s.tokens + tokens > b.tokens then
    local why = '%d of %d tokens %s, and the next call may take %d'
    return string.format(why, s.tokens, b.tokens, during, tokens), over
  end
  if b.money and b.unpriced ~= '' then
    return 'money is limited, and ' .. b.unpriced .. ' has no price in REPLAY_ESCALATION_PRICES', ''
  end
  if b.money and s.money + money > b.money then
    local next = ' ' .. during .. ', and the next call may cost ' .. dear(money)
    return dear(s.money) .. ' of ' .. dear(b.money) .. next, over
  end
end
"""

_OPEN = _NOW + BUDGET + "roll(KEYS[1], ARGV[1], now); return redis.call('HMGET', KEYS[1], 'since', 'recounted')"

_ADD = """
local known = redis.call('HMGET', KEYS[1], 'since', 'recounted')
if known[1] ~= ARGV[1] or known[2] then return 0 end
redis.call('HINCRBY', KEYS[1], 'calls', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[3])
redis.call('HINCRBY', KEYS[1], 'money', ARGV[4])
redis.call('HSET', KEYS[1], 'recounted', 1)
return 1"""

_RESET = _NOW + BUDGET + "for i, p in ipairs({'day', 'total'}) do begin(KEYS[i], period_at(p, now), now, true) end"


class Part(StrEnum):
    """What a budget can be of."""

    CALLS = "calls"
    TOKENS = "tokens"
    MONEY = "money"


@dataclass(frozen=True)
class Count:
    """One count of what is spent.

    Attributes:
        since: When it began, as the server says; tells it from another count.
        recounted: What was spent before, in the same period, is in it.
    """

    since: str
    recounted: bool


@dataclass(frozen=True)
class Spent:
    """What calls took; money in billionths."""

    calls: int = 0
    tokens: int = 0
    billionths: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.tokens + other.tokens, self.billionths + other.billionths)


def key(lane: str, period: Period) -> str:
    """The hash of a lane's count of a day, or of all."""
    return f"{_PREFIX}:{lane}:{period.value}"


def keys(lane: str) -> list[str]:
    """Both, as the scripts have them."""
    return [key(lane, Period.DAY), key(lane, Period.TOTAL)]


def limit(client: redis.Redis, lane: str, part: Part, amount: float | None) -> None:
    """Set a budget for all workers, over that of their settings; None: none."""
    value: float | str = NONE if amount is None else prices.nano(amount) if part is Part.MONEY else int(amount)
    client.hset(bounds.key(lane), part.value, str(value))


def unlimit(client: redis.Redis, lane: str) -> bool:
    """Take back what `limit` has set: the settings count again. False where nothing was set."""
    return bool(client.hdel(bounds.key(lane), *(part.value for part in Part)))


def reset(client: redis.Redis, lane: str) -> None:
    """Count anew: nothing is spent, neither today nor in all."""
    client.eval(_RESET, 2, *keys(lane))


def opened(client: redis.Redis, lane: str, period: Period) -> Count:
    """The count of the present period, begun where there was none."""
    reply = cast("list[bytes | None]", client.eval(_OPEN, 1, key(lane, period), period.value))
    return Count((reply[0] or b"").decode(), reply[1] is not None)


def add_earlier(client: redis.Redis, lane: str, period: Period, count: Count, spent: Spent) -> bool:
    """Add what was spent before a count began, once; False where another count has begun, or it was added already."""
    args: list[Any] = [count.since, spent.calls, spent.tokens, spent.billionths]
    return bool(cast("int", client.eval(_ADD, 1, key(lane, period), *args)))
