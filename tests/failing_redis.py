"""Brokers that take a few messages and then no more."""

from __future__ import annotations

from typing import Any

import fakeredis
import redis


class FailingRedis(fakeredis.FakeRedis):
    """A broker that goes away after some publishes."""

    publishes_left = 0
    fault: Exception = redis.exceptions.ConnectionError("gone")

    def lpush(self, name: Any, *values: Any) -> Any:
        """Accept a few, then fail."""
        if self.publishes_left == 0:
            raise self.fault
        self.publishes_left -= 1
        return super().lpush(name, *values)


class FullRedis(FailingRedis):
    """A broker that is full after some publishes: it says what a server with `maxmemory` and `noeviction` says."""

    fault = redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")
