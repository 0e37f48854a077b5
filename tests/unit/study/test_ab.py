"""`replay ab` in this process, with a scripted model: what it counts, what it asks, and what it does not ask again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence.reader import EvidenceReader
from replay.contracts import State
from replay.corpus import snapshot
from replay.settings import Settings
from tests.batches import furnish
from tests.command_line import CLAIM, Typed, settings_of_shell, typing_into, write_tasks
from tests.factories import make_bundle
from tests.scripted_model import Reply, ScriptedModel

FALSE_CLAIM = CLAIM.replace("1 hour", "2 hours")
LINE = "visibility_timeout = 3600  # 1 hour"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedModel]:
    """A model that says the value of the first line, whatever is claimed."""
    with ScriptedModel() as served:
        monkeypatch.setenv("REPLAY_BASE_URL", served.base_url)
        monkeypatch.setenv("REPLAY_TRANSPORT_TRIES", "1")
        yield served


@pytest.fixture
def settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the commands that are typed, over a corpus of one record."""
    return furnish(settings_of_shell(monkeypatch, data_dir))


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types `replay ab`: its exit code, what it prints, and what it tells on stderr."""
    assert settings.corpus_dir.is_dir()
    return typing_into(monkeypatch, capsys, "ab")


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """A true and a false claim in tasks/, and beside it what is known of them."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "gold").mkdir()
    known = {"path": "kombu/transport/redis.py", "pattern": LINE, "absent": None}
    gold = [{"custom_id": "true", "verdict": "pass", **known}, {"custom_id": "false", "verdict": "fail", **known}]
    write_tasks(tmp_path / "gold" / "audit.gold.jsonl", gold)
    claims = [{"custom_id": "true", "task": CLAIM}, {"custom_id": "false", "task": FALSE_CLAIM}]
    return write_tasks(tmp_path / "tasks" / "audit.jsonl", claims)


def many(tmp_path: Path, count: int) -> Path:
    """A file of so many tasks, without known answers."""
    return write_tasks(tmp_path / "many.jsonl", [{"custom_id": f"t{n}", "task": CLAIM} for n in range(count)])


def test_three_arms_are_counted_against_gold_that_is_found_by_itself(
    typed: Typed, model: ScriptedModel, audit: Path
) -> None:
    """The scripted model is right of the true claim alone, memory cites nothing, and the top line is right of both."""
    code, printed, _ = typed("--tasks", audit, "--json")
    study = json.loads(printed)
    assert (code, study["complete"], study["total"], model.count) == (0, True, 2, 4)
    gold = {arm["arm"]: arm["gold"] for arm in study["arms"]}
    right = {arm: (counted["right"]["hits"], counted["on_line"]["hits"]) for arm, counted in gold.items()}
    assert right == {"with": (1, 1), "without": (0, 0), "top-line": (2, 2)}
    assert gold["with"]["undecided"]["hits"] == 1
    assert gold["with"]["right"]["low"] > 0
    assert [arm["baseline"] for arm in study["arms"]] == [False, True, False]
    pair = next(pair for pair in study["pairs"] if (pair["first"], pair["second"]) == ("with", "top-line"))
    assert (pair["both"], pair["only_first"], pair["only_second"], pair["p_value"]) == (1, 0, 1, 1.0)
    by_id = {task["custom_id"]: task["arms"] for task in study["tasks"]}
    assert by_id["false"]["top-line"]["right"] is True
    assert by_id["false"]["top-line"]["run_id"] == ""
    conditions = study["conditions"]
    assert conditions["corpus_version"].startswith("corpus_")
    assert (conditions["tasks"], conditions["model"]) == ("audit.jsonl", "qwen3.5:latest")


def test_invented_sources_are_listed_with_their_task(typed: Typed, model: ScriptedModel, audit: Path) -> None:
    """What the baseline made up is told in words and in JSON."""
    made_up = Reply(json.dumps({"findings": [{"line": "kombu/nowhere.py:1", "found": "3600", "expected": "1 hour"}]}))
    model._script.extend((made_up, made_up))
    code, printed, _ = typed("--tasks", audit, "--arms", "without")
    assert code == 0
    assert "true, model from memory (baseline): source: kombu/nowhere.py:1" in printed
    study = json.loads(typed("--tasks", audit, "--arms", "without", "--json")[1])
    assert study["arms"][0]["inventing"]["hits"] == 2
    assert study["tasks"][0]["arms"]["without"]["invented"] == ["source: kombu/nowhere.py:1"]


def test_what_is_in_evidence_is_not_asked_again(
    typed: Typed, model: ScriptedModel, settings: Settings, tmp_path: Path
) -> None:
    """The same command asks nothing; more tasks ask for theirs alone; the numbers are those of the evidence."""
    file = many(tmp_path, 3)
    first = json.loads(typed("--tasks", file, "-n", "2", "--json")[1])
    assert model.count == 4
    code, printed, told = typed("--tasks", file, "-n", "2", "--json")
    again = json.loads(printed)
    assert (code, model.count) == (0, 4)
    assert "4 answers are in evidence already, 0 to ask for" in told
    assert [arm for arm in again["arms"] if arm["arm"] != "top-line"] == [
        arm for arm in first["arms"] if arm["arm"] != "top-line"
    ]
    assert json.loads(typed("--tasks", file, "--json")[1])["complete"]
    assert model.count == 6
    rows = EvidenceReader(settings.evidence_log).tail(99)
    assert len(rows) == 6
    assert {row.state for row in rows} == {State.ACCEPTED, State.REJECTED}


def test_another_question_is_asked_anew(
    typed: Typed, model: ScriptedModel, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model, gate, sampling or corpus: what depends on it is asked again; and so is all of it on demand."""
    command = ("--tasks", many(tmp_path, 1), "--json")

    def asked() -> int:
        before = model.count
        assert typed(*command)[0] == 0
        return model.count - before

    assert (asked(), asked()) == (2, 0)
    for name, value in (("LOCAL_MODEL", "another"), ("GATE_RULES_OFF", "echo.other_subject"), ("SEED", "8")):
        monkeypatch.setenv(f"REPLAY_{name}", value)
        assert (asked(), asked()) == (2, 0), name
    more = [hit.record for hit in make_bundle(path="kombu/other.py").passages]
    snapshot.write([more[0].model_copy(update={"record_id": "src_other"}), *more], settings.corpus_dir)
    assert (asked(), asked()) == (1, 0)  # from memory, no corpus is asked
    monkeypatch.setenv("REPLAY_LINES_SHOWN", "1")
    assert (asked(), asked()) == (1, 0)
    assert typed(*command, "--again")[0] == 0
    assert (asked(), model.count) == (0, 12)


def test_a_run_without_an_answer_is_in_no_share_and_is_asked_again(
    typed: Typed, model: ScriptedModel, tmp_path: Path
) -> None:
    """A fault is no verdict: exit code 1 says so, and the same command asks for the missing one alone."""
    file = many(tmp_path, 2)
    model._script.extend((Reply(status=503), Reply(), Reply()))
    code, printed, told = typed("--tasks", file, "-j", "1", "--json")
    arms = {arm["arm"]: arm for arm in json.loads(printed)["arms"]}
    assert (code, arms["with"]["failed"], arms["with"]["accepted"]["of"]) == (1, 1, 1)
    assert "1 runs got no answer" in told
    asked = model.count
    code, printed, _ = typed("--tasks", file, "-j", "1", "--json")
    assert (code, model.count - asked) == (0, 1)
    assert [arm["failed"] for arm in json.loads(printed)["arms"]] == [0, 0, 0]


def test_a_model_that_never_answers_ends_it_soon(
    typed: Typed, model: ScriptedModel, settings: Settings, tmp_path: Path
) -> None:
    """Not after every task, and not for one of them; those that failed are evidence."""
    model._script.extend([Reply(status=503)] * 18)
    code, printed, told = typed("--tasks", many(tmp_path, 9))
    assert (code, printed) == (3, "")
    assert "replay doctor" in told
    assert [row.state for row in EvidenceReader(settings.evidence_log).tail(99)] == [State.FAILED] * 4


@pytest.mark.parametrize(("words", "most"), [(("-j", "1"), 1), (("-j", "3"), 3), ((), 2)])
def test_so_many_requests_are_in_flight(
    words: tuple[str, ...], most: int, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as -j says; by default as many as the model server has slots."""
    with ScriptedModel(delay_s=0.05) as slow:
        monkeypatch.setenv("REPLAY_BASE_URL", slow.base_url)
        assert typed("--tasks", many(tmp_path, 4), *words)[0] == 0
        assert (slow.count, slow.max_concurrency) == (8, most)


def test_without_gold_the_columns_are_absent_and_it_says_so(typed: Typed, model: ScriptedModel, tmp_path: Path) -> None:
    """Nothing is called right or wrong; acceptance is compared."""
    code, printed, told = typed("--tasks", many(tmp_path, 1))
    assert code == 0
    assert "no known answers" in told
    assert "deciding line" not in printed
    assert "false accepts" not in printed
    assert "accepted by the gate" in printed
    assert model.count == 2


@pytest.mark.parametrize(("count", "words", "shown"), [(5, (), 5), (6, (), 0), (6, ("--show", "2"), 2)])
def test_few_tasks_are_shown_side_by_side(
    count: int, words: tuple[str, ...], shown: int, typed: Typed, tmp_path: Path
) -> None:
    """All of five or fewer, none of more, or as many as are wanted; without a model's arm no model need answer."""
    code, printed, _ = typed("--tasks", many(tmp_path, count), "--arms", "top-line", *words)
    assert (code, printed.count(CLAIM)) == (0, shown)


def test_the_document_has_the_arms_first_then_a_few_tasks_and_its_plot(
    typed: Typed, model: ScriptedModel, audit: Path, tmp_path: Path
) -> None:
    """The plot is named as the document sees it; no second question is asked for another document."""
    (tmp_path / "docs").mkdir()
    document, plot = tmp_path / "docs" / "ab.md", tmp_path / "ab.svg"
    assert typed("--tasks", audit, "--markdown", document, "--plot", plot)[0] == 0
    text = document.read_text()
    assert text.index("accepted by the gate") < text.index("only the first") < text.index(f"### {CLAIM}")
    assert "](../ab.svg)" in text
    assert f"`{LINE}`" in text
    assert plot.read_bytes().startswith(b"<?xml")
    assert typed("--tasks", audit, "--markdown", document, "--plot", plot)[0] == 0
    assert model.count == 4


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--arms", "with,bogus"), "'bogus' is not a valid Arm"),
        (("--arms", ","), "No arm is named"),
        (("--plot", "ab.pdf"), "neither an SVG nor a PNG"),
        (("--plot", "nowhere/ab.svg"), "cannot be written"),
        (("--gold", "nowhere.jsonl"), "cannot be read"),
    ],
)
def test_a_mistake_is_told_before_any_work(
    words: tuple[str, ...], what: str, typed: Typed, model: ScriptedModel, tmp_path: Path
) -> None:
    """Exit code 2; the model is not asked."""
    code, printed, told = typed("--tasks", many(tmp_path, 1), *words)
    assert (code, printed, what in told) == (2, "", True), told
    assert model.count + model.probes == 0


def test_gold_that_knows_only_some_tasks_says_of_how_many_it_knows_nothing(
    typed: Typed, model: ScriptedModel, tmp_path: Path
) -> None:
    """The others are in no share of it."""
    gold = write_tasks(tmp_path / "some.jsonl", [{"custom_id": "t0", "verdict": "pass"}])
    _, printed, told = typed("--tasks", many(tmp_path, 3), "--gold", gold, "--arms", "top-line", "--json")
    assert "knows nothing of 2 of the 3 tasks" in told
    study: dict[str, Any] = json.loads(printed)
    assert study["arms"][0]["gold"]["right"]["of"] == 1
    assert model.count == 0
