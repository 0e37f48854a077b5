from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from evidence.reader import EvidenceReader
from producer import manifest
from producer.gold import Gold, KnownAnswer, read_gold
from producer.manifest import Batch
from producer.results import COLUMNS, WAITING, Result, result_of, results, to_csv, to_jsonl
from producer.summary import summarise
from replay.contracts import Ruling, State, Tier
from replay.errors import InputError
from replay.policy import UNDECIDABLE
from replay.settings import Settings
from tests.batches import by_name, make_lines, make_run, record


@pytest.fixture
def batch() -> Batch:
    """Five tasks."""
    return manifest.plan(make_lines(5), source="tasks.jsonl", corpus_version=None, created_at="2026-01-01")


@pytest.fixture
def rows(tmp_path: Path, batch: Batch) -> list[Result]:
    """One accepted locally, one by the large model, one rejected, one failed, one without evidence."""
    settings = Settings(data_dir=tmp_path / "data")
    tasks = by_name(batch)
    record(
        settings,
        make_run(tasks["t3"], State.FAILED, None, reason="poison: started 3 times"),
        make_run(tasks["t1"], State.ESCALATED, rules=["literals", "coverage"], seconds=2),
        make_run(tasks["t2"], State.REJECTED, rules=["literals"], ruling=Ruling.FAIL, seconds=4),
        make_run(tasks["t0"], seconds=1),
        make_run(tasks["t1"], State.ACCEPTED, Tier.ESCALATION, seconds=6),
    )
    return list(results(batch, EvidenceReader(settings.evidence_log)))


def test_results_come_in_the_order_of_the_input(rows: list[Result]) -> None:
    """Whatever order the evidence has, each task is there once, with where it stands."""
    assert [(row.custom_id, row.state) for row in rows] == [
        ("t0", State.ACCEPTED),
        ("t1", State.ACCEPTED),
        ("t2", State.REJECTED),
        ("t3", State.FAILED),
        ("t4", WAITING),
    ]


def test_a_result_points_to_its_proof(rows: list[Result]) -> None:
    """The answer's values, the file and line that it cites, and the line itself are given."""
    first = rows[0]
    assert (first.ruling, first.expected, first.found) == ("pass", "1 hour", "3600")
    assert first.citation == "kombu/transport/redis.py:402"
    assert first.quote == "visibility_timeout = 3600  # 1 hour"
    assert (first.tier, first.model, first.reasons) == ("local", "model-local", ())


def test_an_escalated_task_counts_both_attempts(rows: list[Result]) -> None:
    """Time and tokens are those of all attempts; the local answer's faults are kept beside the final one."""
    second = rows[1]
    assert (second.tier, second.model) == ("escalation", "model-escalation")
    assert (second.seconds, second.prompt_tokens, second.completion_tokens) == (8.0, 200, 20)
    assert second.local_rules == ("literals", "coverage")


def test_why_there_is_no_answer_is_said(rows: list[Result]) -> None:
    """A rejection tells the gate's reasons, a failure its cause."""
    assert rows[2].reasons == ("literals: does not hold",)
    assert rows[3].reasons == ("poison: started 3 times",)


def test_a_record_without_lines_is_cited_by_its_name(batch: Batch) -> None:
    """What has no path is cited by the record's id; an answer without citation has none."""
    run = make_run(batch.tasks[0])
    bare = run.model_copy(update={"bundle": run.bundle.model_copy(update={"passages": (), "lines": ()})})
    assert result_of(batch.tasks[0], [bare]).citation == "src_channel"


def test_rows_leave_as_jsonl_and_csv(rows: list[Result]) -> None:
    """Both forms hold every column; a reader of each gets the same values back."""
    objects = [json.loads(line) for line in to_jsonl(rows)]
    assert [tuple(value) for value in objects] == [COLUMNS] * 5
    assert objects[1]["local_rules"] == ["literals", "coverage"]
    table = list(csv.DictReader(io.StringIO("\n".join(to_csv(rows)))))
    assert [line["custom_id"] for line in table] == ["t0", "t1", "t2", "t3", "t4"]
    assert table[1]["local_rules"] == "literals; coverage"
    assert table[0]["quote"] == rows[0].quote


def test_the_summary_adds_up(rows: list[Result]) -> None:
    """States, tiers, rules, tokens and seconds of the whole batch."""
    summary = summarise(rows)
    assert summary.states == {
        "waiting": 1, "escalated": 0, "accepted": 2, "rejected": 1, "failed": 1, "cancelled": 0
    }  # fmt: skip
    assert summary.accepted_by_tier == {"local": 1, "escalation": 1}
    assert summary.escalated == 1
    assert summary.rules == {"literals": 2, "coverage": 1}
    assert (summary.prompt_tokens, summary.completion_tokens, summary.cached_tokens) == (400, 40, 160)
    assert (summary.cached_share, summary.reused) == (0.4, 0)
    assert (summary.seconds_mean, summary.seconds_p50, summary.seconds_p95) == (3.25, 1.0, 8.0)
    assert summary.gold is None


def test_that_nobody_else_was_asked_is_no_rule() -> None:
    """A rejected run says so beside the objections of the gate, and only those are counted."""
    summary = summarise([Result("t0", "", State.REJECTED, reasons=("binding.other_subject: another", UNDECIDABLE))])
    assert dict(summary.rules) == {"binding.other_subject": 1}


def test_an_empty_summary_has_no_seconds() -> None:
    """Before anything ended there is no time per task."""
    summary = summarise([Result("t0", "", WAITING)])
    assert (summary.seconds_mean, summary.seconds_p50, summary.seconds_p95) == (None, None, None)


@pytest.mark.parametrize(
    ("state", "ruling", "kind"),
    [
        (State.ACCEPTED, "pass", "correct"),
        (State.ACCEPTED, "fail", "false_accepts"),
        (State.REJECTED, "pass", "false_rejects"),
        (State.REJECTED, "fail", "rejected"),
        (State.FAILED, None, "other"),
        (State.CANCELLED, None, "other"),
    ],
)
def test_each_ending_against_its_known_answer(state: State, ruling: str | None, kind: str) -> None:
    """Where the known ruling is `pass`, each ending counts as exactly one thing."""
    summary = summarise(
        [Result("known", "", state, ruling=ruling), Result("other", "", state)], {"known": KnownAnswer(Ruling.PASS)}
    )
    assert summary.gold == Gold(total=1, **{kind: 1})


def test_a_gold_file_is_read_by_its_two_keys(tmp_path: Path) -> None:
    """Other keys are the proof's business; a line without the two is named."""
    file = tmp_path / "x.gold.jsonl"
    file.write_text('{"custom_id": "a", "verdict": "fail", "package": "celery"}\n\n')
    assert read_gold(file) == {"a": KnownAnswer(Ruling.FAIL)}
    file.write_text('{"custom_id": "a", "verdict": "perhaps"}\n')
    with pytest.raises(InputError, match="Line 1 of"):
        read_gold(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_gold(tmp_path / "none")


def test_a_line_of_a_gold_file_ends_at_a_line_feed_alone(tmp_path: Path) -> None:
    """A deciding line may hold what Unicode calls the end of a line or a paragraph."""
    file = tmp_path / "x.gold.jsonl"
    pattern = "a\u2028b\u2029c\x85d"
    line = {"custom_id": "a", "verdict": "fail", "path": "x.py", "pattern": pattern}
    file.write_text(json.dumps(line, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert read_gold(file) == {"a": KnownAnswer(Ruling.FAIL, "x.py", pattern)}


def test_a_right_answer_on_the_deciding_line_is_told_from_a_lucky_one() -> None:
    """The same ruling counts as grounded only where the very line that decides the task is cited."""
    known = {
        "a": KnownAnswer(Ruling.FAIL, "app/defaults.py", "size = 4"),
        "b": KnownAnswer(Ruling.FAIL, "x.py", "y = 1"),
    }
    rows = [
        Result("a", "", "accepted", ruling="fail", citation="app/defaults.py:7", quote="size = 4"),
        Result("b", "", "accepted", ruling="fail", citation="other.py:7", quote="y = 1"),
    ]
    assert summarise(rows, known).gold == Gold(total=2, correct=2, correct_on_line=1)
