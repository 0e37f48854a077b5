"""`replay submit` and `replay batch`, typed in this process against a real broker."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import paused
from cli import main
from producer import manifest, marks
from producer.manifest import Batch
from producer.marks import Priority
from producer.results import COLUMNS
from replay.contracts import State, Tier
from replay.corpus import snapshot
from replay.settings import Settings
from replay.topology import Queue
from tests.batches import by_name, make_lines, make_run, record
from tests.factories import make_bundle
from tests.processes import stream_records

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(data_dir: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the commands that are typed: a corpus and an empty broker."""
    for name, value in (("DATA_DIR", str(data_dir)), ("BROKER_URL", broker_url)):
        monkeypatch.setenv(f"REPLAY_{name}", value)
    monkeypatch.setenv("COLUMNS", "400")
    made = Settings()
    snapshot.write([hit.record for hit in make_bundle().passages], made.corpus_dir)
    return made


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    assert settings.data_dir.is_dir()

    def type_it(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["replay", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main.main()
        said = capfd.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return type_it


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
    code, printed, told = typed("submit", file, "--dry-run", "--json")
    value = json.loads(printed)
    assert (code, value["estimate"]["tasks"], value["estimate"]["may_escalate"], value["bad_lines"]) == (1, 4, 4, 1)
    assert "no attempt was measured" in value["unknown"][0]
    assert f"{file}:3: not JSON" in told
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
    assert {state.value: value[state.value] for state in State} == {
        "escalated": 1,
        "accepted": 2,
        "rejected": 1,
        "failed": 1,
        "cancelled": 0,
    }
    assert (value["tasks"], value["without_evidence"], value["cost"]) == (6, 1, None)
    assert value["accepted_by_tier"] == {"local": 1, "escalation": 1}
    assert value["reasons"] == {"literals": 2, "coverage": 2}
    assert (value["reasons_of"], value["rejections"]) == (3, 3)
    assert value["tokens"]["local"]["prompt"] == 400
    assert (value["seconds_p50"], value["seconds_p95"]) == (1.0, 4.0)
    monkeypatch.setenv("REPLAY_ESCALATION_PRICES", "1000/2000")
    code, printed, _ = typed("batch", "show", batch.batch_id[:12])
    assert (code, "0.1200" in printed, "coverage 2, literals 2" in printed) == (0, True, True)


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
