"""Records that are no runs, in words: in `replay evidence tail` and `show`, and in `replay top`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from broker.action import Action
from evidence import telling
from evidence.log import EvidenceLog
from replay.contracts import State
from replay.settings import Settings
from tests.batches import make_run, record
from tests.command_line import Typed, typing_into
from tests.factories import make_task

AT = "2026-12-01T02:00:00.000+00:00"
RECORDS: dict[str, tuple[dict[str, Any], str]] = {
    "an act on a lane": (
        {"schema": "replay_action.v1", "action": "lane.pause", "who": "ada@here", "lane": "local", "detail": "tea"},
        "lane paused by ada@here: local, tea",
    ),
    "a budget": (
        {"schema": "replay_action.v1", "action": "lane.budget.set", "who": "ada@here", "lane": "local"},
        "budget set by ada@here: local",
    ),
    "an act on a batch": (
        {"schema": "replay_action.v1", "action": "batch.cancel", "who": "ada@here", "batch_id": "batch_1"},
        "batch cancelled by ada@here: batch_1",
    ),
    "an act of tomorrow": ({"schema": "replay_action.v1", "action": "x.y", "who": "ada@here"}, "x.y by ada@here"),
    "a review": (
        {"schema": "replay_review.v1", "decision": "reject", "who": "ada", "custom_id": "c1", "note": "no\nway"},
        "review: rejected by ada: c1, no way",
    ),
    "an admission": (
        {"schema": "replay_admission.v1", "decision": "admitted", "who": "ada", "custom_id": "c1", "why": "said"},
        "corpus: admitted by ada: c1, said",
    ),
    "a dead letter": (
        {"schema": "replay_dead.v1", "queue": "replay.local", "cause": "not JSON"},
        "dead letter: replay.local, not JSON",
    ),
    "a conflict": (
        {"schema": "replay_conflict.v1", "kind": "second_end", "first_id": "att_1"},
        "conflict: a second end of one run, kept beside att_1",
    ),
    "a recovery": ({"schema": "replay_recovery.v1", "length": 12}, "log recovered: 12 bytes of a torn end cut off"),
    "a loss": ({"schema": "replay_loss.v1", "who": "ada", "reason": "old disk"}, "loss accepted by ada: old disk"),
    "a writer": ({"schema": "replay_writer.v1", "host": "here", "pid": 7}, "writer began: here, pid 7"),
    "a kind of tomorrow": ({"schema": "replay_note.v1"}, "record of the kind replay_note.v1"),
    "nonsense": ({"schema": "replay_action.v1", "action": 3, "who": ["x"]}, "action"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_told_in_words(name: str) -> None:
    """What it is, by whom and about what; whatever it holds, on one line."""
    held, told = RECORDS[name]
    assert telling.in_words(held) == told


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """A run, a pause and a record of tomorrow in the evidence, and an empty broker."""
    made = Settings(data_dir=data_dir, broker_url=broker_url)
    record(made, make_run(make_task(custom_id="c1"), State.REJECTED))
    pause = Action(id="act_1", action="lane.pause", who="ada@here", lane="local", detail="tea", recorded_at=AT)
    with EvidenceLog.open(made.evidence_log) as log:
        log.append([pause.wire(), {"schema": "replay_note.v1", "id": "note_1", "recorded_at": AT}])
    return made


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    return typing_into(monkeypatch, capfd, data_dir=settings.data_dir, broker_url=settings.broker_url)


def test_the_last_records_are_told_in_words(typed: Typed) -> None:
    """Beside the runs, in the same columns; `show` tells one before it prints all of it."""
    code, printed, _ = typed("evidence", "tail")
    run, pause, note = printed.splitlines()
    assert (code, "rejected" in run, "c1" in run) == (0, True, True)
    assert pause.split(maxsplit=2) == [AT, "act_1", pause.split(maxsplit=2)[2]]
    assert " ".join(pause.split()[2:]) == "lane paused by ada@here: local, tea"
    assert note.endswith("note_1  record of the kind replay_note.v1")
    assert typed("evidence", "show", "act_1")[1].startswith("lane paused by ada@here: local, tea\n{")


def test_top_tells_them_too(typed: Typed) -> None:
    """Among the last runs."""
    code, printed, _ = typed("top", "--once")
    assert (code, "lane paused by ada@here: local, tea" in printed, "replay_action.v1" in printed) == (0, True, False)
