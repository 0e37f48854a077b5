"""Fixtures for every test: no setting of the developer's shell reaches a test, and one real broker serves them all."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import redis

from broker.connection import connect, socket_path
from replay.settings import Settings
from tests.processes import embedded_broker

# xdist tells its workers the width of a terminal that they have not; what is no terminal is never too narrow.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("COLUMNS", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hostile texts get into captured logs; what cannot be encoded cannot be sent from a test process to its parent."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _no_settings_of_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("REPLAY_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def broker_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings whose embedded Valkey server runs for the whole test session."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as settings:
        yield settings


@pytest.fixture
def valkey(broker_settings: Settings) -> Iterator[redis.Redis]:
    """A client of the real server, empty at the start of each test."""
    client = connect(broker_settings)
    # What processes of earlier tests left behind, if the server has not noticed yet that they are gone.
    client.client_kill_filter(_type="normal", skipme=True)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def broker_url(broker_settings: Settings, valkey: redis.Redis) -> str:
    """`REPLAY_BROKER_URL` of that server, for processes with a data directory of their own."""
    assert valkey.ping()
    return f"unix://{socket_path(broker_settings)}"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory."""
    path = tmp_path / "data"
    path.mkdir()
    return path
