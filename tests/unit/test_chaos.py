"""The parts of the chaos suite: above all, that its proof finds what is wrong."""

from __future__ import annotations

import ast
import dataclasses
import json
import random
import time
from datetime import UTC, datetime
from pathlib import Path

import fakeredis
import pytest

from broker.claims import claim_key, consumers_key, index_key, unacked_key
from broker.envelope import publish
from chaos import checks, holdings, plan, recovery, report
from chaos.checks import RUN, Line, balance, chain_faults
from chaos.clock import JUMP_S, Clock
from chaos.journal import Journal
from chaos.options import Options
from chaos.plan import Kind
from chaos.recovery import Orphan, Seen, Times, Watch
from chaos.story import Outcome
from chaos.tearing import tear
from evidence.checkpoints import checkpoints_path
from evidence.reader import EvidenceReader
from evidence.verify import verify
from producer import manifest
from producer.manifest import Batch
from replay.contracts import State, Tier
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue, TaskName
from tests.batches import make_lines, make_run, record
from tests.factories import make_task
from tests.processes import ROOT, wait_for

AT = "2026-01-01T00:00:00.000+00:00"


def _ends(*states: State) -> list[Line]:
    return [Line(checks.RUN, f"run_{number}", state) for number, state in enumerate(states)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An empty data directory."""
    return Settings(data_dir=tmp_path)


@pytest.fixture
def batch(settings: Settings) -> Batch:
    """Three runs, all of which have ended in a real log; the first one was escalated."""
    batch = manifest.plan(make_lines(3), source="test", corpus_version=None, created_at=AT)
    first = batch.tasks[0]
    record(settings, make_run(first, State.ESCALATED), make_run(first, State.ACCEPTED, Tier.ESCALATION))
    record(settings, *(make_run(task, State.REJECTED) for task in batch.tasks[1:]))
    return batch


def _balance(settings: Settings, batch: Batch) -> checks.Ledger:
    return balance([task.run_id for task in batch.tasks], checks.lines(EvidenceReader(settings.evidence_log)))


def _chain_faults(settings: Settings) -> list[str]:
    """As `replay evidence verify --json` reports it."""
    found = verify(settings.evidence_log)
    wire = dataclasses.asdict(found) | {"ok": found.ok}
    return chain_faults(0 if found.ok else 4, json.dumps(wire))


def test_an_even_account_has_no_fault(settings: Settings, batch: Batch) -> None:
    """Each run of the manifest has one end in a log that holds; an escalated attempt is no end."""
    ledger = _balance(settings, batch)
    assert ledger.faults() == []
    assert ledger.states == {"accepted": 1, "rejected": 2}
    assert _chain_faults(settings) == []


def test_a_lost_run_is_found(settings: Settings, batch: Batch) -> None:
    """A run of the manifest without an end, also where it was escalated."""
    more = manifest.plan(make_lines(4), source="test", corpus_version=None, created_at=AT)
    record(settings, make_run(more.tasks[3], State.ESCALATED))
    accepted = [task.run_id for task in (*batch.tasks, more.tasks[3])]
    ledger = balance(accepted, checks.lines(EvidenceReader(settings.evidence_log)))
    assert ledger.lost == (more.tasks[3].run_id,)
    assert "1 runs are lost" in ledger.faults()[0]


def test_a_doubled_run_is_found(settings: Settings, batch: Batch) -> None:
    """A line that stands twice in the log, as no writer of ours would write it: by the account and by the chain."""
    log = settings.evidence_log
    last = log.read_bytes().splitlines(keepends=True)[-1]
    with log.open("ab") as file:
        file.write(last)
    assert _balance(settings, batch).doubled == (batch.tasks[2].run_id,)
    assert "does not verify" in _chain_faults(settings)[0]


def test_a_torn_log_is_found(settings: Settings, batch: Batch) -> None:
    """A log that was cut in its last line: its run is lost, and the chain does not verify."""
    log = settings.evidence_log
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 10)
    assert _balance(settings, batch).lost == (batch.tasks[2].run_id,)
    assert "does not verify" in _chain_faults(settings)[0]


def test_what_a_checkpoint_promises_is_never_cut(settings: Settings, batch: Batch) -> None:
    """Tearing cuts a last line only behind the last checkpoint; what it appends is always an incomplete line."""
    log = settings.evidence_log
    whole, notes = log.read_bytes(), checkpoints_path(log)
    assert len(batch.tasks) == 3
    rng = random.Random(1)  # noqa: S311  dice, no secret
    for promised in (True, False):
        said = []
        for _ in range(20):
            log.write_bytes(whole)
            if not promised:
                notes.unlink(missing_ok=True)
            said.append(str(tear(log, rng)))
            assert not log.read_bytes().endswith(b"\n")
            assert log.read_bytes().startswith(whole) == ("appended" in said[-1])
        assert any("cut" in each for each in said) != promised
    assert tear(log, rng) is None


def test_a_changed_byte_is_found(settings: Settings, batch: Batch) -> None:
    """Evidence that was altered: each run has its end still, and the chain says it."""
    log = settings.evidence_log
    log.write_bytes(log.read_bytes().replace(b'"state":"rejected"', b'"state":"accepted"', 1))
    assert _balance(settings, batch).faults() == []
    assert "does not verify" in _chain_faults(settings)[0]


def test_a_run_that_nobody_accepted_is_found(settings: Settings, batch: Batch) -> None:
    """Evidence of a run of no manifest."""
    record(settings, make_run(make_task(custom_id="stranger")))
    assert len(_balance(settings, batch).foreign) == 1


def test_conflicts_are_counted_and_are_no_second_end() -> None:
    """An attempt that was made twice leaves one end and one conflict; failures are told by their reason."""
    log = [
        *_ends(State.ACCEPTED, State.FAILED),
        Line(checks.CONFLICT, "run_0", kind="same_id"),
        Line("replay_writer.v1"),
    ]
    log[1] = dataclasses.replace(log[1], reason="poison: started 3 times")
    ledger = balance(["run_0", "run_1"], log)
    assert ledger.faults() == []
    assert ledger.conflicts == {"same_id": 1}
    assert ledger.failures == {"poison": 1}
    assert ledger.others == {"replay_writer.v1": 1}


def test_a_command_that_gives_no_report_is_a_fault() -> None:
    """`verify` that crashed has not verified; neither has one whose report and exit code contradict each other."""
    assert "no report" in chain_faults(1, "Traceback …")[0]
    assert chain_faults(4, '{"ok": true}')
    assert chain_faults(0, '{"ok": true}') == []


def test_whatever_names_a_run_in_the_broker_is_found() -> None:
    """On a queue, in a claim, in flight or on the stream, under whatever key; dead letters do not count."""
    client = fakeredis.FakeRedis()
    runs = [make_task(custom_id=str(number)).run_id for number in range(5)]
    for run in runs[:3]:
        publish(client, Queue.LOCAL, [(TaskName.AUDIT_LOCAL, f"{run}:local", {})])
    client.lmove(Queue.LOCAL, claim_key(Queue.LOCAL, "someone"), "RIGHT", "LEFT")
    client.hset("unacked", "tag", client.rpop(Queue.LOCAL))  # type: ignore[arg-type]  # fakeredis: bytes, as asked
    client.zadd("unacked_index", {"tag": 1.0})
    client.xadd(EVIDENCE_STREAM, {"record": json.dumps({"run_id": runs[3]})})
    client.lpush(Queue.DEAD, json.dumps({"run_id": runs[4]}))
    held = holdings.held(client)
    assert held == {
        "replay.local": {runs[2]},
        "replay.local.claim.someone": {runs[0]},
        "unacked": {runs[1]},
        "replay.evidence": {runs[3]},
    }
    faults = checks.broker_faults(held, holdings.leases(client))
    assert len(faults) == 5
    assert faults[-1] == "1 leases are still held in unacked_index"


def test_what_a_dead_worker_held_is_told_from_what_the_living_hold() -> None:
    """Of two runs in flight at a kill, the one whose lease is not renewed any more was the dead worker's."""
    client = fakeredis.FakeRedis()
    watch = Watch(client)
    tasks = [make_task(custom_id=str(number)) for number in range(2)]
    for task in tasks:
        publish(client, Queue.LOCAL, [(TaskName.AUDIT_LOCAL, f"{task.run_id}:local", task.wire())])
        item = client.rpop(Queue.LOCAL)
        client.hset(unacked_key(Queue.LOCAL), task.custom_id, item)  # type: ignore[arg-type]  # bytes, as asked
        client.zadd(index_key(Queue.LOCAL), {task.custom_id: 1.0})
    scene = watch.scene(Tier.LOCAL)
    client.zadd(index_key(Queue.LOCAL), {"1": scene.killed_at + 1})
    watch.confirm(scene)
    assert watch.seen.orphans == [Orphan(tasks[0].run_id, Tier.LOCAL, scene.killed_at)]


def test_recovery_is_timed_to_the_same_attempt_elsewhere() -> None:
    """Neither an attempt before the kill nor one of the other tier counts; a lane without anybody is told."""

    def made(tier: str, second: int) -> Line:
        return Line(checks.RUN, "run_1", "accepted", tier, recorded_at=f"1970-01-01T00:01:{second:02}+00:00")

    seen = Seen(orphans=[Orphan("run_1", Tier.LOCAL, 70.0), Orphan("run_2", Tier.LOCAL, 70.0)])
    log = [made("local", 5), made("escalation", 12), made("local", 18), made("local", 40)]
    assert recovery.times(seen, log) == Times([8.0], [])
    log[2] = dataclasses.replace(log[2], took_s=2.0)
    assert recovery.times(seen, log) == Times([6.0], [])
    seen.outages[Tier.LOCAL] += [(60.0, 70.3), (75.9, 90.0)]
    assert recovery.times(seen, log) == Times([6.0], [])
    seen.outages[Tier.LOCAL] += [(73.0, 74.0)]
    assert recovery.times(seen, log) == Times([], [6.0])
    seen.wiped_at.append(75.0)
    assert recovery.times(seen, log) == Times()


def test_a_lane_without_a_consuming_worker_is_an_outage() -> None:
    """A process that runs and does not consume yet is nobody; neither is one that consumed and is dead or frozen."""
    client = fakeredis.FakeRedis()
    client.zadd(consumers_key(Queue.LOCAL), {"host:1:abc": 1.0, "host:2:abc": 1.0})
    watch = Watch(client)
    for running in ({2}, {3}):
        wait_for(lambda: time.time() - watch.sampled_at > 0.25, "the next sample to be due")
        watch.sample({Tier.LOCAL: running, Tier.ESCALATION: set()})
        assert len(watch.seen.outages[Tier.LOCAL]) == (running == {3})
    assert len(watch.seen.outages[Tier.ESCALATION]) == 2


@pytest.mark.parametrize(("count", "expected"), [(0, None), (1, 1.0), (20, 19.0), (100, 95.0)])
def test_p95(count: int, expected: float | None) -> None:
    """The smallest value that 95 of 100 do not exceed."""
    assert recovery.p95([float(number) for number in range(count, 0, -1)]) == expected


def test_a_seed_draws_one_plan() -> None:
    """The same seed the same faults, another seed others; each kind once before one comes twice."""
    planned = plan.draw(7, frozenset(Kind), duration_s=200, every_s=2)
    assert planned == plan.draw(7, frozenset(Kind), duration_s=200, every_s=2)
    assert planned != plan.draw(8, frozenset(Kind), duration_s=200, every_s=2)
    assert {fault.kind for fault in planned[: len(Kind)]} == set(Kind)
    assert all(0 < fault.at_s <= 200 for fault in planned)
    assert plan.draw(7, frozenset(), duration_s=200, every_s=2) == ()


def test_faults_are_chosen_by_name_or_beginning() -> None:
    """`freeze` names every freeze; what names nothing is refused."""
    assert plan.chosen(["kill-child"]) == {Kind.KILL_CHILD}
    assert plan.chosen(["freeze-kill", "wipe"]) == {
        *(kind for kind in Kind if kind.startswith("freeze-kill-")),
        Kind.WIPE_BROKER,
    }
    with pytest.raises(ValueError, match="no fault 'kil'"):
        plan.chosen(["kil"])


def test_a_count_of_losses_leaves_out_what_loses_by_design() -> None:
    """Wiping the broker says nothing about a transport."""
    assert Kind.WIPE_BROKER in Options(seed=1).drawn
    assert Kind.WIPE_BROKER not in Options(seed=1, transport="stock").drawn
    assert Kind.WIPE_BROKER not in Options(seed=1, reconciler=False).drawn


def test_the_report_says_what_went_wrong(tmp_path: Path) -> None:
    """A run with a lost task is shown as failed, in the table, in the numbers and with its journal."""
    journal = Journal(tmp_path / "journal.txt", echo=False)
    journal.fault("kill-local", "local-0, process 1")
    ledger = balance(["run_0", "run_1"], _ends(State.ACCEPTED))
    outcome = Outcome(
        options=Options(seed=7),
        problems=tuple(ledger.faults()),
        faults=dict(journal.faults),
        ledger=ledger,
        unaccounted=None,
        recoveries=Times([1.0, 2.0]),
        orphans=3,
        bound_s=65.0,
        has_scheduler=True,
        seconds=12.0,
        folder=tmp_path,
    )
    value = report.value(outcome)
    assert value["passed"] is False
    assert value["metrics"]["chaos.lost"] == 1
    assert value["metrics"]["recovery.p95_s"] == 2.0
    assert value["faults"] == {"kill-local": 1}
    assert "| FAILED |" in report.table([outcome])
    told = report.failure(outcome, journal.tail(5))
    assert "seed 7" in told
    assert "run_1" in told
    assert "kill-local: local-0, process 1" in told
    assert str(tmp_path) in told


def test_a_clock_is_a_file_that_is_always_whole(tmp_path: Path) -> None:
    """It begins right, is set off by whole seconds with their sign, and is named to the process by its environment."""
    wall = Clock(tmp_path / "writer.clock")
    assert (tmp_path / "writer.clock").read_text() == "+0\n"
    for seconds, text in ((JUMP_S, "+3600\n"), (-JUMP_S, "-3600\n"), (0, "+0\n")):
        wall.set_off(seconds)
        assert (tmp_path / "writer.clock").read_text() == text
    named = wall.environment(tmp_path / "lib.so")
    assert named["FAKETIME_TIMESTAMP_FILE"] == str(tmp_path / "writer.clock")
    # What leases go by on the side of a process must not jump with it.
    assert named["FAKETIME_DONT_FAKE_MONOTONIC"] == "1"


def test_a_recovery_by_a_worker_with_another_time_of_day_is_not_timed() -> None:
    """An hour before or after tells of the clock, not of the recovery."""
    seen = Seen(orphans=[Orphan("run_1", Tier.LOCAL, 10_000.0)])
    for off_s in (-3600, 3600):
        at = datetime.fromtimestamp(10_050.0 + off_s, UTC).isoformat()
        line = Line(RUN, "run_1", State.ACCEPTED, "local", recorded_at=at)
        assert recovery.times(seen, [line]) == Times()


LEASES = (
    "broker/claims.py",
    "broker/hand_back.py",
    "broker/lanes.py",
    "broker/breaker.py",
    "broker/starts.py",
    "broker/singleton.py",
    "broker/writer_lease.py",
    "broker/evidence_stream.py",
    "workers/lease.py",
    "workers/takeover.py",
    "workers/writer.py",
    "producer/scheduler.py",
    "producer/reconcile.py",
)


@pytest.mark.parametrize("module", LEASES)
def test_no_lease_goes_by_a_wall_clock(module: str) -> None:
    """What decides about leases asks the server for the time, or a clock of its own that only rises."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    # `datetime.now` and `time_ns` are for what is written down: records and spans; nothing here compares them.
    assert "time.time" not in {ast.unparse(call) for call in calls}
