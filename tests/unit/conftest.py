"""Fixtures of tests that need no server; a module with other settings has a fixture of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fakeredis
import pytest
import redis

from replay.settings import Settings
from tests.batches import furnish


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Settings with a corpus."""
    return furnish(Settings(data_dir=data_dir))


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """An empty broker."""
    with fakeredis.FakeRedis(server=fakeredis.FakeServer()) as broker:
        yield broker
