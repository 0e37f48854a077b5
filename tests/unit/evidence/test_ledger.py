"""What the index says of a whole batch, with and without the index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evidence.index import index_path
from evidence.ledger import BatchLedger, Tokens, measured
from evidence.reader import EvidenceReader
from producer import manifest
from producer.manifest import Batch
from replay.contracts import State, Tier
from replay.settings import Settings
from tests.batches import by_name, make_lines, make_run, record


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data directory of their own."""
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def batch(settings: Settings) -> Batch:
    """Six tasks: accepted by either model, escalated, failed after an escalation, rejected, one without evidence."""
    batch = manifest.plan(make_lines(6), source="", corpus_version=None, created_at="2026-01-01")
    tasks = by_name(batch)
    record(
        settings,
        make_run(tasks["t0"]),
        make_run(tasks["t1"], State.ESCALATED, rules=["literals"]),
        make_run(tasks["t2"], State.ESCALATED, rules=["coverage"]),
        make_run(tasks["t1"], State.ACCEPTED, Tier.ESCALATION, seconds=3),
        make_run(tasks["t3"], State.ESCALATED),
        make_run(tasks["t3"], State.FAILED, None, reason="gone"),
        make_run(tasks["t4"], State.REJECTED, rules=["literals"]),
    )
    return batch


@pytest.fixture(params=["index", "log"])
def ledger(request: pytest.FixtureRequest, settings: Settings, batch: Batch) -> BatchLedger:
    """Questions to the index, or to the log where there is none."""
    if request.param == "log":
        index_path(settings.evidence_log).unlink()
    return BatchLedger(EvidenceReader(settings.evidence_log), batch.batch_id)


def test_each_run_is_counted_once(ledger: BatchLedger) -> None:
    """Ends by state and tier; an escalation that has ended, with an attempt or without, is none any more."""
    tally = ledger.tally()
    assert dict(tally.ended) == {
        (State.ACCEPTED, Tier.LOCAL): 1,
        (State.ACCEPTED, Tier.ESCALATION): 1,
        (State.FAILED, ""): 1,
        (State.REJECTED, Tier.LOCAL): 1,
    }
    assert (tally.escalated, tally.done, tally.in_state(State.ACCEPTED)) == (1, 4, 2)
    assert tally.tokens == {
        "local": Tokens(5, 500, 50, 200, 5.0),
        "escalation": Tokens(1, 100, 10, 40, 3.0),
    }
    assert tally.all_tokens().attempts == 6


def test_standing_names_the_runs(ledger: BatchLedger, batch: Batch) -> None:
    """Those that have ended, and those that go on with the large model."""
    tasks = by_name(batch)
    standing = ledger.standing()
    assert standing.ended == {tasks[name].run_id for name in ("t0", "t1", "t3", "t4")}
    assert [standing.is_open_escalation(tasks[name].run_id) for name in ("t1", "t2", "t5")] == [False, True, False]


def test_reasons_and_seconds_and_models(ledger: BatchLedger, batch: Batch) -> None:
    """Rejected attempts, the newest first; seconds of ended runs over all their attempts; tokens by model."""
    tasks = by_name(batch)
    rejected = [row.run_id for row in ledger.rejections(None)]
    assert rejected == [tasks[name].run_id for name in ("t4", "t3", "t2", "t1")]
    assert [row.run_id for row in ledger.rejections(2)] == rejected[:2]
    assert ledger.rejected() == 4
    assert list(ledger.seconds()) == [1.0, 1.0, 1.0, 4.0]
    assert ledger.by_model(Tier.ESCALATION) == {"model-escalation": Tokens(1, 100, 10, 40, 3.0)}
    assert set(ledger.in_states([State.FAILED, State.REJECTED])) == {tasks["t3"].run_id, tasks["t4"].run_id}


def test_the_second_look_counts_what_is_new(settings: Settings, batch: Batch) -> None:
    """Records of other batches in between do no harm, and another log in its place is counted from its beginning."""
    tasks = by_name(batch)
    other = manifest.plan(make_lines(2), source="", corpus_version=None, created_at="", nonce="other")
    ledger = BatchLedger(EvidenceReader(settings.evidence_log), batch.batch_id)
    ledger.tally()
    record(
        settings,
        make_run(other.tasks[0]),
        make_run(tasks["t2"], State.REJECTED, Tier.ESCALATION),
        make_run(tasks["t5"]),
    )
    tally = ledger.tally()
    assert (tally.done, tally.escalated, tally.in_state(State.REJECTED)) == (6, 0, 2)
    assert tally == BatchLedger(EvidenceReader(settings.evidence_log), batch.batch_id).tally()
    for path in settings.evidence_log.parent.iterdir():
        if path.is_file():
            path.unlink()
    record(settings, make_run(tasks["t0"]))
    assert ledger.tally().done == 1


def test_what_other_batches_did_is_looked_at_once(
    settings: Settings, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that stands still does not read again, at each look, all that came since its own last record."""
    other = manifest.plan(make_lines(5), source="", corpus_version=None, created_at="", nonce="other")
    reader = EvidenceReader(settings.evidence_log)
    ledger = BatchLedger(reader, batch.batch_id)
    ledger.tally()
    record(settings, *(make_run(task) for task in other.tasks))
    before = ledger.tally()
    asked: list[tuple[object, ...]] = []
    question = reader.question

    def told(sql: str, *values: object) -> list[tuple[Any, ...]]:
        asked.append(values)
        return question(sql, *values)

    monkeypatch.setattr(reader, "question", told)
    assert ledger.tally() == before
    ((newest,),) = question("SELECT MAX(seq) FROM records")
    assert asked[1][0] == newest


def test_runs_in_whose_place_others_stand_do_not_count(settings: Settings, batch: Batch) -> None:
    """Neither their ends nor their tokens, from the first look on."""
    without = by_name(batch)["t3"].run_id
    ledger = BatchLedger(EvidenceReader(settings.evidence_log), batch.batch_id, [without])
    tally = ledger.tally()
    assert (tally.done, tally.in_state(State.FAILED), tally.escalated) == (3, 0, 1)
    assert tally.tokens["local"].attempts == 4
    assert ledger.tally() == tally
    assert list(ledger.in_states([State.FAILED])) == []


def test_what_was_measured_lately(settings: Settings) -> None:
    """Tokens by tier, the share that went on, and the rate of ends with the pauses left out."""
    assert measured(EvidenceReader(settings.evidence_log)).tokens == {}
    batch = manifest.plan(make_lines(40), source="", corpus_version=None, created_at="")
    runs = []
    for number, task in enumerate(batch.tasks):
        minute, second = divmod(number * 2 + (3000 if number >= 20 else 0), 60)
        state = State.ESCALATED if number % 4 == 0 else State.ACCEPTED
        at = f"2026-01-01T{minute // 60:02}:{minute % 60:02}:{second:02}.000+00:00"
        runs.append(make_run(task, state).model_copy(update={"recorded_at": at}))
    record(settings, *runs)
    found = measured(EvidenceReader(settings.evidence_log))
    assert found.tokens["local"].attempts == 40
    assert found.escalated == 0.25
    # 30 ends within 2 * 38 s of work: some of the gaps have an escalated run in them.
    assert found.ends_per_s == pytest.approx(28 / 72, rel=0.05)
    assert measured(EvidenceReader(settings.evidence_log), newest=5).ends_per_s is None
