"""What the doctor says of the index and of endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from evidence.index import index_path
from evidence.log import EvidenceLog
from replay.settings import Settings
from stack import abilities, evidence_health
from stack.finding import Health
from tests.batches import make_run
from tests.factories import make_task
from tests.scripted_model import Mode, ScriptedModel


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A log of three records."""
    settings = Settings(data_dir=tmp_path)
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([make_run(make_task(custom_id=name)).wire() for name in "abc"])
    return settings


def _index(settings: Settings) -> tuple[Health, str]:
    (finding,) = evidence_health.index(settings)
    return finding.health, finding.detail


def test_an_index_in_step_is_well(settings: Settings, tmp_path: Path) -> None:
    """It says how many records there are; a log that is not begun is well too."""
    health, detail = _index(settings)
    assert (health, "3 records" in detail) == (Health.OK, True)
    assert _index(Settings(data_dir=tmp_path / "other"))[0] is Health.OK


def test_an_index_that_is_missing_or_behind_is_told(settings: Settings) -> None:
    """The writer makes it again; until then everybody who asks reads the whole log."""
    with settings.evidence_log.open("ab") as file:
        file.write(b'{"a":"line that no writer indexed"}\n')
    health, detail = _index(settings)
    assert (health, "behind" in detail) == (Health.WARN, True)
    index_path(settings.evidence_log).write_bytes(b"")
    assert _index(settings)[0] is Health.WARN


def test_a_log_that_was_cut_is_told(settings: Settings) -> None:
    """The index remembers how long it was."""
    log = settings.evidence_log
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:-1]))
    health, detail = _index(settings)
    assert (health, "ahead" in detail) == (Health.WARN, True)


@pytest.mark.parametrize(("mode", "health"), [("first-line", Health.OK), ("text", Health.WARN)])
def test_whether_a_server_obeys_schemas_is_asked(tmp_path: Path, mode: Mode, health: Health) -> None:
    """One that ignores them works, and is told of."""
    with ScriptedModel(mode=mode) as model:
        found = list(
            abilities.abilities(
                Settings(
                    data_dir=tmp_path,
                    base_url=model.base_url,
                    local_model="scripted",
                    escalation_model="v/m",
                    openrouter_api_key=SecretStr("unused"),
                )
            )
        )
    assert [finding.name for finding in found] == ["abilities, local", "abilities, escalation"]
    assert found[0].health is health
    # The large one is at OpenRouter, where an answer costs.
    assert "not asked" in found[1].detail


def test_an_endpoint_that_does_not_answer_is_left_to_the_other_group(tmp_path: Path) -> None:
    """It is told of once."""
    away = Settings(data_dir=tmp_path, base_url="http://127.0.0.1:1/v1")
    assert list(abilities.abilities(away)) == []
