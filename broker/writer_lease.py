"""Which writer may append: a lease in the broker, with an epoch that only grows.

The file lock of the log guards one machine; this guards all that share a broker. A writer holds the lease while it
renews it; one that died, or lost the broker, loses it after its time, and the next one gets the next epoch.

Whether a lease still holds is asked of two: the broker, and a clock of this host that goes on while the process, or the
whole machine, is suspended. A writer that was frozen finds both against it when it wakes up. What no lease can close is
the moment between the last question and the write itself; the log's own check of its size is the fence there
(Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import redis

KEY = "replay.writer.lease"
EPOCH_KEY = "replay.writer.epoch"

# The part of its time after which a holder does not trust its lease without having renewed it.
_TRUSTED = 0.8

# DEL, and PEXPIRE further down, come first: after a first write, a server without memory lets a script go on, and a
# full server is waiting for nothing so much as for its writer.
_ACQUIRE = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'lock')
if held[1] and (ARGV[5] == '' or held[2] ~= ARGV[5]) then return 0 end
redis.call('DEL', KEYS[1])
local epoch = tonumber(redis.call('GET', KEYS[2]) or '0') + 1
redis.call('SET', KEYS[2], string.format('%d', epoch))
redis.call('HSET', KEYS[1], 'epoch', string.format('%d', epoch),
  'holder', ARGV[2], 'host', ARGV[3], 'pid', ARGV[4], 'lock', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return epoch"""

_RENEW = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1"""

_RAISE = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
local epoch = tonumber(ARGV[4]) + 1
if epoch <= tonumber(held[2]) then return tonumber(held[2]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 'epoch', string.format('%d', epoch))
redis.call('SET', KEYS[2], string.format('%d', epoch))
return epoch"""

_RELEASE = """
local held = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return 0 end
return redis.call('DEL', KEYS[1])"""


def suspended_clock() -> float:
    """Seconds that also pass while the machine sleeps, where the system has such a clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(frozen=True)
class Holder:
    """Who holds the lease, in its own words.

    Attributes:
        epoch: Grows with each holder.
        host: Host name.
        pid: Process id there.
        lock: The lock file that it holds besides, named by who holds it; empty where it has no name.
    """

    epoch: int
    host: str
    pid: int
    lock: str

    def __str__(self) -> str:
        """For people."""
        return f"process {self.pid} on {self.host} (epoch {self.epoch})"


def holder(client: redis.Redis) -> Holder | None:
    """Who holds the lease now; None where nobody does."""
    held = cast("dict[bytes, bytes]", client.hgetall(KEY))
    if not held:
        return None
    text = {name.decode(): value.decode("utf-8", "replace") for name, value in held.items()}
    return Holder(int(text.get("epoch", 0)), text.get("host", ""), int(text.get("pid", 0)), text.get("lock", ""))


class WriterLease:
    """The right to append, of one process. Not shared between threads.

    Args:
        client: The broker.
        ttl_s: The lease ends when it was not renewed for this long.
        clock: Seconds, never set back, that go on while this process does not.
    """

    def __init__(self, client: redis.Redis, ttl_s: float, *, clock: Callable[[], float] = suspended_clock) -> None:
        self.holder = uuid.uuid4().hex
        self.epoch = 0
        self._client = client
        self._ttl_s = ttl_s
        self._clock = clock
        self._renewed_at = float("-inf")
        self._acquire = client.register_script(_ACQUIRE)
        self._renew = client.register_script(_RENEW)
        self._raise = client.register_script(_RAISE)
        self._release = client.register_script(_RELEASE)

    def acquire(self, *, lock: str) -> bool:
        """Take the lease if it is free, or if its holder is proved dead.

        Args:
            lock: Name of the lock file that this process holds; who had the lease with the same lock is dead.
        """
        asked_at = self._clock()
        args: list[Any] = [self._ttl_ms, self.holder, socket.gethostname(), os.getpid(), lock]
        epoch = int(cast("int", self._acquire(keys=[KEY, EPOCH_KEY], args=args)))
        if not epoch:
            return False
        self.epoch = epoch
        self._renewed_at = asked_at
        return True

    def raise_above(self, floor: int) -> bool:
        """Have an epoch above the last one in the log, also where the broker has lost its count; False if it is lost.

        Args:
            floor: That last one. It is read once the log is open, which takes the lease.
        """
        args: list[Any] = [self._ttl_ms, self.holder, self.epoch, floor]
        epoch = int(cast("int", self._raise(keys=[KEY, EPOCH_KEY], args=args)))
        self.epoch = epoch or self.epoch
        return bool(epoch)

    def renew(self) -> bool:
        """Ask the broker whether the lease holds and extend it; False if it is lost."""
        asked_at = self._clock()
        if not int(cast("int", self._renew(keys=[KEY], args=[self._ttl_ms, self.holder, self.epoch]))):
            return False
        self._renewed_at = asked_at
        return True

    def renew_if_due(self) -> bool:
        """Renew it once a third of its time is over; False if it is lost."""
        return self._clock() - self._renewed_at < self._ttl_s / 3 or self.renew()

    def holds(self) -> bool:
        """Prove the lease right before an append: by the broker, and then by the clock of this host."""
        return self.renew() and self._clock() - self._renewed_at < self._ttl_s * _TRUSTED

    def release(self) -> None:
        """Let the next writer in at once. Nothing happens where the lease is lost already."""
        self._release(keys=[KEY], args=[self.holder, self.epoch])

    @property
    def _ttl_ms(self) -> int:
        return int(self._ttl_s * 1000)
