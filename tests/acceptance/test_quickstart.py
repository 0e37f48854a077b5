"""`replay quickstart` as a newcomer meets it: real models and processes, Ctrl-C in the middle, and again to the end."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from evidence.verify import verify
from replay.contracts import TERMINAL
from replay.settings import Settings
from tests.command_line import REPLAY
from tests.processes import ROOT, environment, free_port, running, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.models, pytest.mark.timeout(900)]

SAMPLE = [json.loads(line) for line in (ROOT / "data/tasks/quickstart.jsonl").read_text(encoding="utf-8").splitlines()]
NAMES = tuple(task["custom_id"] for task in SAMPLE)
CTRL_C = 130


@pytest.fixture
def _ctrl_c_reaches_children() -> Iterator[None]:
    """A shell that runs this in the background has it ignore SIGINT, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_reaches_children")
def test_ctrl_c_stops_everything_and_the_next_run_resumes(data_dir: Path) -> None:
    """Ctrl-C after the first task leaves no process; the same command again does the rest and no task twice."""
    settings = Settings(data_dir=data_dir)
    ports = {name: free_port() for name in ("local_port", "escalation_port", "dashboard_port")}
    env = environment(data_dir, **ports) | {"COLUMNS": "160"}

    with running([REPLAY, "quickstart"], env, data_dir / "first.log") as first:
        wait_for(
            lambda: _ended(settings) or first.exit_code is not None,
            "the first task to end, fetched models included",
            timeout_s=600,
        )
        assert first.exit_code is None, first.output
        first.signal(signal.SIGINT)
        assert first.wait(120) == CTRL_C, first.output
    assert "run the same command again to go on" in first.output
    assert "Traceback" not in first.output
    assert _left(data_dir) == []
    done = _ended(settings)
    assert 0 < len(done) < len(SAMPLE)
    before = settings.evidence_log.read_bytes()

    with running([REPLAY, "quickstart"], env, data_dir / "second.log") as second:
        assert second.wait(600) == 0, second.output
    said = second.output
    assert f"resumed: {len(SAMPLE)} tasks" in said
    assert f"{len(done)} done before" in said
    assert f"{len(SAMPLE)} tasks: " in said
    assert [line.split()[0] for line in said.splitlines() if line.startswith(NAMES)] == list(NAMES)
    assert "All of it had been run before" not in said
    assert "its chain of hashes holds" in said
    assert "Traceback" not in said
    assert _left(data_dir) == []

    assert settings.evidence_log.read_bytes().startswith(before)
    assert verify(settings.evidence_log).ok
    ends = Counter(record["run_id"] for record in _ended(settings))
    assert set(ends.values()) == {1}
    assert len(ends) == len(SAMPLE)
    attempts = Counter((record["run_id"], record["attempt"]["tier"]) for record in _records(settings))
    assert set(attempts.values()) == {1}


def _records(settings: Settings) -> list[dict[str, Any]]:
    try:
        content = settings.evidence_log.read_bytes()
    except FileNotFoundError:
        return []
    records = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    # The writer's own records tell when it took the log.
    return [record for record in records if record["schema"] == "replay_run.v1"]


def _ended(settings: Settings) -> list[dict[str, Any]]:
    return [record for record in _records(settings) if record["state"] in TERMINAL]


def _left(data_dir: Path) -> list[str]:
    """Processes that were started for this data directory, by its name in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("REPLAY_DATA_DIR") == str(data_dir)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid}: {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return found
