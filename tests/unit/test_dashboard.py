"""The monitoring page: what it shows without a broker, what it escapes, and that it forbids scripts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
import redis

from dashboard.app import make_app
from evidence.log import EvidenceLog
from replay import pipeline
from replay.contracts import State
from replay.settings import Settings
from replay.topology import Queue
from tests.factories import make_task


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data directory whose embedded broker does not run."""
    return Settings(data_dir=tmp_path / "data")


def get(settings: Settings, path: str) -> httpx.Response:
    """Ask the application, without a server."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://dashboard") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_an_empty_system_is_explained(settings: Settings) -> None:
    """Without broker, workers and evidence the page still comes, and says what to start."""
    page = get(settings, "/")
    assert page.status_code == 200
    assert "replay up" in page.text
    assert "No evidence yet" in page.text


def test_hostile_text_is_escaped_and_scripts_are_forbidden(settings: Settings) -> None:
    """A task's name that is markup is shown as text, and the policy would not run it anyway."""
    hostile = "<script>alert(1)</script>"
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([pipeline.end_without_attempt(make_task(custom_id=hostile), State.FAILED, "x").wire()])
    page = get(settings, "/")
    assert hostile not in page.text
    assert "&lt;script&gt;" in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_same_is_there_for_programs(settings: Settings) -> None:
    """The JSON form names the problem and holds no half-known queues; the health check needs nothing."""
    view = get(settings, "/overview.json").json()
    assert view["queues"] == {}
    assert "broker" in view["broker_problem"]
    assert get(settings, "/healthz").text == "ok"


@pytest.mark.parametrize("broker_url", ["redis://[bad", "http://x", "redis://127.0.0.1:1"])
def test_a_wrong_broker_is_shown_and_breaks_nothing(tmp_path: Path, broker_url: str) -> None:
    """A URL that is none, or that nobody answers, is told on the page; evidence is shown all the same."""
    settings = Settings(data_dir=tmp_path / "data", broker_url=broker_url)
    page = get(settings, "/")
    assert page.status_code == 200
    assert "REPLAY_BROKER_URL" in page.text
    assert "No evidence yet" in page.text
    assert "REPLAY_BROKER_URL" in get(settings, "/overview.json").json()["broker_problem"]


def test_a_broker_that_answers_with_an_error_is_shown(broker_settings: Settings, valkey: redis.Redis) -> None:
    """Something else under one of our names is the broker's problem, not the page's."""
    valkey.set(Queue.LOCAL.value, "not a list")
    assert get(broker_settings, "/").status_code == 200
    assert "WRONGTYPE" in get(broker_settings, "/overview.json").json()["broker_problem"]
