"""What open pages are told, how fast things move, how fresh the read model is, and what is said to be wrong."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import heartbeat, lanes, meters, overview, queues
from broker.heartbeat import Heartbeat
from broker.lanes import LaneState, LaneStatus
from broker.limits.snapshot import LaneSnapshot
from broker.meters import Meters
from broker.overview import Overview
from broker.queues import Depths
from dashboard import watch
from dashboard.alerts import Alert, alerts
from dashboard.desk import Desk
from dashboard.follower import Follower
from dashboard.live import Live
from dashboard.system import system
from dashboard.watch import Look, Pace, Watch
from evidence.views import period, runs
from evidence.views.follow import Progress, catch_up
from evidence.views.period import Series, Sum
from evidence.views.schema import reading, views_path
from replay.contracts import State, Tier
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue
from tests.batches import make_run, record
from tests.factories import make_task
from tests.web import Browser, dashboard

DONE = Progress(10, 100, 100)


async def told(events: AsyncIterator[bytes], count: int) -> list[Any]:
    """So many events' data."""
    found: list[Any] = []
    async for piece in events:
        if piece.startswith(b"event:"):
            found.append(json.loads(piece.partition(b"data: ")[2]))
        if len(found) == count:
            break
    await events.aclose()  # type: ignore[attr-defined]  # an async generator
    return found


# --- the stream ------------------------------------------------------------------------------------------------------


def test_many_pages_cost_one_look() -> None:
    """Twenty pages of one topic get the same looks, each taken once."""
    taken: list[int] = []

    def look() -> dict[str, int]:
        taken.append(1)
        return {"number": len(taken)}

    async def watch_all() -> list[list[Any]]:
        live = Live(interval_s=0.01)
        live.topic("numbers", look)
        return await asyncio.gather(*(told(live.events(("numbers",)), 3) for _ in range(20)))

    pages = asyncio.run(watch_all())
    assert all(page == pages[0] for page in pages)
    assert [one["number"] for one in pages[0]] == [1, 2, 3]
    assert len(taken) < 10


def test_nobody_looks_while_nobody_watches() -> None:
    """The poller rests when the last page has gone, and begins again with the next one."""

    async def come_and_go() -> tuple[int, int, int]:
        live = Live(interval_s=0.01)
        count = iter(range(1000))
        live.topic("numbers", lambda: {"number": next(count)})
        await told(live.events(("numbers",)), 2)
        assert live._poller is not None
        await live._poller
        rested = live.looks
        await asyncio.sleep(0.05)
        still = live.looks
        await told(live.events(("numbers",)), 1)
        return rested, still, live.looks

    rested, still, again = asyncio.run(come_and_go())
    assert rested == still < again


def test_what_did_not_change_is_not_sent_again() -> None:
    """A page is told a look that differs from the one before, and no other."""

    async def follow() -> list[Any]:
        live = Live(interval_s=0.005)
        looks = iter([1, 1, 1, 2, 2, 3, *[3] * 1000])
        live.topic("numbers", lambda: {"number": next(looks)})
        return await told(live.events(("numbers",)), 3)

    assert [one["number"] for one in asyncio.run(follow())] == [1, 2, 3]


def test_a_look_that_fails_leaves_the_others() -> None:
    """One topic's error is logged, and the others go on."""

    def fails() -> None:
        raise ValueError("broken")

    async def follow() -> list[Any]:
        live = Live(interval_s=0.005)
        live.topic("bad", fails)
        live.topic("good", lambda: {"fine": True})
        return await told(live.events(("bad", "good")), 1)

    assert asyncio.run(follow()) == [{"fine": True}]


def test_streams_end_when_the_server_ends() -> None:
    """A server that is told to stop does not wait for people to close their pages."""

    async def follow() -> list[bytes]:
        live = Live(interval_s=0.005)
        live.topic("numbers", lambda: {"number": 1})
        pieces = []
        async for piece in live.events(("numbers",)):
            pieces.append(piece)
            live.ending = lambda: True
        return pieces

    assert asyncio.run(asyncio.wait_for(follow(), 10)) == [b"retry: 2000\n\n"]


def test_an_unknown_topic_is_refused(tmp_path: Path) -> None:
    """With the names of those that there are."""
    someone = Browser(dashboard(Settings(data_dir=tmp_path / "data")))
    answer = someone.get("/live?topic=nonsense")
    assert answer.status_code == 400
    assert "overview:1h" in answer.text


# --- the read model --------------------------------------------------------------------------------------------------


def test_the_follower_is_fresh_when_asked(tmp_path: Path) -> None:
    """What was appended before the question is there after it."""
    settings = Settings(data_dir=tmp_path / "data")
    follower = Follower(settings.evidence_log)
    follower.start()
    try:
        record(settings, make_run(make_task()))
        assert follower.fresh(wait_s=20).seq == 1
        record(settings, make_run(make_task(custom_id="two")))
        assert follower.fresh(wait_s=20).seq == 2
    finally:
        follower.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "views"]


def test_a_damaged_log_is_said_and_costs_no_page(tmp_path: Path) -> None:
    """The views stand still, the strip says why, and what was read before is still shown."""
    settings = Settings(data_dir=tmp_path / "data")
    record(settings, make_run(make_task(custom_id="before")))
    catch_up(settings.evidence_log)
    with settings.evidence_log.open("ab") as log:
        log.write(b'{"not": "a line"}\n')
    page = Browser(dashboard(settings)).get("/runs")
    assert page.status_code == 200
    assert "is damaged" in page.text
    assert "before" in page.text


def test_views_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    """A folder that refuses, or a disk that is full, stops the views and no page."""
    settings = Settings(data_dir=tmp_path / "data")
    record(settings, make_run(make_task()))
    views_path(settings.evidence_log).with_suffix(".lock").mkdir()
    page = Browser(dashboard(settings)).get("/runs")
    assert page.status_code == 200
    assert "cannot be written" in page.text


def test_views_that_are_damaged_are_made_again(tmp_path: Path) -> None:
    """A page may say so in words once; the next one has them again."""
    settings = Settings(data_dir=tmp_path / "data")
    record(settings, make_run(make_task(custom_id="mine")))
    app = dashboard(settings)
    assert "mine" in Browser(app).get("/runs").text
    path = views_path(settings.evidence_log)
    damaged = bytearray(path.read_bytes())
    damaged[100:] = b"x" * (len(damaged) - 100)
    path.write_bytes(damaged)
    record(settings, make_run(make_task(custom_id="other")))
    first = Browser(app).get("/runs")
    assert first.status_code in {200, 503}
    assert {"mine", "other"} <= set(re.findall(r"\b(mine|other)\b", Browser(app).get("/runs").text))


# --- how fast --------------------------------------------------------------------------------------------------------


def test_rates_come_from_two_looks(
    broker_settings: Settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What workers took is counted by them; what came is that and what the queue grew by."""
    monkeypatch.setattr(watch, "_FRESH_S", 0.0)
    moments = iter([1000.0, 1010.0])
    monkeypatch.setattr(queues, "server_time", lambda _client: next(moments))
    monkeypatch.setattr(queues, "depths", depths_of)
    seen = Watch(broker_settings, lambda question: question(valkey))
    valkey.lpush(Queue.LOCAL.value, *[b"{}"] * 10)
    seen.look()
    assert seen.paces()[Queue.LOCAL.value] == Pace()
    counted = Meters()
    for _ in range(40):
        counted.observe(meters.WAITED, 0.1, Queue.LOCAL.value)
    counted.flush(valkey)
    valkey.lpush(Queue.LOCAL.value, *[b"{}"] * 10)
    seen.look()
    pace = seen.paces()[Queue.LOCAL.value]
    assert (pace.taken, pace.came) == (4.0, 5.0)
    assert pace.grows
    assert pace.eta_s(20) is None


def depths_of(client: redis.Redis) -> Any:
    """Only the local queue."""
    waiting = client.llen(Queue.LOCAL.value)
    return Depths({Queue.LOCAL.value: waiting, Queue.ESCALATION.value: 0}, {}, {}, 0, 0)


def test_an_eta_is_what_is_left_by_how_fast_it_drains() -> None:
    """Not where it does not drain, and not where nobody knows."""
    assert Pace(able=2.0, lately=0.0).eta_s(60) == 30
    assert Pace(able=2.0, lately=1.0).eta_s(60) == 60
    assert Pace(able=1.0, lately=1.0).eta_s(60) is None
    assert Pace().eta_s(60) is None
    assert Pace(able=2.0, lately=0.0).eta_s(0) is None


def test_a_batch_that_came_at_once_is_no_stream(
    broker_settings: Settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After half a minute of rest forty tasks come, and one is taken each second: the rest takes as many seconds."""
    monkeypatch.setattr(watch, "_FRESH_S", 0.0)
    now, waiting, taken = 1000.0, 0, 0
    monkeypatch.setattr(queues, "server_time", lambda _client: now)
    monkeypatch.setattr(queues, "depths", depths_of)
    seen = Watch(broker_settings, lambda question: question(valkey))
    for second in range(50):
        now += 1.0
        if second == 30:
            valkey.lpush(Queue.LOCAL.value, *[b"{}"] * 40)
            waiting += 40
        elif second > 30:
            valkey.rpop(Queue.LOCAL.value)
            waiting, taken = waiting - 1, taken + 1
            counted = Meters()
            counted.observe(meters.WAITED, 0.1, Queue.LOCAL.value)
            counted.flush(valkey)
        seen.look()
    assert (waiting, taken) == (21, 19)
    eta = seen.paces()[Queue.LOCAL.value].eta_s(waiting)
    assert eta is not None
    assert 20 < eta < 24


def test_a_look_is_shared_within_a_moment(broker_settings: Settings, valkey: redis.Redis) -> None:
    """Pages that come together cost the broker one look."""
    asked = []

    def ask(question: Any) -> Any:
        asked.append(1)
        return question(valkey)

    seen = Watch(broker_settings, ask)
    assert seen.look() is seen.look()
    assert len(asked) == 1


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(broker_settings: Settings, valkey: redis.Redis) -> Overview:
    """A broker with a worker of each kind and nothing to do."""
    for role in ("local", "escalation", "writer", "scheduler"):
        heartbeat.beat(valkey, Heartbeat(f"{role}@here", role, "here", 1, 2, 0, 0))
    return overview.look(valkey, broker_settings)


def said(seen: Overview | None, **given: Any) -> list[Alert]:
    """What is said of a look."""
    look = Look(seen, given.pop("broker", None))
    return list(alerts(look, given.get("progress", DONE), given.get("problem"), given.get("hour")))


def with_lane(seen: Overview, state: LaneState, **fields: Any) -> Overview:
    """The same with the local lane in this state."""
    status = LaneStatus("local", state, **fields)
    changed: tuple[LaneSnapshot, ...] = tuple(
        replace(lane, status=status) if lane.status.lane == "local" else lane for lane in seen.lanes
    )
    return replace(seen, lanes=changed)


def waiting(seen: Overview, count: int) -> Overview:
    """The same with tasks on the local queue."""
    return replace(seen, depths=replace(seen.depths, waiting=seen.depths.waiting | {Queue.LOCAL.value: count}))


def test_nothing_is_said_where_nothing_is_wrong(seen: Overview) -> None:
    """The strip is empty."""
    assert said(seen) == []
    assert said(waiting(seen, 500)) == []


def test_a_missing_worker_is_said_only_where_work_waits(seen: Overview) -> None:
    """With the command that starts one."""
    alone = replace(seen, workers=tuple(worker for worker in seen.workers if worker.role != "local"))
    assert said(alone) == []
    (alert,) = said(waiting(alone, 2))
    assert alert.level == "bad"
    assert "2 tasks wait" in alert.what
    assert "replay worker local" in alert.do


@pytest.mark.parametrize(
    ("state", "fields", "level", "words"),
    [
        (LaneState.PAUSED, {"reason": "lunch"}, "warn", "paused (lunch)"),
        (LaneState.PAUSED, {"reason": "429", "seconds": 90.0}, "warn", "tried again in 1 min 30 s"),
        (LaneState.BREAKER, {"reason": "refused", "seconds": 12.0}, "bad", "does not answer (refused)"),
        (LaneState.QUOTA, {"seconds": 900.0}, "bad", "used up"),
        (LaneState.BUDGET, {"reason": "5 of 5 calls today"}, "warn", "out of budget (5 of 5 calls today)"),
    ],
)
def test_a_lane_that_stands_is_said(
    seen: Overview, state: LaneState, fields: dict[str, Any], level: str, words: str
) -> None:
    """Each way of standing still, in words, with what to do."""
    (alert,) = said(with_lane(seen, state, **fields))
    assert alert.level == level
    assert words in alert.what
    assert alert.do


@pytest.mark.parametrize("state", [LaneState.OPEN, LaneState.FULL, LaneState.LIMITED])
def test_a_lane_that_works_as_it_may_is_not_said(seen: Overview, state: LaneState) -> None:
    """A limit that is used is no trouble."""
    assert said(with_lane(seen, state, reason="2 of 2")) == []


def test_evidence_that_nobody_writes(seen: Overview) -> None:
    """Without a writer at once, with one when it is behind."""
    stuck = replace(seen, depths=replace(seen.depths, evidence=7))
    assert said(stuck) == []
    without = replace(stuck, workers=tuple(worker for worker in seen.workers if worker.role != "writer"))
    assert [alert.level for alert in said(without)] == ["bad"]
    behind = replace(stuck, depths=replace(stuck.depths, evidence_lag_s=120.0))
    assert "2 min behind" in said(behind)[0].what


def test_the_worst_comes_first(seen: Overview) -> None:
    """Dead letters warn; a broker that is gone, and failing runs, are worse."""
    dead = replace(seen, depths=replace(seen.depths, dead=1))
    hour = Series((0,), 60, {"local": (Sum(attempts=40, failed=20, accepted=20),)})
    found = said(dead, hour=hour)
    assert [alert.level for alert in found] == ["bad", "warn"]
    assert "50 % of the last hour's runs failed" in found[0].what
    assert found[1].path == "/dead"
    (gone,) = said(None, broker=BrokerUnavailable("it is away", hint="start it"))
    assert (gone.what, gone.do) == ("It is away.", "Start it.")


def test_a_gate_that_rejects_everything_is_said(seen: Overview) -> None:
    """Not after a handful of answers."""
    hour = Series((0,), 60, {"local": (Sum(attempts=100, escalated=97, accepted=3),)})
    assert "97 % of the local answers" in said(seen, hour=hour)[0].what
    assert said(seen, hour=Series((0,), 60, {"local": (Sum(attempts=5, escalated=5),)})) == []


def test_views_that_are_being_made_are_said(seen: Overview) -> None:
    """How far they are."""
    (alert,) = said(seen, progress=Progress(5, 40, 100))
    assert alert.level == "info"
    assert "40 %" in alert.what


def test_the_system_tells_who_works(broker_settings: Settings, valkey: redis.Redis, seen: Overview) -> None:
    """Slots of a lane are those of its workers, and the writer is named."""
    found = system(seen, Watch(broker_settings, lambda question: question(valkey)))
    assert [lane.slots for lane in found.lanes] == [2, 2]
    assert found.evidence.writer == "writer@here"
    assert found.left == 0
    assert all(worker.rss > 0 for worker in found.workers)


def test_pushed_fragments_are_those_of_the_page(broker_settings: Settings, valkey: redis.Redis) -> None:
    """The overview's topic has the fragments that its page has places for, and its charts."""
    valkey.xadd(EVIDENCE_STREAM, {"record": b"{}"})
    lanes.pause(valkey, "local", "</p><script>")
    app = dashboard(broker_settings)
    desk = next(cell for cell in _desks(app))
    news = desk.live._makers["overview:1h"]()
    page = Browser(app).get("/").text
    assert set(news["html"]) == {"now", "lately"}
    assert all(f'data-live="{name}"' in page for name in news["html"])
    assert all(f'data-chart="{name}"' in page for name in news["charts"] or ("throughput",))
    assert "<script>" not in news["html"]["now"]
    assert "&lt;script&gt;" in desk.live._makers["status"]()["html"]["alerts"]


def _desks(app: Any) -> list[Desk]:
    stream = next(route for route in app.routes if route.path == "/live").endpoint
    return [cell.cell_contents for cell in stream.__closure__ if isinstance(cell.cell_contents, Desk)]


def test_new_evidence_is_pushed_within_two_seconds(tmp_path: Path) -> None:
    """From the append to the event that tells of it."""
    settings = Settings(data_dir=tmp_path / "data")
    desk = _desks(dashboard(settings))[0]

    async def follow() -> int:
        events = desk.live.events(("status",))
        async for piece in events:
            if piece.startswith(b"event:"):
                seq = int(json.loads(piece.partition(b"data: ")[2])["seq"])
                if seq:
                    await events.aclose()
                    return seq
                await asyncio.to_thread(record, settings, make_run(make_task()))
        return 0

    assert asyncio.run(asyncio.wait_for(follow(), 20)) == 1


def test_the_last_hour_is_what_the_strip_is_told_of(tmp_path: Path) -> None:
    """Runs that failed just now are said above every page."""
    settings = Settings(data_dir=tmp_path / "data")
    record(settings, *(make_run(make_task(custom_id=f"t{n}"), State.FAILED, None, reason="x") for n in range(30)))
    assert "100 % of the last hour&#39;s runs failed" in Browser(dashboard(settings)).get("/gate").text
    with reading(settings.evidence_log) as db:
        assert db is not None
        assert runs.totals(db)["failed"] == 30
        assert period.series(db, 0, 60, 60).whole(Tier.LOCAL).attempts == 0
