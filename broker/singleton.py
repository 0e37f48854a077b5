"""One of several equal processes works, the others stand by: a lease in the broker that its holder renews.

For work that two may do at once without harm, so the lease saves effort and guards nothing.
"""

from __future__ import annotations

import uuid
from typing import cast

import redis

_HOLD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1"""

_RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"""


class Singleton:
    """The right to work, of one process.

    Args:
        client: The broker.
        name: What is to be done by one at a time.
        ttl_s: Who has not held it for this long is replaced.
    """

    def __init__(self, client: redis.Redis, name: str, ttl_s: float) -> None:
        self._key = f"{name}.lease"
        self._me = uuid.uuid4().hex
        self._ttl_ms = int(ttl_s * 1000)
        self._hold = client.register_script(_HOLD)
        self._release = client.register_script(_RELEASE)

    def hold(self) -> bool:
        """Take or renew the lease; False where another one has it. After a broker lost its data it is free."""
        return bool(cast("int", self._hold(keys=[self._key], args=[self._me, self._ttl_ms])))

    def release(self) -> None:
        """Let the next one in at once; nothing happens where another one has the lease."""
        self._release(keys=[self._key], args=[self._me])
