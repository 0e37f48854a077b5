"""One suite over a fake and a real server: what holds on the one holds on the other."""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest
import redis


@pytest.fixture(params=["fake", "valkey"])
def client(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client of either server, empty."""
    if request.param == "valkey":
        yield request.getfixturevalue("valkey")
        return
    fake = fakeredis.FakeRedis(server=fakeredis.FakeServer(), protocol=2)
    # It knows no read-only scripts.
    fake.eval_ro = fake.eval  # type: ignore[method-assign]
    yield fake
    fake.close()
