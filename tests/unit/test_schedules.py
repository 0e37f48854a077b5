from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from evidence import durable
from producer import manifest, marks
from producer.cancel import cancel
from producer.marks import Priority
from producer.schedules import times
from producer.schedules.adding import copied
from producer.schedules.entry import CatchUp, Entry
from producer.schedules.firing import Firing
from producer.schedules.store import Schedules
from replay.corpus import snapshot
from replay.errors import AppendFailed, BrokerUnavailable, ConfigurationError, InputError
from replay.settings import Settings
from replay.topology import Queue
from tests.factories import make_bundle

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class Clock:
    """The time of day, as the test says."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Now."""
        return self.now

    def later(self, **parts: float) -> None:
        """Let time pass."""
        self.now += timedelta(**parts)


@dataclass
class House:
    """A corpus, a broker, a clock, and the part of a scheduler that fires."""

    folder: Path
    settings: Settings
    server: fakeredis.FakeServer
    client: redis.Redis
    clock: Clock

    def firing(self, **options: Any) -> Firing:
        """A scheduler that has just begun."""
        return Firing(self.settings, self.client, now=self.clock, **options)

    def fire(self) -> int:
        """Fire once."""
        return self.firing().fire()

    def add(self, name: str = "hourly", cron: str = "0 * * * *", **fields: Any) -> Entry:
        """Add an entry of two tasks that is due at every full hour."""
        schedules = Schedules(self.settings.schedules_dir)
        file = self.folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"custom_id": f"t{n}", "task": f"Verify {n}."}) + "\n" for n in range(2)))
        with copied(str(file), schedules) as copy:
            entry = Entry(
                name=name,
                cron=cron,
                source=copy.source,
                tasks_sha256=copy.sha256,
                tasks=copy.tasks,
                created_at=START,
                done_until=START,
                **fields,
            )
            schedules.put(entry, copy.path)
        return entry

    def kept(self, name: str = "hourly") -> Entry:
        """The entry as its file has it."""
        return Schedules(self.settings.schedules_dir).get(name)

    def batches(self) -> list[str]:
        """All batches."""
        return manifest.known(self.settings.batches_dir)

    def queued(self) -> int:
        """Messages on the local queue."""
        return int(self.client.llen(Queue.LOCAL.value))

    def crash_before_noting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Fire, and die when what was submitted is to be noted."""

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(Schedules, "change", die)
            with pytest.raises(KeyboardInterrupt):
                self.fire()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Noon of a day, and nothing to be done."""
    settings = Settings(data_dir=tmp_path / "data")
    snapshot.write([hit.record for hit in make_bundle().passages], settings.corpus_dir)
    server = fakeredis.FakeServer()
    with fakeredis.FakeRedis(server=server) as client:
        yield House(tmp_path, settings, server, client, Clock())


def test_it_fires_when_it_is_due_and_not_again(house: House) -> None:
    """Nothing before the hour; at the hour one batch with the entry's options; nothing more until the next hour."""
    house.add(local_only=True, tags=("nightly",), priority=Priority.LOW)
    assert house.fire() == 0
    house.clock.later(hours=1, seconds=10)
    assert [house.fire() for _ in range(3)] == [1, 0, 0]
    (batch_id,) = house.batches()
    last = house.kept().last
    assert last is not None
    assert (last.batch_id, times.written(last.due), last.at) == (batch_id, "2026-11-01T13:00:00Z", house.clock.now)
    (task, _) = manifest.load(house.settings.batches_dir, batch_id).tasks
    assert (task.options.allow_escalation, task.options.reuse, task.tags) == (False, False, ("nightly",))
    assert marks.priority_of(house.settings.batches_dir, batch_id) is Priority.LOW
    assert manifest.header(house.settings.batches_dir, batch_id).source == "schedule hourly"
    assert house.queued() == 2
    house.clock.later(hours=1)
    assert house.fire() == 1
    assert len(house.batches()) == 2


def test_a_crash_between_submitting_and_noting_submits_nothing_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next scheduler fires the same moment again, finds the batch, adds nothing and notes it."""
    house.add()
    house.clock.later(hours=1)
    house.crash_before_noting(monkeypatch)
    assert house.kept().last is None
    assert house.queued() == 2
    house.clock.later(minutes=5)
    assert house.fire() == 1
    (batch_id,) = house.batches()
    last = house.kept().last
    assert last is not None
    assert last.batch_id == batch_id
    assert house.queued() == 2


def test_a_disk_that_says_no_when_it_is_noted_ends_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is submitted and not noted; the next round notes it, and the batch is one."""
    house.add()
    house.clock.later(hours=1)

    def full(*_: object) -> None:
        raise AppendFailed("no room")

    with monkeypatch.context() as patched:
        patched.setattr(durable, "keep", full)
        house.fire()
    assert house.kept().last is None
    house.fire()
    assert house.kept().last is not None
    assert len(house.batches()) == 1
    assert house.queued() == 2


def test_two_schedulers_at_once_make_one_batch(house: House) -> None:
    """Both fire the same moment at the same time: one batch, each task once in the queue, one run noted."""
    house.add()
    house.clock.later(hours=1)
    barrier = threading.Barrier(2)
    fired: list[int] = []

    def fire() -> None:
        with fakeredis.FakeRedis(server=house.server) as own:
            both = Firing(house.settings, own, now=house.clock)
            barrier.wait()
            fired.append(both.fire())

    threads = [threading.Thread(target=fire) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fired) in {1, 2}
    assert len(house.batches()) == 1
    with fakeredis.FakeRedis(server=house.server) as broker:
        assert broker.llen(Queue.LOCAL.value) == 2


CAUGHT_UP = [
    ({"catch_up": CatchUp.SKIP}, 5.25, [], "2026-11-01T17:00:00Z"),
    ({"catch_up": CatchUp.SKIP}, 5.01, ["17"], "2026-11-01T16:00:00Z"),
    ({"catch_up": CatchUp.SKIP, "grace_s": 3600}, 5.25, ["17"], "2026-11-01T16:00:00Z"),
    ({"catch_up": CatchUp.LAST}, 5.9, ["17"], "2026-11-01T16:00:00Z"),
    ({"catch_up": CatchUp.LAST}, 24 * 400 + 1.5, ["13"], None),
    ({"catch_up": CatchUp.ALL}, 5.9, ["13", "14", "15", "16", "17"], ""),
    ({"catch_up": CatchUp.ALL, "catch_up_most": 2}, 5.9, ["16", "17"], "2026-11-01T15:00:00Z"),
]


@pytest.mark.parametrize(("fields", "hours", "ran", "missed"), CAUGHT_UP)
def test_what_was_due_while_nothing_ran(
    house: House, fields: dict[str, Any], hours: float, ran: list[str], missed: str | None
) -> None:
    """By its policy none, the newest or the newest few run, each in a batch; what is left out is noted, and settled."""
    house.add(**fields)
    house.clock.later(hours=hours + 0.01)
    assert house.fire() == len(ran)
    assert len(house.batches()) == len(ran)
    entry = house.kept()
    assert (f"{entry.last.due:%H}" if entry.last else None) == (ran[-1] if ran else None)
    if missed is not None:
        assert (times.written(entry.missed) if entry.missed else "") == missed
    assert house.fire() == 0


def test_jitter_puts_a_run_off(house: House) -> None:
    """It runs when its jitter is over, not before, and is known by the moment at which it was due."""
    entry = house.add("put-off", jitter_s=1800)
    due = START + timedelta(hours=1)
    house.clock.now = entry.runs_at(due) - timedelta(seconds=1)
    assert house.clock.now > due
    assert house.fire() == 0
    house.clock.later(seconds=1)
    assert house.fire() == 1
    last = house.kept("put-off").last
    assert last is not None
    assert last.due == due


def test_what_is_paused_does_not_fire(house: House) -> None:
    """However long it is due."""
    house.add(paused=True, catch_up=CatchUp.ALL)
    house.clock.later(hours=5)
    assert house.fire() == 0
    assert house.batches() == []


def test_a_damaged_entry_is_named_and_the_others_fire(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Half a file, a strange field, a wrong cron expression and another's name are each told once."""
    house.add()
    folder = house.settings.schedules_dir
    whole = json.loads((folder / "hourly.json").read_text())
    (folder / "half.json").write_text(json.dumps(whole)[:50])
    for name, change in (
        ("strange", {"name": "strange", "colour": "red"}),
        ("cron", {"name": "cron", "cron": "61 * * * *"}),
        ("other", {}),
        ("zone", {"name": "zone", "timezone": "Nowhere"}),
    ):
        (folder / f"{name}.json").write_text(json.dumps(whole | change))
    house.clock.later(hours=1)
    firing = house.firing()
    assert [firing.fire() for _ in range(2)] == [1, 0]
    told = [line for line in caplog.messages if "is no schedule" in line or "holds the schedule" in line]
    assert len(told) == 5
    assert all(any(f"{name}.json" in line for line in told) for name in ("half", "strange", "cron", "other", "zone"))
    with pytest.raises(ConfigurationError, match="bad minute"):
        house.kept("cron")


def test_a_removed_file_fires_nothing(house: House) -> None:
    """An entry whose file is gone is none; one whose tasks are gone or changed says so, and stays due."""
    house.add("gone")
    house.add("bare")
    house.add("changed")
    schedules = Schedules(house.settings.schedules_dir)
    house.clock.later(hours=1)
    schedules.remove("gone")
    tasks = schedules.tasks(house.kept("bare").tasks_sha256)
    content = tasks.read_bytes()
    tasks.unlink()
    assert house.fire() == 0
    assert "cannot be read" in str(house.kept("bare").trouble)
    tasks.write_bytes(content.replace(b"Verify", b"Refute"))
    house.fire()
    assert "not those that were added" in str(house.kept("changed").trouble)
    tasks.write_bytes(content)
    assert house.fire() == 2
    assert house.kept("bare").trouble is None


def test_an_entry_that_is_removed_while_it_fires_stays_removed(house: House) -> None:
    """What was submitted is; nothing is noted, and nothing comes back."""
    house.add()
    house.clock.later(hours=1)
    schedules = Schedules(house.settings.schedules_dir)
    signs = iter([None, *[schedules.remove] * 1])

    def alive() -> None:
        if (act := next(signs, None)) is not None:
            act("hourly")

    assert house.firing(alive=alive).fire() == 1
    assert schedules.names() == []
    assert len(house.batches()) == 1


def test_a_batch_that_was_cancelled_is_not_fired_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled before its run was noted: it counts as run, and the next one comes."""
    house.add()
    house.clock.later(hours=1)
    house.crash_before_noting(monkeypatch)
    cancel(manifest.find(house.settings.batches_dir, None), house.settings, house.client)
    assert [house.fire() for _ in range(2)] == [1, 0]
    assert house.kept().trouble is None
    house.clock.later(hours=1)
    assert house.fire() == 1


def test_without_a_corpus_it_stays_due(house: House) -> None:
    """Why it does not run stands in the entry; when there is a corpus it runs."""
    house.add()
    house.clock.later(hours=1)
    away = house.folder / "away"
    house.settings.corpus_dir.rename(away)
    assert house.fire() == 0
    assert "corpus" in str(house.kept().trouble)
    away.rename(house.settings.corpus_dir)
    assert house.fire() == 1


def test_a_broker_that_is_gone_is_told_to_the_scheduler(house: House) -> None:
    """It waits for the broker, as for all else; then the same batch is fired, once."""
    house.add()
    house.clock.later(hours=1)
    house.server.connected = False
    with pytest.raises((BrokerUnavailable, redis.exceptions.ConnectionError)):
        house.fire()
    assert house.kept().last is None
    house.server.connected = True
    assert house.fire() == 1
    assert len(house.batches()) == 1
    assert house.queued() == 2


def test_a_file_with_a_bad_line_is_not_taken(house: House) -> None:
    """Nobody is there to read what was refused when it runs, so it is refused whole, and leaves nothing."""
    file = house.folder / "bad.jsonl"
    file.write_text('{"task": "Verify."}\n{"task": " "}\n')
    schedules = Schedules(house.settings.schedules_dir)
    with pytest.raises(InputError, match="line 2: field task"), copied(str(file), schedules):
        pass
    for name in ("none.jsonl", str(house.folder)):
        with pytest.raises(InputError), copied(str(house.folder / name), schedules):
            pass
    assert list(schedules.tasks_folder.iterdir()) == []


def test_removing_takes_the_tasks_that_no_other_has(house: House) -> None:
    """Two entries share a copy: it goes with the second one."""
    entry = house.add("one")
    house.add("two")
    schedules = Schedules(house.settings.schedules_dir)
    schedules.remove("one")
    assert schedules.tasks(entry.tasks_sha256).is_file()
    schedules.remove("two")
    assert not schedules.tasks(entry.tasks_sha256).exists()
    with pytest.raises(InputError, match="no schedule two"):
        schedules.remove("two")
    with pytest.raises(InputError, match="no name"):
        schedules.remove("../batches/x")
