"""The command line in this process: foreign text is shown as it is, and what happens at each turn is told truly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from cli.output.tables import print_summary
from cli.run import audit_in_process
from cli.submit import command as submit
from evidence.reader import EvidenceReader
from producer import intake, manifest
from producer.gold import KnownAnswer
from producer.manifest import Batch
from producer.results import Result
from producer.summary import summarise
from replay import pipeline
from replay.contracts import Bundle, Generation, Record, ReplayTask, Ruling, State, Tier
from replay.corpus import snapshot
from replay.errors import InputError
from replay.prompting import PromptLimits
from replay.settings import Settings
from replay.topology import CANCELLED
from tests.batches import make_lines, make_run, record
from tests.command_line import Typed, settings_of_shell, typing_into
from tests.factories import UNSURE, make_bundle, make_generation
from tests.scripted_model import ScriptedModel

# Closes styles that nobody opened, opens some, and names an emoji.
HOSTILE = r"a [/b] \[/red] [bold]c :warning:"


@pytest.fixture
def settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the commands that are typed."""
    return settings_of_shell(monkeypatch, data_dir)


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    assert settings.data_dir.is_dir()
    return typing_into(monkeypatch, capsys)


def accepted(settings: Settings, count: int = 1, **line: Any) -> Batch:
    """An accepted batch, of which nothing is enqueued."""
    lines = [made.model_copy(update=line) for made in make_lines(count)]
    batch = manifest.plan(lines, source="tasks.jsonl", corpus_version=None, created_at="2026-01-01")
    manifest.write(batch, settings.batches_dir)
    return batch


def furnish(settings: Settings, **fields: Any) -> None:
    """A corpus of one record."""
    records: list[Record] = [hit.record.model_copy(update=fields) for hit in make_bundle().passages]
    snapshot.write(records, settings.corpus_dir)


# --- foreign text ----------------------------------------------------------------------------------------------------


def test_an_error_is_told_as_it_is(typed: Typed) -> None:
    """A file's name that looks like markup is neither lost nor a crash."""
    name = HOSTILE.replace("/", "-") + r"\[/red].jsonl"
    code, _, told = typed("submit", name)
    assert code == 2
    assert f"There is no file {name}." in told


def test_a_note_is_told_as_it_is(settings: Settings, typed: Typed) -> None:
    """Progress names what it works on."""
    source = settings.data_dir.parent / r"x\[/red] y"
    source.mkdir(parents=True)
    (source / "channel.py").write_text("visibility_timeout = 3600\n")
    code, printed, told = typed("corpus", "build", source)
    assert (code, f"reading {source} …" in told) == (0, True)
    assert "red] y" in printed


def test_a_title_of_the_corpus_is_shown_as_it_is(settings: Settings, typed: Typed) -> None:
    """A record without a path is named by its title."""
    furnish(settings, title="odd [/INST] :warning: title", path=None, first_line=None, last_line=None)
    code, printed, _ = typed("corpus", "search", "visibility timeout of the channel")
    assert (code, "odd [/INST] :warning: title" in printed) == (0, True)


@pytest.mark.parametrize("words", [["evidence", "show"], ["evidence", "tail"], ["results"]])
def test_a_task_and_its_answer_are_shown_as_they_are(words: list[str], settings: Settings, typed: Typed) -> None:
    """Name, text, reason: whatever a person or a model wrote."""
    batch = accepted(settings, custom_id=HOSTILE, task=HOSTILE)
    record(settings, make_run(batch.tasks[0], State.FAILED, None, reason=HOSTILE))
    code, printed, _ = typed(*words, *([batch.tasks[0].run_id] if words[-1] == "show" else []))
    assert (code, HOSTILE in printed) == (0, True)


# --- batches ---------------------------------------------------------------------------------------------------------


def test_what_to_do_with_bad_lines_is_told_truly(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside good lines they go into a file of their own, since the whole file would be another batch; else not."""
    file = settings.data_dir / "tasks.jsonl"
    good, bad = '{"custom_id": "a", "task": "Verify it."}\n', "{\n"
    file.write_text(good + bad)
    submit.report_errors(intake.read(file), str(file))
    assert "into a file of their own" in capsys.readouterr().err
    file.write_text(bad)
    with pytest.raises(InputError, match="has no good line") as caught:
        submit.report_errors(intake.read(file), str(file))
    assert caught.value.hint == f"Mend {file} and give it again."
    assert "of their own" not in capsys.readouterr().err


def test_no_batch_here_says_where_here_is(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another folder the data are other data: the path is absolute."""
    monkeypatch.setenv("REPLAY_DATA_DIR", "data")
    monkeypatch.chdir(tmp_path)
    code, _, told = typed("results")
    assert (code, f"no batch in {tmp_path / 'data' / 'batches'}" in told) == (2, True)
    assert "REPLAY_DATA_DIR" in told


def test_cancel_marks_and_tells(
    settings: Settings, typed: Typed, valkey: redis.Redis, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the beginning of its id: durable, known to the workers, and said how much of it had not ended."""
    batch = accepted(settings, 3)
    record(settings, make_run(batch.tasks[0]))
    monkeypatch.setenv("REPLAY_BROKER_URL", broker_url)
    code, printed, _ = typed("cancel", batch.batch_id[:12], "--json")
    assert (code, json.loads(printed)) == (0, {"batch_id": batch.batch_id, "total": 3, "unfinished": 2})
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)
    assert valkey.sismember(CANCELLED, batch.batch_id)
    assert f"{batch.batch_id} cancelled: 2 of its 3 tasks" in typed("cancel")[1]


def test_cancel_without_a_broker_is_half_done_and_says_so(settings: Settings, typed: Typed) -> None:
    """Exit code 3; the mark stays."""
    batch = accepted(settings)
    code, printed, told = typed("cancel")
    assert (code, printed) == (3, "")
    assert "is marked as cancelled, but the workers could not be told" in told
    assert manifest.is_cancelled(settings.batches_dir, batch.batch_id)


def test_the_parts_of_the_comparison_sum_to_its_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """Right, wrong, rejected, and without an answer: each ended task with a known answer is told once."""
    ends = [
        (State.ACCEPTED, "pass"),
        (State.ACCEPTED, "fail"),
        (State.REJECTED, "pass"),
        (State.REJECTED, "fail"),
        (State.FAILED, None),
        (State.CANCELLED, None),
        (State.CANCELLED, None),
    ]
    rows = [Result(str(n), "", state, ruling=ruling) for n, (state, ruling) in enumerate(ends)]
    print_summary(summarise(rows, {row.custom_id: KnownAnswer(Ruling.PASS) for row in rows}))
    printed = " ".join(capsys.readouterr().out.split())
    assert "against gold (7): 1 accepted and right" in printed
    assert "1 accepted and wrong; 2 rejected (1 of them with the right answer); 3 failed or cancelled" in printed


# --- in this process -------------------------------------------------------------------------------------------------


class Interrupted:
    """A model whose large tier is never answered: Ctrl-C, or an endpoint without a key."""

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, object]) -> Generation:
        """Answer the local tier so that the gate hands on."""
        if tier is Tier.ESCALATION:
            raise KeyboardInterrupt
        return make_generation(UNSURE)


class OneBundle:
    """A retriever of one bundle."""

    def retrieve(self, task: ReplayTask) -> Bundle:
        """Return it."""
        return make_bundle()


def test_an_interrupted_escalation_leaves_the_local_attempt(settings: Settings) -> None:
    """Each attempt is evidence as soon as it has ended."""
    engine = pipeline.Engine(OneBundle(), Interrupted(), PromptLimits(), ask_anyway=True)
    with pytest.raises(KeyboardInterrupt):
        audit_in_process(make_lines(1)[0], settings, engine)
    assert [row.state for row in EvidenceReader(settings.evidence_log).tail(9)] == [State.ESCALATED]


def test_ab_names_bad_lines(settings: Settings, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a good one there is nothing to compare; with one it is compared, and the exit code is 1."""
    furnish(settings)
    file = settings.data_dir / "tasks.jsonl"
    file.write_text("{\n")
    code, printed, told = typed("ab", "--tasks", file)
    assert (code, printed) == (2, "")
    assert f"{file}:1: not JSON" in told
    file.write_text("")
    code, _, told = typed("ab", "--tasks", file)
    assert (code, "There is no task in" in told) == (2, True)
    file.write_text('{\n{"custom_id": "a", "task": "Verify that the visibility timeout is 1 hour."}\n')
    with ScriptedModel() as model:
        monkeypatch.setenv("REPLAY_BASE_URL", model.base_url)
        code, printed, told = typed("ab", "--tasks", file, "--json")
    assert (code, len(json.loads(printed)["tasks"])) == (1, 1)
    assert f"{file}:1: not JSON" in told


@pytest.mark.parametrize("place", ["", "nowhere/x.md"])
def test_ab_asks_no_model_for_a_file_that_cannot_be_written(
    place: str, settings: Settings, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mistake is told before the work and not after it."""
    furnish(settings)
    with ScriptedModel() as model:
        monkeypatch.setenv("REPLAY_BASE_URL", model.base_url)
        code, _, told = typed("ab", "-n", "1", "--markdown", settings.data_dir / place)
        assert model.stats()["probes"] + model.count == 0
    assert (code, "cannot be written" in told) == (2, True)


def test_status_is_one_object_whether_the_broker_answers_or_not(
    typed: Typed, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unknown is null; the programs are told all the same."""
    code, printed, told = typed("status", "--json")
    down = json.loads(printed)
    assert (code, down["queues"], down["workers"]) == (3, None, None)
    assert {program["state"] for program in down["programs"]} == {"stopped"}
    assert "the broker is not running" in told
    monkeypatch.setenv("REPLAY_BROKER_URL", broker_url)
    code, printed, _ = typed("status", "--json")
    up = json.loads(printed)
    assert (code, up.keys(), up["workers"]) == (0, down.keys(), [])
