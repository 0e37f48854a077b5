"""Whether a lane's workers may take messages: not paused by hand, room for evidence, an endpoint that may be asked.

The question is asked by the script that accepts a message, so a closed lane holds none; `DOOR` is its part of that
script. Messages of a closed lane stay in their queue, and none of their starts is used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import redis

from broker import breaker
from broker.breaker import TRIAL_S
from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.models.breaker import chain
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue

_PREFIX = "replay.lane"
# When a pause is over one message is let in for the try; the next one not before this many seconds, should the first
# not have got there.
_ADMIT_S = 5

# keys: the lane, the stream of evidence, the breakers of the endpoints in the order in which they are asked.
DOOR = f"""
local function shut(keys, first, limit, now, taking)
  local by_hand = redis.call('HGET', keys[first], 'reason')
  if by_hand then return {{'paused', by_hand, '', keys[first]}} end
  local backlog = redis.call('XLEN', keys[first + 1])
  if backlog >= tonumber(limit) then return {{'writer', tostring(backlog), '', keys[first + 1]}} end
  local found = nil
  for i = first + 2, #keys do
    local b = redis.call('HMGET', keys[i], 'state', 'until', 'reason', 'trial', 'admitted')
    if not b[1] then return nil end
    if now >= tonumber(b[2]) and now >= (b[4] or 0) + {TRIAL_S} and now >= (b[5] or 0) + {_ADMIT_S} then
      if taking then redis.call('HSET', keys[i], 'admitted', now) end
      return nil
    end
    if not found or tonumber(b[2]) < tonumber(found[3]) then found = {{b[1], b[3] or '', b[2], keys[i]}} end
  end
  return found
end
"""

_LOOK = (
    "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"
    + DOOR
    + "return {tostring(now), shut(KEYS, 1, ARGV[1], now, false) or false}"
)

_LANE_OF = {Queue.LOCAL: Tier.LOCAL, Queue.ESCALATION: Tier.ESCALATION}


class LaneState(StrEnum):
    """How a lane stands. `WRITER`: it waits for the writer, which is behind."""

    OPEN = "open"
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
        seconds: Until an endpoint is tried again; None where the lane is open, or waits for a person or the writer.
        target: The endpoint, and the model there, that it waits for; empty where it waits for none.
    """

    lane: str
    state: LaneState
    reason: str = ""
    seconds: float | None = None
    target: str = ""

    def __str__(self) -> str:
        """For people; empty where the lane is open."""
        if self.state is LaneState.OPEN:
            return ""
        again = "" if self.seconds is None else f", tried again in {self.seconds:.0f} s"
        return f"{self.state}: {self.reason}{again}"


@dataclass(frozen=True)
class Door:
    """What has to let a message of a lane through.

    Attributes:
        lane: `local` or `escalation`.
        targets: Names of the endpoints, in the order in which they are asked.
        max_outstanding: Records on the evidence stream from which on it is shut.
    """

    lane: str
    targets: tuple[str, ...]
    max_outstanding: int

    @property
    def keys(self) -> list[str]:
        """What `DOOR` looks at."""
        return [lane_key(self.lane), EVIDENCE_STREAM, *(breaker.key(target) for target in self.targets)]


def lane_key(lane: str) -> str:
    """The hash of a lane that was paused by hand."""
    return f"{_PREFIX}:{lane}"


def door(tier: Tier, settings: Settings) -> Door:
    """The door of a lane. Without an endpoint in the settings no breaker stands before it: a worker says so itself."""
    try:
        targets = tuple(target.name for target in chain(tier, settings))
    except ConfigurationError:
        targets = ()
    return Door(tier.value, targets, settings.max_outstanding)


def doors(settings: Settings) -> dict[str, Door]:
    """The door of each queue of work, by the queue's name."""
    return {queue.value: door(tier, settings) for queue, tier in _LANE_OF.items()}


def look(client: redis.Redis, before: Door) -> LaneStatus:
    """See how a lane stands."""
    reply: Any = client.eval(_LOOK, len(before.keys), *before.keys, before.max_outstanding)
    now, found = float(reply[0]), cast("list[bytes] | None", reply[1])
    if not found:
        return LaneStatus(before.lane, LaneState.OPEN)
    state, reason, until, at = (part.decode("utf-8", "replace") for part in found)
    if state == LaneState.WRITER:
        return LaneStatus(before.lane, LaneState.WRITER, f"{reason} records wait for the evidence writer")
    return LaneStatus(
        before.lane,
        LaneState(state),
        reason,
        max(0.0, round(float(until) - now, 1)) if until else None,
        at.removeprefix(breaker.key("")) if until else "",
    )


def pause(client: redis.Redis, lane: str, reason: str) -> None:
    """Stop a lane until `resume`: what runs is finished, what waits stays in its queue."""
    client.hset(lane_key(lane), "reason", reason)


def resume(client: redis.Redis, before: Door) -> bool:
    """Let a lane go on, whatever stopped it: a person, a breaker, an endpoint's wish. False where nothing had."""
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
