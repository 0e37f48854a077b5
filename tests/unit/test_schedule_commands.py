"""`replay schedule`, typed in this process; what is due is submitted by the scheduler's rounds on a real broker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from broker import heartbeat
from broker.heartbeat import Heartbeat
from broker.signing import UNSIGNED
from producer import manifest
from producer.scheduler import Round, Rounds
from producer.schedules.store import Schedules
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import furnish
from tests.command_line import Typed, typing_into


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """The settings of the commands that are typed: a corpus and an empty broker."""
    return furnish(Settings(data_dir=data_dir, broker_url=broker_url))


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    known = {"data_dir": settings.data_dir, "broker_url": settings.broker_url}
    return typing_into(monkeypatch, capfd, "schedule", **known)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of two tasks."""
    path = tmp_path / "tasks.jsonl"
    path.write_text('{"custom_id": "a", "task": "Verify a."}\n{"custom_id": "b", "task": "Verify b."}\n')
    return path


def test_an_entry_from_its_making_to_its_end(typed: Typed, file: Path) -> None:
    """Added, shown with its next runs, paused, resumed and removed; each command says the same as JSON."""
    code, out, _ = typed("add", "nightly", "30 3 * * *", file, "--timezone", "Europe/Berlin", "--jitter", 600)
    assert (code, out.splitlines()[0]) == (0, "nightly: 2 tasks; the next runs:")
    file.unlink()
    value = json.loads(typed("show", "nightly", "--json")[1])
    assert (value["cron"], value["tasks"], value["reuse"], len(value["next"])) == ("30 3 * * *", 2, False, 5)
    for run in value["next"]:
        late = datetime.fromisoformat(run["runs_at"]) - datetime.fromisoformat(run["due"])
        assert timedelta() <= late <= timedelta(seconds=600)
    coming = json.loads(typed("next", "-n", 3, "--json")[1])
    assert [run["runs_at"] for run in coming] == [run["runs_at"] for run in value["next"][:3]]
    _, out, err = typed("list")
    assert all(text in out for text in ("nightly", "30 3 * * *", "CE"))
    assert "no scheduler gives a sign of life" in err
    assert json.loads(typed("pause", "nightly", "--json")[1])["paused"] is True
    assert "paused" in typed("list")[1]
    assert typed("next")[1] == "nothing is to come\n"
    assert json.loads(typed("resume", "nightly", "--json")[1])["paused"] is False
    assert json.loads(typed("remove", "nightly", "--json")[1]) == {"removed": "nightly"}
    assert "`replay schedule add` makes one" in typed("list")[1]
    assert typed("show", "nightly")[0] == 2


def test_mistakes_are_told_with_what_would_be_right(typed: Typed, file: Path, tmp_path: Path) -> None:
    """A wrong time, zone, name, jitter or file, and a name that is taken: exit code 2, nothing made, and a hint."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text("{\n")
    for words, told in (
        (("bad", "61 * * * *", file), "30 3 * * MON-FRI"),
        (("bad", "@daily", file, "--timezone", "Mars"), "Europe/Berlin"),
        (("Bad/..", "@daily", file), "small letters"),
        (("bad", "@hourly", file, "--jitter", 3600), "shorter"),
        (("bad", "@daily", bad), "bad.jsonl.errors.jsonl"),
        (("bad", "@daily", tmp_path / "none"), "no file"),
        (("bad", "@daily", file, "--tag", " "), "--tag nightly"),
    ):
        code, _, err = typed("add", *words)
        assert (code, told in err) == (2, True), (words, err)
    assert typed("list")[0] == 0
    assert typed("add", "one", "@daily", file)[0] == 0
    code, _, err = typed("add", "one", "@hourly", file)
    assert (code, "remove one" in err) == (2, True)


def test_a_file_that_cannot_be_read_is_named_beside_the_others(typed: Typed, settings: Settings, file: Path) -> None:
    """The list shows the good ones and ends with exit code 1; the bad one can be removed."""
    typed("add", "good", "@daily", file)
    (settings.schedules_dir / "torn.json").write_text("{")
    code, out, err = typed("list")
    assert (code, "good" in out, "torn.json" in err) == (1, True, True)
    value = json.loads(typed("list", "--json")[1])
    assert [entry["name"] for entry in value["schedules"]] == ["good"]
    assert [entry["name"] for entry in value["damaged"]] == ["torn"]
    assert typed("next")[0] == 1
    assert typed("remove", "torn")[0] == 0
    assert typed("list")[0] == 0


def test_the_schedulers_round_submits_what_is_due(
    typed: Typed, settings: Settings, valkey: redis.Redis, file: Path
) -> None:
    """Due an hour ago, by what its file says: the round makes a batch of it, and the list names that batch."""
    typed("add", "hourly", "@hourly", file, "--catch-up", "last", "--local-only")
    before = datetime.now(UTC) - timedelta(hours=1)
    Schedules(settings.schedules_dir).change("hourly", lambda now: now.model_copy(update={"done_until": before}))
    heartbeat.beat(valkey, Heartbeat("scheduler-1@host", "scheduler", "host", 1, 1, 0, 0))
    heartbeat.beat(valkey, Heartbeat("local-1@host", "local", "host", 1, 1, 0, 0))
    rounds = Rounds(settings, valkey, UNSIGNED)
    assert rounds.make() == Round(owing=1, enqueued=0, swept=0, fired=1)
    assert rounds.make().fired == 0
    (batch_id,) = manifest.known(settings.batches_dir)
    _, out, err = typed("list")
    assert (batch_id in out, err) == (True, "")
    assert valkey.llen(Queue.LOCAL.value) == 2
