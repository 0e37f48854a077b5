"""The breakers of endpoints, shared by all workers: one hash in the broker for each target, changed by scripts only.

States: closed (no field `state`); `breaker` after so many transport failures in a row; `paused` where the endpoint
asked for a longer wait; `quota` where an account is used up. The last three have an end. After it one request, and no
other, tries: its answer closes the breaker, its failure begins the next pause. All times are the server's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, cast

import redis
from redis.exceptions import RedisError

from replay.errors import ModelRefused, ModelUnavailable
from replay.models.breaker import EndpointPaused, Target
from replay.models.faults import LONGEST_WAIT_S, Refused

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

PREFIX = "replay.breaker"
# A try of which nothing is heard for this long is dead: its worker was killed. Another one tries then.
TRIAL_S = 120
# An account that is used up says seldom when it will be filled again.
QUOTA_S = 900.0
_TTL_S = 7 * 24 * 3600
_REASON_CHARS = 500
# For so long after an answer that was told of, the broker is neither asked nor told: a fast endpoint would pay for it.
_FRESH_S = 0.25

_NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000;"

_ALLOW = (
    _NOW
    + """
local b = redis.call('HMGET', KEYS[1], 'state', 'until', 'trial', 'reason')
if not b[1] then return {1, '', ''} end
if now < tonumber(b[2]) or (b[3] and now < b[3] + ARGV[1]) then return {0, b[4] or '', b[1]} end
redis.call('HSET', KEYS[1], 'trial', now)
return {1, '', ''}"""
)

_ANSWERED = (
    _NOW
    + """
local b = redis.call('HMGET', KEYS[1], 'state', 'until')
redis.call('HSET', KEYS[1], 'failures', 0)
redis.call('HINCRBY', KEYS[1], 'answered', 1)
redis.call('EXPIRE', KEYS[1], ARGV[1])
if not b[1] then return 0 end
if b[1] ~= 'breaker' and now < tonumber(b[2]) then return 2 end
redis.call('HDEL', KEYS[1], 'state', 'until', 'since', 'reason', 'trial', 'admitted')
return 1"""
)

_FAILED = (
    _NOW
    + """
local b = redis.call('HMGET', KEYS[1], 'state', 'until')
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
if b[1] and now < tonumber(b[2]) then return b[1] == 'breaker' and 1 or 2 end
if not b[1] and failures < tonumber(ARGV[1]) then return 0 end
redis.call('HSETNX', KEYS[1], 'since', now)
redis.call('HSET', KEYS[1], 'state', 'breaker', 'until', now + ARGV[2], 'reason', ARGV[3])
redis.call('HDEL', KEYS[1], 'trial', 'admitted')
return 1"""
)

_PAUSE = (
    _NOW
    + """
redis.call('HSETNX', KEYS[1], 'since', now)
redis.call('HSET', KEYS[1], 'state', ARGV[1], 'until', now + ARGV[2], 'reason', ARGV[3])
redis.call('HDEL', KEYS[1], 'trial', 'admitted')
redis.call('EXPIRE', KEYS[1], ARGV[4])"""
)


_WAS_CLOSED, _CLOSED_NOW = 0, 1  # what `_ANSWERED` says; 2: the endpoint has asked to wait, this answer or not


_HAS_ASKED = 2  # what `_FAILED` says where the endpoint itself has asked to wait


class State(StrEnum):
    """Why an endpoint is not asked."""

    BREAKER = "breaker"
    PAUSED = "paused"
    QUOTA = "quota"


def key(target: str) -> str:
    """The hash of a target, by its name."""
    return f"{PREFIX}:{target}"


def reset(client: redis.Redis, target: str) -> bool:
    """Close a breaker: the endpoint is asked as if nothing had been. False where it was closed."""
    fields = ("state", "until", "since", "reason", "trial", "admitted")
    with client.pipeline(transaction=True) as pipe:
        pipe.hdel(key(target), *fields)
        pipe.hdel(key(target), "failures")
        return bool(pipe.execute()[0])


class SharedBreaker:
    """The `Breaker` of workers. Without an answer from the broker it lets requests through.

    Args:
        client: The broker.
        failures: Transport failures in a row after which a target is not asked.
        pause_s: For how long, then.
    """

    def __init__(self, client: redis.Redis, *, failures: int, pause_s: float) -> None:
        self._failures = failures
        self._pause_s = pause_s
        # By target, when this process last told of an answer; a fault forgets it.
        self._answered_at: dict[str, float] = {}
        self._allow = client.register_script(_ALLOW)
        self._answered = client.register_script(_ANSWERED)
        self._failed = client.register_script(_FAILED)
        self._pause = client.register_script(_PAUSE)

    def call(self, target: Target, request: Callable[[], Answer]) -> Answer:
        """Make one request, or refuse to; tell the others how it went.

        Raises:
            EndpointPaused: The target is not asked now, or not any more after this request.
            ModelUnavailable: As the request; it may be tried again.
            ModelRefused: As the request.
        """
        self._ask_whether_allowed(target)
        try:
            answer = request()
        except ModelUnavailable as fault:
            self._answered_at.pop(target.name, None)
            wait_s = fault.retry_after_s
            if wait_s is not None and wait_s > LONGEST_WAIT_S:
                self._stop(target, State.PAUSED, wait_s, fault.message)
                raise EndpointPaused(fault.message, target=target.name, asked_to_wait=True) from fault
            told = _told(self._failed, target, self._failures, self._pause_s, fault.message[:_REASON_CHARS], _TTL_S)
            if told:
                logger.warning("%s is not asked for %g s: %s", target.name, self._pause_s, fault.message)
                raise EndpointPaused(fault.message, target=target.name, asked_to_wait=told == _HAS_ASKED) from fault
            raise
        except ModelRefused as refusal:
            if isinstance(refusal, Refused) and refusal.quota:
                self._answered_at.pop(target.name, None)
                self._stop(target, State.QUOTA, max(refusal.retry_after_s or QUOTA_S, self._pause_s), refusal.message)
                raise EndpointPaused(refusal.message, target=target.name, asked_to_wait=True) from refusal
            # It said no, but it answered.
            self._tell_of_answer(target)
            raise
        self._tell_of_answer(target)
        return answer

    def _ask_whether_allowed(self, target: Target) -> None:
        if self._answered_just_now(target):
            return
        answer = _told(self._allow, target, TRIAL_S) or (1, b"", b"")
        allowed, reason, state = cast("tuple[int, bytes, bytes]", answer)
        if not allowed:
            asked = state.decode() in {State.PAUSED, State.QUOTA}
            raise EndpointPaused(reason.decode("utf-8", "replace"), target=target.name, asked_to_wait=asked)

    def _tell_of_answer(self, target: Target) -> None:
        if self._answered_just_now(target):
            return
        told = _told(self._answered, target, _TTL_S)
        if told == _CLOSED_NOW:
            logger.info("%s answers again", target.name)
        if told in {_WAS_CLOSED, _CLOSED_NOW}:
            self._answered_at[target.name] = time.monotonic()

    def _answered_just_now(self, target: Target) -> bool:
        return time.monotonic() - self._answered_at.get(target.name, float("-inf")) < _FRESH_S

    def _stop(self, target: Target, state: State, seconds: float, reason: str) -> None:
        logger.warning("%s is not asked for %.0f s (%s): %s", target.name, seconds, state, reason)
        _told(self._pause, target, state.value, seconds, reason[:_REASON_CHARS], _TTL_S)


def _told(script: Any, target: Target, *args: Any) -> Any:
    """The broker's answer, or None: without one, a generation must not fail for the want of bookkeeping."""
    try:
        return script(keys=[key(target.name)], args=args)
    except RedisError as error:
        logger.debug("the breaker of %s was not told: %s", target.name, error)
        return None
