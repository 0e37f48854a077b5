"""Whether a lane's workers may take messages: not paused by hand, room for evidence, an endpoint that may be asked.

The question is asked by the script that accepts a message, so a closed lane holds none; `DOOR` is its part of that
script. Messages of a closed lane stay in their queue, and none of their starts is used up.

How many tasks of a lane are in work at once, over all workers, is limited here as well, and needs no count of its own:
a task in work is one that has a lease, so the leases are the places. One is taken in the step that accepts a message,
kept as long as the lease is renewed, and free with the commit, a hand-back, or the sweep that finds it run out, after
which nobody can renew it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

import redis

from broker import breaker
from broker.breaker import TRIAL_S
from broker.limits import bounds, budget, rates
from broker.limits.bounds import BOUNDS, Bounds
from broker.limits.budget import BUDGET
from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.models.breaker import chain
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue

_PREFIX = "replay.lane"
# When a pause is over one message is let in for the try; the next one not before this many seconds, should the first
# not have got there.
_ADMIT_S = 5

# keys: the lane, the stream of evidence, the leases of its queue, its limits, what it has spent in a day and in all;
# then of each endpoint, in the order in which they are asked, the breaker and the rates. args: records on the stream,
# the limits.
DOOR = f"""
{BOUNDS}
{BUDGET}
local function shut(keys, first, args, from, now, taking)
  local by_hand = redis.call('HGET', keys[first], 'reason')
  if by_hand then return {{'paused', by_hand, '', keys[first]}} end
  local backlog = redis.call('XLEN', keys[first + 1])
  if backlog >= tonumber(args[from]) then return {{'writer', tostring(backlog), '', keys[first + 1]}} end
  local b = bounds(keys[first + 3], args, from + 1)
  local count = count_of(b, keys[first + 4], keys[first + 5])
  local s = spent(count, b.period, now)
  local why, over = beyond(b, s, 1, 1, now)
  if why then return {{'out of budget', why, over, count}} end
  local full = nil
  if b.in_flight then
    local busy = redis.call('ZCARD', keys[first + 2])
    if busy >= b.in_flight then full = {{'full', busy .. ' of ' .. b.in_flight, '', keys[first + 2]}} end
  end
  local found = nil
  for i = first + 6, #keys, 2 do
    local r = redis.call('HMGET', keys[i + 1], 'until', 'why')
    local stop = nil
    local tokens, money = next_call(count, b.period, now, keys[i + 1])
    why, over = beyond(b, s, tokens, money, now)
    if why then
      stop = {{'out of budget', why, over, count}}
    elseif r[1] and now < tonumber(r[1]) and (b.requests_per_minute or b.tokens_per_minute) then
      stop = {{'limited', r[2] or '', r[1], keys[i]}}
    else
      local e = redis.call('HMGET', keys[i], 'state', 'until', 'reason', 'trial', 'admitted')
      if not e[1] then return full end
      if now >= tonumber(e[2]) and now >= (e[4] or 0) + {TRIAL_S} and now >= (e[5] or 0) + {_ADMIT_S} then
        if taking and not full then redis.call('HSET', keys[i], 'admitted', now) end
        return full
      end
      stop = {{e[1], e[3] or '', e[2], keys[i]}}
    end
    -- A budget in all has no end of its own.
    if not found or (tonumber(stop[3]) or math.huge) < (tonumber(found[3]) or math.huge) then found = stop end
  end
  return found or full
end
"""

_LOOK = (
    "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"
    + DOOR
    + "return {string.format('%.6f', now), shut(KEYS, 1, ARGV, 1, now, false) or false}"
)

_LANE_OF = {Queue.LOCAL: Tier.LOCAL, Queue.ESCALATION: Tier.ESCALATION}
_QUEUE_OF = {tier.value: queue.value for queue, tier in _LANE_OF.items()}


class LaneState(StrEnum):
    """How a lane stands.

    `WRITER`: it waits for the writer, which is behind. `FULL`: as many tasks as may be are in work. `LIMITED`: its
    endpoint was asked as often as it may be within a minute.
    """

    OPEN = "open"
    FULL = "full"
    LIMITED = "limited"
    BUDGET = "out of budget"
    PAUSED = "paused"
    BREAKER = "breaker"
    QUOTA = "quota"
    WRITER = "writer"


@dataclass(frozen=True)
class LaneStatus:
    """A lane as it stands now.

    Attributes:
        lane: `local` or `escalation`.
        state: Anything but `open`: its workers take no message.
        reason: Why.
        seconds: Until it goes on, or an endpoint is tried again; None where the lane is open, or waits for a person,
            the writer or the end of a task.
        target: The endpoint, and the model there, that it waits for; empty where it waits for none.
        until: The same moment, in UTC by the broker's clock, ISO 8601; empty where there is none.
    """

    lane: str
    state: LaneState
    reason: str = ""
    seconds: float | None = None
    target: str = ""
    until: str = ""

    @property
    def works(self) -> bool:
        """Does nothing hinder it? A full lane takes no message now, because it is at work."""
        return self.state in {LaneState.OPEN, LaneState.FULL}

    def __str__(self) -> str:
        """For people; empty where nothing hinders the lane."""
        if self.works:
            return ""
        if self.until and self.state in {LaneState.LIMITED, LaneState.BUDGET}:
            return f"{self.state} until {self.until}: {self.reason}"
        again = "" if self.seconds is None else f", tried again in {self.seconds:.0f} s"
        return f"{self.state}: {self.reason}{again}"


OPEN = LaneStatus("", LaneState.OPEN)


@dataclass(frozen=True)
class Door:
    """What has to let a message of a lane through.

    Attributes:
        lane: `local` or `escalation`.
        targets: Names of the endpoints, in the order in which they are asked.
        max_outstanding: Records on the evidence stream from which on it is shut.
        bounds: The lane's limits.
    """

    lane: str
    targets: tuple[str, ...]
    max_outstanding: int
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def keys(self) -> list[str]:
        """What `DOOR` looks at."""
        lane = self.lane
        ends = [key for target in self.targets for key in (breaker.key(target), rates.key(target))]
        # As `broker.claims.index_key` has it, which imports this module.
        leases = f"{_QUEUE_OF[lane]}.unacked_index"
        return [lane_key(lane), EVIDENCE_STREAM, leases, bounds.key(lane), *budget.keys(lane), *ends]

    @property
    def args(self) -> list[str | int]:
        """What it compares that with."""
        return [self.max_outstanding, *self.bounds.args]


def lane_key(lane: str) -> str:
    """The hash of a lane that was paused by hand."""
    return f"{_PREFIX}:{lane}"


def door(tier: Tier, settings: Settings) -> Door:
    """The door of a lane. Without an endpoint in the settings no breaker stands before it: a worker says so itself.

    Raises:
        ConfigurationError: The prices cannot be read.
    """
    try:
        targets = tuple(target.name for target in chain(tier, settings))
    except ConfigurationError:
        targets = ()
    return Door(tier.value, targets, settings.max_outstanding, Bounds.of(tier, settings))


def doors(settings: Settings) -> dict[str, Door]:
    """The door of each queue of work, by the queue's name."""
    return {queue.value: door(tier, settings) for queue, tier in _LANE_OF.items()}


def look(client: redis.Redis, before: Door) -> LaneStatus:
    """See how a lane stands."""
    # Read-only, so that a user who may only look may ask.
    reply: Any = client.eval_ro(_LOOK, len(before.keys), *before.keys, *before.args)
    now, found = float(reply[0]), cast("list[bytes] | None", reply[1])
    return status(before.lane, now, [part.decode("utf-8", "replace") for part in found or []])


def pause(client: redis.Redis, lane: str, reason: str) -> None:
    """Stop a lane until `resume`: what runs is finished, what waits stays in its queue."""
    client.hset(lane_key(lane), "reason", reason)


def resume(client: redis.Redis, before: Door) -> bool:
    """Let a lane go on: whether a person stopped it, a breaker, or an endpoint's wish. False where none had.

    Limits and budgets stay as they are.
    """
    done = bool(client.delete(lane_key(before.lane)))
    for target in before.targets:
        done = breaker.reset(client, target) or done
    return done


def paused_endpoints(client: redis.Redis) -> dict[str, str]:
    """Every endpoint that is not asked, of all machines, with its state and reason."""
    found = {}
    for name in client.scan_iter(match=f"{breaker.PREFIX}:*", count=500):
        state, reason = cast("list[bytes | None]", client.hmget(name, ["state", "reason"]))
        if state is not None:
            target = name.decode("utf-8", "replace").removeprefix(breaker.key(""))
            found[target] = f"{state.decode()}: {(reason or b'').decode('utf-8', 'replace')}"
    return found


def status(lane: str, now: float, found: list[str]) -> LaneStatus:
    """What `DOOR` has answered, at a time of the server."""
    if not found:
        return LaneStatus(lane, LaneState.OPEN)
    state, (reason, until, at) = LaneState(found[0]), found[1:]
    if state is LaneState.WRITER:
        return LaneStatus(lane, state, f"{reason} records wait for the evidence writer")
    if state is LaneState.FULL:
        return LaneStatus(lane, state, f"{reason} tasks are in work")
    if not until:
        return LaneStatus(lane, state, reason)
    target = at.removeprefix(breaker.key("")) if at.startswith(breaker.PREFIX) else ""
    moment = datetime.fromtimestamp(float(until), UTC).isoformat(timespec="seconds")
    return LaneStatus(lane, state, reason, max(0.0, round(float(until) - now, 1)), target, moment)
