"""The monitoring page: what it shows without a broker, what it escapes, and that it forbids scripts."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from dashboard.app import make_app
from evidence.log import EvidenceLog
from replay import pipeline
from replay.contracts import State
from replay.settings import Settings
from tests.factories import make_task


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data directory whose embedded broker does not run."""
    return Settings(data_dir=tmp_path / "data")


def test_an_empty_system_is_explained(settings: Settings) -> None:
    """Without broker, workers and evidence the page still comes, and says what to start."""
    page = TestClient(make_app(settings)).get("/")
    assert page.status_code == 200
    assert "replay up" in page.text
    assert "No evidence yet" in page.text


def test_hostile_text_is_escaped_and_scripts_are_forbidden(settings: Settings) -> None:
    """A task's name that is markup is shown as text, and the policy would not run it anyway."""
    hostile = "<script>alert(1)</script>"
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([pipeline.end_without_attempt(make_task(custom_id=hostile), State.FAILED, "x").wire()])
    page = TestClient(make_app(settings)).get("/")
    assert hostile not in page.text
    assert "&lt;script&gt;" in page.text
    assert "script" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_same_is_there_for_programs(settings: Settings) -> None:
    """The JSON form names the problem and holds no half-known queues; the health check needs nothing."""
    client = TestClient(make_app(settings))
    view = client.get("/overview.json").json()
    assert view["queues"] == {}
    assert "broker" in view["broker_problem"]
    assert client.get("/healthz").text == "ok"
