"""The views: what they tell is what the log says, whatever way it came into them."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.log import EvidenceLog
from evidence.views import batches, follow, notes, period, runs, uses
from evidence.views.follow import catch_up
from evidence.views.gather import Chunk
from evidence.views.latency import blank, bucket, percentile
from evidence.views.runs import RunFilter
from evidence.views.schema import reading, views_path
from replay.afterwards import Review
from replay.contracts import ReplayRun, Ruling, State, Tier
from tests.batches import make_run
from tests.factories import make_task

NOW = 1_900_000_000
TEN = 1_796_032_800  # 2026-11-30, 10:00


def made(count: int, seed: int = 5) -> list[ReplayRun]:
    """Records of runs: some accepted at once, some escalated and then ended, some without an attempt."""
    rng = random.Random(seed)  # noqa: S311  no secrets
    records: list[ReplayRun] = []
    for number in range(count):
        task = make_task(
            f"Verify that the {rng.choice(['timeout', 'limit', 'default'])} of part {number} is {number * 7}.",
            custom_id=f"t{number}",
            batch_id=f"batch_{number % 3}",
        )
        way = rng.random()
        began = len(records)
        if way < 0.1:
            records.append(make_run(task, State.FAILED, None, reason="gone"))
        elif way < 0.5:
            records.append(make_run(task, State.ACCEPTED, seconds=rng.random() * 9))
        elif way < 0.6:
            records.append(make_run(task, State.REJECTED, rules=["support.low"], ruling=Ruling.UNSURE))
        else:
            records.append(make_run(task, State.ESCALATED, rules=["citations.none", "support.low"]))
            if way < 0.9:
                end = rng.choice([State.ACCEPTED, State.REJECTED])
                records.append(make_run(task, end, Tier.ESCALATION, rules=["names.unknown"] * (end is State.REJECTED)))
        at = f"2026-11-30T10:{number % 60:02}:00+00:00"
        records[began:] = [record.model_copy(update={"recorded_at": at}) for record in records[began:]]
    return records


def append(log: Path, records: list[ReplayRun]) -> None:
    """Write them."""
    with EvidenceLog.open(log) as opened:
        opened.append([record.wire() for record in records])


@pytest.fixture
def log(path: Path) -> Path:
    """A log of some runs, and the views of it."""
    append(path, made(120))
    catch_up(path)
    return path


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """The views of the same runs, for tests that change nothing."""
    log = tmp_path_factory.mktemp("views") / "runs.jsonl"
    append(log, made(120))
    catch_up(log)
    with reading(log) as found:
        assert found is not None
        yield found


def everything(log: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that the views hold."""
    names = ("runs", "begun", "sums", "objections", "uses", "batches", "notes", "names", "totals")
    with reading(log) as found:
        assert found is not None
        return {name: [tuple(row) for row in found.execute(f"SELECT * FROM {name} ORDER BY 1, 2")] for name in names}  # noqa: S608


def ids(page: runs.RunPage) -> list[str]:
    """Names of a page's runs."""
    return [row.custom_id for row in page.rows]


def test_states_are_those_of_the_last_records(db: sqlite3.Connection) -> None:
    """A run stands where its latest record leaves it, and the totals count just that."""
    last = {record.run_id: record.state for record in made(120)}
    assert {row.run_id: row.state for row in runs.page(db, limit=200).rows} == last
    counted = Counter(last.values())
    assert {state: runs.totals(db)[state] for state in State} == {state: counted[state] for state in State}


@pytest.mark.parametrize(
    "wanted",
    [
        RunFilter(state="rejected"),
        RunFilter(tier="escalation", state="accepted"),
        RunFilter(rule="support.low"),
        RunFilter(text="timeout"),
        RunFilter(text="limit", state="accepted", batch="batch_1"),
        RunFilter(model="model-escalation", rule="names.unknown"),
        RunFilter(ruling="unsure"),
    ],
)
def test_a_filter_finds_what_a_look_at_each_run_finds(db: sqlite3.Connection, wanted: RunFilter) -> None:
    """Any filters together give those runs, newest first, that fulfil each of them."""
    fits = [
        row.custom_id
        for row in runs.page(db, limit=200).rows
        if (not wanted.state or row.state == wanted.state)
        and (not wanted.tier or wanted.tier in row.tiers)
        and (not wanted.rule or wanted.rule in row.rules)
        and (not wanted.model or wanted.model in row.models)
        and (not wanted.batch or row.batch_id == wanted.batch)
        and (not wanted.ruling or row.ruling == wanted.ruling)
        and wanted.text in row.text
    ]
    assert fits
    assert ids(runs.page(db, wanted, limit=200)) == fits


def test_pages_show_each_run_once_forwards_and_back(db: sqlite3.Connection) -> None:
    """Going older to the end and newer to the beginning passes the same pages."""
    forwards, pages = [], [runs.page(db, limit=50)]
    assert pages[0].newer is None
    while pages[-1].older is not None:
        pages.append(runs.page(db, before=pages[-1].older, limit=50))
    forwards = [name for page in pages for name in ids(page)]
    assert forwards == ids(runs.page(db, limit=200))
    back = runs.page(db, after=pages[-1].newer, limit=50)
    assert ids(back) == ids(pages[-2])
    assert runs.page(db, after=back.newer, limit=50).newer is None


def test_time_is_a_range_of_runs(db: sqlite3.Connection) -> None:
    """Minutes bound what is found: nothing before, nothing from the end on."""
    at = TEN + 20 * 60
    found = runs.page(db, RunFilter(since=at), limit=200).rows
    assert [row.custom_id for row in found] == [
        row.custom_id for row in runs.page(db, limit=200).rows if row.n >= min(r.n for r in found)
    ]
    assert {row.custom_id for row in runs.page(db, limit=200).rows if row.first_at >= at} <= {
        r.custom_id for r in found
    }
    assert runs.page(db, RunFilter(until=TEN)).rows == ()
    assert runs.page(db, RunFilter(since=at + 86400)).rows == ()


@pytest.mark.parametrize(
    "typed", ['"', '""', "*", "a OR b", "NEAR(", "text:x", "{facets} : x", "-", "'", "\0", "(", "AND", 'x" OR "y', "^a"]
)
def test_nothing_that_is_typed_is_a_wrong_query(db: sqlite3.Connection, typed: str) -> None:
    """The search box has no syntax errors, and reaches no column of ours."""
    assert runs.page(db, RunFilter(text=typed)).rows == ()


def test_a_phrase_and_a_beginning(db: sqlite3.Connection) -> None:
    """Quotes keep words together; a star takes what begins so."""
    assert ids(runs.page(db, RunFilter(text='"part 7 is"'))) == ["t7"]
    assert len(runs.page(db, RunFilter(text="timeo*"), limit=200).rows) == len(
        runs.page(db, RunFilter(text="timeout"), limit=200).rows
    )


def test_the_same_in_one_go_and_in_pieces(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that came one at a time give the same views as all of them at once; time of reading aside."""
    monkeypatch.setattr("time.time", lambda: NOW)
    records = made(12)
    other = tmp_path / "other.jsonl"
    append(other, records)
    catch_up(other)
    with EvidenceLog.open(path) as opened:
        for record in records:
            opened.append([record.wire()])
            catch_up(path)
    assert everything(path) == everything(other)
    with reading(path) as found:
        assert found is not None
        assert ids(runs.page(found, RunFilter(state="escalated"))) == [
            row.custom_id for row in runs.page(found).rows if row.state == "escalated"
        ]


def test_a_crash_loses_a_chunk_and_halves_none(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dying in the middle of a chunk's writes leaves the views as they were; the next one goes on from there."""
    monkeypatch.setattr("time.time", lambda: NOW)
    monkeypatch.setattr(follow, "CHUNK_RECORDS", 10)
    append(path, made(40))
    real, calls = Chunk._write_uses, []

    def dies(chunk: Chunk) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(chunk)

    monkeypatch.setattr(Chunk, "_write_uses", dies)
    with pytest.raises(KeyboardInterrupt):
        catch_up(path)
    with reading(path) as found:
        assert found is not None
        assert found.execute("SELECT seq FROM position").fetchone()[0] == 20
    assert catch_up(path).share == 1.0
    other = tmp_path / "other.jsonl"
    append(other, made(40))
    catch_up(other)
    assert everything(path) == everything(other)


def test_another_log_in_its_place_is_read_anew(log: Path) -> None:
    """A log that was put back or replaced has other views, not the old ones with more in them."""
    for name in [log, log.with_name(log.name + ".index.sqlite"), log.with_name(log.stem + ".checkpoints.jsonl")]:
        name.unlink()
    append(log, made(10, seed=9))
    catch_up(log)
    with reading(log) as found:
        assert found is not None
        assert len(runs.page(found, limit=200).rows) == 10


@pytest.mark.parametrize("damage", ["version", "garbage", "deep"])
def test_a_database_that_is_not_ours_is_made_again(log: Path, damage: str) -> None:
    """Another version, or no database at all, costs the time of reading the log, nothing else."""
    before = everything(log)
    if damage == "version":
        db = sqlite3.connect(views_path(log))
        db.execute("PRAGMA user_version = 99")
        db.commit()
        db.close()
    elif damage == "deep":
        # The first pages, with the position in them, are whole.
        content = views_path(log).read_bytes()
        views_path(log).write_bytes(content[:12288] + b"x" * (len(content) - 12288))
        append(log, [make_run(make_task(custom_id="new"))])
        catch_up(log)
        assert everything(log)["runs"][:-1] == before["runs"]
        return
    else:
        views_path(log).write_bytes(b"no database " * 1000)
        for suffix in ("-wal", "-shm"):
            views_path(log).with_name(views_path(log).name + suffix).unlink(missing_ok=True)
    with reading(log) as found:
        assert found is None
    catch_up(log)
    assert everything(log)["runs"] == before["runs"]


def test_one_at_a_time(log: Path) -> None:
    """While one process brings the views up to date another one leaves it to that."""
    append(log, [make_run(make_task(custom_id="new"))])
    with follow._alone(log.absolute()) as alone:
        assert alone
        assert catch_up(log).busy
    assert catch_up(log).records == 1


def test_no_log_and_no_folder(tmp_path: Path) -> None:
    """Before the first evidence there is nothing to follow, and nothing is made."""
    assert catch_up(tmp_path / "none" / "runs.jsonl").share == 1.0
    with reading(tmp_path / "none" / "runs.jsonl") as found:
        assert found is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("step", [60, 600, 3600])
def test_sums_over_time_are_those_of_the_records(db: sqlite3.Connection, step: int) -> None:
    """By minutes or by hours, attempts, tokens and latencies are all there."""
    records = [record for record in made(120) if record.attempt is not None]
    hour = period.series(db, TEN, TEN + 3599, step)
    assert len(hour.starts) == 3600 // step
    assert hour.whole().attempts == sum(hour.whole().latency) == len(records)
    local = sum(record.attempt is not None and record.attempt.tier == "local" for record in records)
    assert hour.whole("local").prompt_tokens == 100 * local
    assert hour.whole("local").judged == local


def test_objections_are_those_of_the_verdicts(db: sqlite3.Connection) -> None:
    """Each rule counts once for each attempt that it objected to, over time as well."""
    attempts = [record.attempt for record in made(120) if record.attempt and record.attempt.verdict]
    wanted = Counter(
        rule for attempt in attempts if attempt.verdict for rule in {reason.rule for reason in attempt.verdict.reasons}
    )
    rules = period.objections(db, 0, 4_000_000_000)
    assert {rule: sum(tiers.values()) for rule, tiers in rules.items()} == wanted
    over = period.objections_over(db, TEN, TEN + 3599, 600)
    assert {rule: sum(counts) for rule, counts in over.items()} == wanted
    assert all(len(counts) == 6 for counts in over.values())


def test_uses_count_ended_runs_once(db: sqlite3.Connection) -> None:
    """A record counts for each run that ended with it in its bundle, not for each attempt."""
    ended = [record for record in made(120) if record.state is not State.ESCALATED]
    (use,) = uses.page(db)
    assert use.retrieved == len(ended)
    assert use.accepted == use.accepted_cited == sum(record.state is State.ACCEPTED for record in ended)
    assert use.cited == sum(record.attempt is not None for record in ended)
    assert uses.of(db, [use.record_id, "none"]) == {use.record_id: use}
    assert uses.page(db, after=(use.retrieved, use.record_id)) == []


def test_batches_add_up(db: sqlite3.Connection) -> None:
    """The totals of the batches are those of their runs."""
    found = batches.latest(db)
    assert sum(batch.runs for batch in found) == 120
    assert sum(batch.at_large_model for batch in found) == runs.totals(db)["escalated"]
    assert batches.of(db, ["batch_1", "none"]).keys() == {"batch_1"}
    assert batches.latest(db, before=(found[0].last_at, found[0].batch_id)) == found[1:]


def test_a_review_takes_a_run_off_the_list(log: Path) -> None:
    """Rejected and unsure runs wait for a person, until one has looked; the note is found with the run."""
    with reading(log) as found:
        assert found is not None
        waiting = runs.page(found, RunFilter(review="waiting"), limit=200).rows
        assert len(waiting) == runs.totals(found)["review"]
        assert {row.state for row in waiting} == {"rejected"}
    run = waiting[0]
    review = Review(
        id="review_1", run_id=run.run_id, batch_id=run.batch_id, custom_id=run.custom_id, record_id="r",
        record_hash="h", who="anna", decision="reject", note="no", recorded_at="2026-11-30T12:00:00+00:00",
    )  # fmt: skip
    with EvidenceLog.open(log) as opened:
        opened.append([review.wire()])
    catch_up(log)
    with reading(log) as found:
        assert found is not None
        assert runs.totals(found)["review"] == len(waiting) - 1
        assert run.run_id not in {row.run_id for row in runs.page(found, RunFilter(review="waiting"), limit=200).rows}
        assert [row.run_id for row in runs.page(found, RunFilter(review="reject")).rows] == [run.run_id]
        (note,) = notes.about(found, run.run_id)
        assert note.body is not None
        assert note.body["note"] == "no"
        assert notes.page(found, "replay_review.v1") == [note]


def test_records_of_any_shape_are_taken(path: Path) -> None:
    """Whatever a record holds where something else is wanted, the views go on."""
    good = make_run(make_task()).wire()
    odd: list[dict[str, object]] = [
        good | {"id": "a", "run_id": 7},
        good | {"id": "b", "run_id": "b", "state": ["accepted"]},
        good | {"id": "c", "run_id": "c", "attempt": "none", "recorded_at": "9999-99", "bundle": []},
        good | {"id": "d", "run_id": "d", "attempt": {"timings": {"generate_ms": -5}, "tier": 9}, "task": None},
        good | {"id": "e", "run_id": "e", "recorded_at": "3000-01-01T00:00:00+00:00", "batch_id": None},
        good | {"id": "f", "run_id": "f", "custom_id": "x" * 5000, "bundle": {"playbook": [1, {"record": {}}]}},
        {"schema": "other.v1", "id": "g", "run_id": {"a": 1}, "text": "x" * 50_000},
    ]
    with EvidenceLog.open(path) as log:
        log.append(odd)
    assert catch_up(path).share == 1.0
    with reading(path) as found:
        assert found is not None
        assert {row.run_id for row in runs.page(found).rows} == {"c", "d", "e", "f"}
        assert [note.body for note in notes.page(found, "other.v1")] == [None]


def test_percentiles_lie_in_the_bucket_of_their_value() -> None:
    """A percentile is off by no more than the width of a bucket."""
    rng = random.Random(3)  # noqa: S311  no secrets
    values = sorted(rng.lognormvariate(7, 1) for _ in range(5000))
    counts = blank()
    for value in values:
        counts[bucket(value)] += 1
    for share in (0.5, 0.95, 0.99):
        assert percentile(counts, share) == pytest.approx(values[int(share * 5000)], rel=0.25)
    assert percentile(blank(), 0.5) is None
