"""`replay review`, typed: what waits, what is said of it, and how the evidence shows it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from evidence.verify import verify
from replay.contracts import Ruling, State
from replay.settings import Settings
from tests.batches import make_run, record
from tests.command_line import Typed, typing_into
from tests.factories import make_task

HOSTILE = "\x1b[31mred\u202e[bold]x[/bold]"


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Three ended runs: rejected, accepted as unsure, accepted."""
    made = Settings(data_dir=data_dir)
    ends = {
        "rejected": make_run(make_task(custom_id="rejected"), State.REJECTED),
        "unsure": make_run(make_task(custom_id="unsure"), ruling=Ruling.UNSURE),
        "fine": make_run(make_task(custom_id="fine")),
    }
    record(made, *ends.values())
    return made


@pytest.fixture
def typed(data_dir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    return typing_into(monkeypatch, capfd, data_dir=data_dir)


def run_of(name: str) -> str:
    """The run of a task of this name."""
    return make_task(custom_id=name).run_id


def test_what_waits_is_listed_until_it_is_reviewed(settings: Settings, typed: Typed) -> None:
    """Newest first; a review takes its run off the list, and the chain holds with it in the log."""
    code, printed, _ = typed("review", "list", "--json")
    assert (code, [row["custom_id"] for row in json.loads(printed)]) == (0, ["unsure", "rejected"])
    code, printed, _ = typed("review", "accept", run_of("rejected"), "-m", "the line says it", "--admit", "--json")
    said = json.loads(printed)
    assert (code, said["decision"], said["admit"], "@" in said["who"]) == (0, "accept", True, True)
    code, printed, _ = typed("review", "reject", run_of("unsure"), "-m", "it says 3600", "--verdict", "fail")
    assert (code, "the right verdict is fail: it says 3600" in printed) == (0, True)
    assert typed("review", "list")[1].strip() == "no run waits for a review"
    assert verify(settings.evidence_log).ok


def test_the_evidence_shows_the_reviews_of_a_run(settings: Settings, typed: Typed) -> None:
    """After its end, in words and as records; nothing in a note steers the terminal."""
    del settings
    typed("review", "reject", run_of("rejected"), "-m", HOSTILE)
    code, printed, _ = typed("evidence", "show", run_of("rejected"))
    assert code == 0
    assert "rejected by" in printed
    assert "\x1b" not in printed
    assert "[bold]x[/bold]" in printed
    records = json.loads(typed("evidence", "show", run_of("rejected"), "--json")[1])
    assert [one["schema"] for one in records] == ["replay_run.v1", "replay_review.v1"]
    assert records[1]["note"] == HOSTILE
    assert records[1]["record_hash"] == records[0]["chain"]["hash"]
    (last,) = typed("evidence", "tail", "-n", "1")[1].splitlines()
    assert re.search(r"review: rejected +by \S+@\S+: rejected, ", last)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("accept", "run_none", "-m", "x"), "is in no evidence"),
        (("accept", "fine", "-m", " "), "needs a note"),
        (("accept", "fine", "-m", "x", "--verdict", "fail"), "the answer says pass"),
        (("accept", "unsure", "-m", "x", "--admit"), "teaches nothing"),
    ],
)
def test_mistakes_are_told(settings: Settings, typed: Typed, words: tuple[str, ...], why: str) -> None:
    """Exit code 2 with what to do; nothing is appended."""
    before = settings.evidence_log.read_bytes()
    decision, name, *options = words
    code, _, told = typed("review", decision, name if name.startswith("run_") else run_of(name), *options)
    assert (code, why in told, "hint:" in told) == (2, True, True)
    assert settings.evidence_log.read_bytes() == before
