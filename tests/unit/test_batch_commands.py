"""`replay submit` and `replay batch`, typed in this process against a real broker."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import paused
from evidence.log import EvidenceLog
from producer import manifest, marks
from producer.manifest import Batch
from producer.marks import Priority
from producer.results import COLUMNS
from replay.contracts import State, Tier
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import by_name, furnish, make_lines, make_run, record
from tests.command_line import Typed, typing_into
from tests.processes import stream_records


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """The settings of the commands that are typed: a corpus and an empty broker."""
    return furnish(Settings(data_dir=data_dir, broker_url=broker_url))


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    known = {"data_dir": settings.data_dir, "broker_url": settings.broker_url}
    return typing_into(monkeypatch, capfd, **known)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of four good lines and a bad one."""
    path = tmp_path / "tasks.jsonl"
    lines = [json.dumps({"custom_id": line.custom_id, "task": line.task}) for line in make_lines(4)]
    path.write_text("\n".join([*lines[:2], "{", *lines[2:]]))
    return path


@pytest.fixture
def batch(settings: Settings) -> Batch:
    """Six tasks: accepted, accepted by the large model, rejected, failed, escalated, waiting; nothing is enqueued."""
    batch = manifest.plan(make_lines(6), source="tasks.jsonl", corpus_version=None, created_at="2026-01-01")
    manifest.write(batch, settings.batches_dir)
    tasks = by_name(batch)
    record(
        settings,
        make_run(tasks["t0"]),
        make_run(tasks["t1"], State.ESCALATED, rules=["literals"]),
        make_run(tasks["t1"], State.ACCEPTED, Tier.ESCALATION, seconds=3),
        make_run(tasks["t2"], State.REJECTED, rules=["literals", "coverage"]),
        make_run(tasks["t3"], State.FAILED, None, reason="gone"),
        make_run(tasks["t4"], State.ESCALATED, rules=["coverage"]),
    )
    return batch


# --- submit ----------------------------------------------------------------------------------------------------------


def test_a_dry_run_submits_nothing_and_says_what_it_cannot_know(
    typed: Typed, settings: Settings, valkey: redis.Redis, file: Path
) -> None:
    """Every line is checked; without a measured attempt there is no number, and it is said why."""
    earlier = Path(f"{file}.errors.jsonl")
    earlier.write_text("of an earlier submit")
    before = sorted(file.parent.iterdir())
    code, printed, told = typed("submit", file, "--dry-run", "--json")
    value = json.loads(printed)
    assert (code, value["estimate"]["tasks"], value["estimate"]["may_escalate"], value["bad_lines"]) == (1, 4, 4, 1)
    assert "no attempt was measured" in value["unknown"][0]
    assert f"{file}:3: not JSON" in told
    assert "1 bad lines; a dry run writes no file: a submit keeps all of them in FILE.errors.jsonl" in told
    assert (sorted(file.parent.iterdir()), earlier.read_text()) == (before, "of an earlier submit")
    assert manifest.known(settings.batches_dir) == []
    assert valkey.llen(Queue.LOCAL.value) == 0
    assert json.loads(typed("submit", file, "--json")[1])["batch_id"] == value["batch_id"]
    assert "accepted before, 0 of its tasks done" in typed("submit", file, "--dry-run")[1]


@pytest.mark.usefixtures("batch")
def test_a_dry_run_estimates_from_what_was_measured(typed: Typed, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of four judged local answers went on: two calls of the large model; tokens and money follow."""
    monkeypatch.setenv("REPLAY_ESCALATION_PRICES", "1000/2000")
    value = json.loads(typed("submit", file, "--dry-run", "--json")[1])
    found = value["estimate"]
    assert (found["attempts"], found["escalated_share"], found["large_model_calls"]) == (5, 0.5, 2)
    assert (found["prompt_tokens"], found["completion_tokens"], found["model_seconds"]) == (600, 60, 10.0)
    assert found["money"] == pytest.approx(0.2 + 0.04)
    assert [words.partition(":")[0] for words in value["unknown"]] == ["seconds until the end"]
    code, printed, _ = typed("submit", file, "--dry-run")
    assert (code, "large-model calls  about 2" in printed, "money              about 0.24" in printed) == (
        1,
        True,
        True,
    )


def test_limit_tag_and_priority(typed: Typed, settings: Settings, valkey: redis.Redis, file: Path) -> None:
    """The first lines, with the tags, before what waits."""
    valkey.lpush(Queue.LOCAL.value, b"before")
    options = ("--limit", "2", "--tag", "nightly", "--tag", "x", "--priority", "high", "--json")
    code, printed, _ = typed("submit", file, *options)
    value = json.loads(printed)
    assert (code, value["total"], value["enqueued"], value["left"], value["bad_lines"]) == (0, 2, 2, 0, 0)
    made = manifest.load(settings.batches_dir, value["batch_id"])
    assert [task.tags for task in made.tasks] == [("nightly", "x")] * 2
    assert marks.priority_of(settings.batches_dir, made.batch_id) is Priority.HIGH
    assert valkey.lindex(Queue.LOCAL.value, 0) == b"before"
    assert typed("submit", file, "--tag", " ")[0] == 2


# --- batch -----------------------------------------------------------------------------------------------------------


def test_show_puts_a_batch_into_numbers(typed: Typed, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """States, tiers, reasons, tokens, times, and the cost once there is a price."""
    value = json.loads(typed("batch", "show", "--json")[1])
    states = ("without_evidence", "at_large_model", "accepted", "rejected", "failed", "cancelled")
    assert [value[state] for state in states] == [1, 1, 2, 1, 1, 0]
    # Two went on to the large model: one of them has been accepted since.
    assert (value["tasks"], value["escalated"], value["cost"]) == (6, 2, None)
    assert value["accepted_by_tier"] == {"local": 1, "escalation": 1}
    assert value["reasons"] == {"literals": 2, "coverage": 2}
    assert (value["reasons_of"], value["rejections"]) == (3, 3)
    assert value["tokens"]["local"]["prompt"] == 400
    assert (value["seconds_p50"], value["seconds_p95"]) == (1.0, 4.0)
    monkeypatch.setenv("REPLAY_ESCALATION_PRICES", "1000/2000")
    code, printed, _ = typed("batch", "show", batch.batch_id[:12])
    assert (code, "0.1200" in printed, "coverage 2, literals 2" in printed) == (0, True, True)
    told = [" ".join(line.split()) for line in printed.splitlines()]
    assert "at large model 1" in told
    assert "accepted by the local model 1, the large model 1" in told
    assert "escalated 2: the local answer was rejected and the task sent to the large model" in told


def test_escalated_means_one_thing_wherever_a_batch_is_told(typed: Typed, batch: Batch) -> None:
    """All that went on to the large model; what is there now is told as being there."""
    printed = typed("results", batch.batch_id)[1]
    assert "6 tasks: 1 waiting, 1 at the large model, 2 accepted, 1 rejected, 1 failed" in printed
    assert "accepted 1 by the local model, 1 by the large model; 2 escalated" in printed
    (row,) = [line for line in printed.splitlines() if line.startswith("t4")]
    assert "at the large model" in row


def test_results_leave_as_files(typed: Typed, batch: Batch, tmp_path: Path) -> None:
    """In all forms the same rows, joined by custom_id in the order of the input; the failed ones apart when asked."""
    code, printed, _ = typed("batch", "results")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [(row["custom_id"], row["state"]) for row in rows] == [
        ("t0", "accepted"),
        ("t1", "accepted"),
        ("t2", "rejected"),
        ("t3", "failed"),
        ("t4", "escalated"),
        ("t5", "waiting"),
    ]
    table, failed = tmp_path / "r.csv", tmp_path / "failed.csv"
    code, printed, told = typed("batch", "results", batch.batch_id, "--format", "csv", "-o", table, "--errors", failed)
    assert (code, printed, "1 failed ones in" in told) == (1, "", True)
    assert [row["custom_id"] for row in csv.DictReader(io.StringIO(table.read_text()))] == [
        "t0",
        "t1",
        "t2",
        "t4",
        "t5",
    ]
    [row] = csv.DictReader(io.StringIO(failed.read_text()))
    assert (row["custom_id"], row["reasons"]) == ("t3", "gone")
    ended = typed("batch", "results", "--ended")[1]
    assert len(ended.splitlines()) == 4


@pytest.mark.usefixtures("batch")
def test_results_is_short_for_batch_results(typed: Typed, tmp_path: Path) -> None:
    """Only what is shown when nothing is asked differs; options, rows and refusals are the same."""
    long, short = ("batch", "results"), ("results",)
    assert typed(*short) == typed(*long, "--format", "table")
    assert typed(*short, "--format", "csv", "--ended") == typed(*long, "--format", "csv", "--ended")
    assert typed(*short, "--json", "--ended") == typed(*long, "--json", "--ended")
    assert len(json.loads(typed(*short, "--json", "--ended")[1])["results"]) == 4
    for form in (short, long):
        target = tmp_path / form[0]
        assert typed(*form, "-o", target)[0] == 0
        assert target.read_text() == typed(*long)[1]
    for options in (("--json", "-o", "x"), ("--format", "table", "--errors", "x")):
        code, out, told = typed(*short, *options)
        assert (code, out, "is printed, and not written to files" in told) == (2, "", True)
    assert "--gold is for the table" in typed(*long, "--gold", tmp_path / "gold.jsonl")[2]
    for name in ("results", "cancel"):
        assert f"Short for `replay batch {name}" in " ".join(typed(name, "--help")[1].split())


@pytest.mark.usefixtures("batch")
@pytest.mark.parametrize(
    ("group", "same"),
    [
        (("batch",), ("batch", "list")),
        (("lane",), ("lane", "list")),
        (("lane", "budget"), ("lane", "budget", "show")),
        (("dead",), ("dead", "list")),
        (("review",), ("review", "list")),
        (("schedule",), ("schedule", "list")),
        (("models",), ("models", "list")),
        (("corpus",), ("corpus", "stats")),
        (("evidence",), ("evidence", "tail")),
    ],
)
def test_a_group_typed_alone_shows_what_there_is(typed: Typed, group: tuple[str, ...], same: tuple[str, ...]) -> None:
    """As the command of it does that lists or shows; and it still says what else there is."""
    code, printed, _ = typed(*group)
    assert (code, printed) == typed(*same)[:2]
    assert (code, printed != "") == (0, True)
    assert "Commands" in typed(*group, "--help")[1]


def test_results_that_cannot_be_written_say_so(typed: Typed, batch: Batch, tmp_path: Path) -> None:
    """A folder is no file, and one name for two files would leave only the second; nothing is written."""
    for target in (tmp_path, Path()):
        code, _, told = typed("batch", "results", batch.batch_id, "-o", target)
        assert (code, "is a folder" in told) == (2, True)
    both = tmp_path / "both.jsonl"
    code, _, told = typed("batch", "results", batch.batch_id, "-o", both, "--errors", both)
    assert (code, "for both files" in told, both.exists()) == (2, True, False)


def test_what_is_no_utf_8_is_written_down_all_the_same(
    typed: Typed, settings: Settings, valkey: redis.Redis, tmp_path: Path
) -> None:
    """In the name of a file, in a tag and in a reason, as a shell may give them."""
    assert valkey.ping()
    file = tmp_path / "t\udcff.jsonl"
    file.write_text('{"task": "Verify it."}')
    assert typed("submit", file, "--tag", "\udcff", "--no-retrieval")[0] == 0
    (batch_id,) = manifest.known(settings.batches_dir)
    found = manifest.load(settings.batches_dir, batch_id)
    assert (found.source, found.tasks[0].tags) == ("t\ufffd.jsonl", ("\ufffd",))
    assert typed("batch", "pause", "--reason", "\udcff")[0] == 0
    assert marks.why_paused(settings.batches_dir, batch_id) == "\ufffd"


def test_results_as_parquet(typed: Typed, batch: Batch, tmp_path: Path) -> None:
    """Typed columns, lists as lists."""
    pq = pytest.importorskip("pyarrow.parquet")
    target = tmp_path / "r.parquet"
    assert typed("batch", "results", batch.batch_id, "--format", "parquet", "-o", target)[0] == 0
    read = pq.read_table(target)
    assert tuple(read.column_names) == COLUMNS
    assert read.column("reasons").to_pylist()[2] == ["literals: does not hold", "coverage: does not hold"]
    assert read.column("seconds").to_pylist()[:2] == [1.0, 4.0]


def test_pausing_and_resuming(typed: Typed, settings: Settings, valkey: redis.Redis, batch: Batch) -> None:
    """Marked, told, listed, noted in the evidence with who did it; resuming enqueues what is owed."""
    code, printed, _ = typed("batch", "pause", batch.batch_id[:14], "--reason", "tea")
    assert (code, "is paused" in printed) == (0, True)
    assert paused.is_paused(valkey, batch.batch_id)
    assert "paused" in typed("batch", "list")[1].splitlines()[1]
    assert "tea" in typed("batch", "show")[1]
    assert "it is paused" in typed("batch", "reconcile")[1]
    assert valkey.llen(Queue.LOCAL.value) == 0
    code, printed, _ = typed("batch", "resume", "--json")
    assert (code, json.loads(printed)["enqueued"], json.loads(printed)["was_paused"]) == (0, 2, True)
    assert valkey.llen(Queue.LOCAL.value) + valkey.llen(Queue.ESCALATION.value) == 2
    assert not marks.is_paused(settings.batches_dir, batch.batch_id)
    assert "was not paused" in typed("batch", "resume")[1]
    noted: list[dict[str, Any]] = [json.loads(each) for each in stream_records(valkey)]
    assert [(each["action"], each["detail"]) for each in noted if each.get("detail")] == [("batch.pause", "tea")]
    assert [each["action"] for each in noted] == ["batch.pause", "batch.resume", "batch.resume"]


def test_retrying(typed: Typed, valkey: redis.Redis, batch: Batch) -> None:
    """The failed one, then with the rejected one; what is made again is shown."""
    code, printed, _ = typed("batch", "retry", "--json")
    assert (code, json.loads(printed)["repeated"]) == (0, 1)
    assert "nothing is made again" in typed("batch", "retry")[1]
    assert "1 runs are made again" in typed("batch", "retry", "--rejected")[1]
    shown = json.loads(typed("batch", "show", "--json")[1])
    assert [each["run_id"] for each in shown["repeats"]] == [batch.tasks[3].run_id, batch.tasks[2].run_id]
    assert (shown["failed"], shown["rejected"], shown["without_evidence"]) == (0, 0, 3)
    # The retried two, and the two that were owed anyway.
    assert valkey.llen(Queue.LOCAL.value) + valkey.llen(Queue.ESCALATION.value) == 4


def test_waiting_and_cancelling(typed: Typed, settings: Settings, batch: Batch) -> None:
    """A batch that has ended is told at once, with exit code 1 where a task failed."""
    tasks = by_name(batch)
    record(settings, make_run(tasks["t4"], State.REJECTED, Tier.ESCALATION), make_run(tasks["t5"]))
    code, printed, _ = typed("batch", "wait", "--json")
    value = json.loads(printed)
    assert (code, value["total"], value["failed"], value["accepted_local"]) == (1, 6, 1, 2)
    assert "6 of 6 ended, 3 accepted, 2 rejected, 1 failed" in typed("batch", "wait")[1]
    code, printed, _ = typed("batch", "cancel", "--json")
    assert (code, json.loads(printed)["unfinished"]) == (0, 0)
    assert typed("batch", "pause")[0] == 2


@pytest.mark.parametrize("words", [("cancel",), ("batch", "cancel")])
def test_who_cancels_is_noted(typed: Typed, valkey: redis.Redis, batch: Batch, words: tuple[str, ...]) -> None:
    """Before it is done, in the evidence."""
    assert typed(*words)[0] == 0
    (noted,) = map(json.loads, stream_records(valkey))
    assert (noted["action"], noted["batch_id"], "@" in noted["who"]) == ("batch.cancel", batch.batch_id, True)


def test_who_cancels_without_a_broker_is_noted_in_the_log(
    typed: Typed, settings: Settings, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is marked, the workers cannot be told, and it is said what to do."""
    monkeypatch.delenv("REPLAY_BROKER_URL")
    code, printed, told = typed("cancel")
    assert (code, printed) == (3, "")
    assert "could not be told: the broker is not running" in told
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)
    last = json.loads(settings.evidence_log.read_bytes().splitlines()[-1])
    assert (last["action"], last["batch_id"]) == ("batch.cancel", batch.batch_id)


def test_who_cannot_be_noted_cancels_nothing(
    typed: Typed, settings: Settings, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is gone, and another process writes the log."""
    monkeypatch.delenv("REPLAY_BROKER_URL")
    with EvidenceLog.open(settings.evidence_log):
        code, _, told = typed("cancel")
    assert (code, "so it was not done: the broker is not running" in told) == (3, True)
    assert not manifest.is_cancelled(settings.batches_dir, batch.batch_id)


@pytest.mark.parametrize(
    "words",
    [("submit", "FILE"), ("status",), ("top",), ("lane",), ("lane", "pause", "local"), ("batch", "pause"), ("dead",)],
)
@pytest.mark.usefixtures("batch")
def test_a_broker_that_is_not_running_is_told_in_words(
    typed: Typed, file: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """What is missing and what starts it; no path of a socket, and no text of a library."""
    monkeypatch.delenv("REPLAY_BROKER_URL")
    code, _, told = typed(*(file if word == "FILE" else word for word in words))
    assert code == 3
    assert "error: the broker is not running\nhint:  start it with `replay up`" in told
    assert "valkey.sock" not in told
