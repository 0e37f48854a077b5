"""`replay gate` and `replay study regate` as they are typed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import given as from_any
from hypothesis import settings as trying
from hypothesis import strategies as st

from evidence.log import EvidenceLog
from producer import manifest
from producer.manifest import Batch
from replay.contracts import Check, ReplayRun, Ruling, State, Tier
from replay.gate import CODES, GATE_VERSION
from replay.settings import Settings
from tests.batches import make_lines, make_run, record
from tests.command_line import Typed, settings_of_shell, typing_into
from tests.factories import SOURCE, make_generation, make_task

QUOTE = "visibility_timeout = 3600  # 1 hour"
HOSTILE = "\x1b[2Jodd [/b] \u202e | `x`"


@pytest.fixture
def settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings of the commands that are typed."""
    return settings_of_shell(monkeypatch, data_dir)


@pytest.fixture
def typed(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Types a command: its exit code, what it prints, and what it tells on stderr."""
    assert settings.data_dir.is_dir()
    return typing_into(monkeypatch, capsys)


def case(name: str = "c", *, verdict: str = "pass", **label: Any) -> dict[str, Any]:
    """A line: a right answer where it passes, a wrong one where it fails."""
    finding = {"expected": "1 hour", "found": "3600", "cites": [{"record_id": "r1", "quote": QUOTE}]}
    line: dict[str, Any] = {
        "case_id": name,
        "task": {"input": make_task().text, "checklist": []},
        "bundle": {
            "records": [{"id": "r1", "kind": "source", "text": SOURCE, "path": "kombu/redis.py", "first_line": 400}]
        },
        "output": {"findings": [finding], "checks": [], "verdict": verdict, "proposals": []},
    }
    return line | ({"label": label} if label else {})


def written(path: Path, *lines: Any) -> Path:
    """A file of cases; what is not text already becomes JSON."""
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


LABELLED = (
    case("right", accept=True),
    case("wrong", verdict="fail", accept=False, mutation="flip"),
    case("missed", accept=False, mutation="flip"),
    case("strict", verdict="fail", accept=True),
)


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_counts_what_is_rejected(typed: Typed, tmp_path: Path) -> None:
    """Each class with its share and interval, false rejects, and the first ones that were judged wrong."""
    code, out, _ = typed("gate", "check", "--cases", written(tmp_path / "c.jsonl", *LABELLED), "--show-wrong", 1)
    rows = {line.rsplit(maxsplit=4)[0]: line.split()[-4:] for line in out.splitlines() if line[-1:].isdigit()}
    assert code == 0
    assert rows["flip"] == ["1", "2", "0.500", "0.095-0.905"]
    assert rows["to be accepted: false rejects"] == ["1", "2", "0.500", "0.095-0.905"]
    assert "judged unlike their label: 2 of 4" in out
    assert "missed ought to be rejected (flip) and is accepted" in out
    assert "strict ought" not in out


def test_check_writes_one_verdict_a_line(typed: Typed, tmp_path: Path) -> None:
    """With --json stdout has nothing else; the counts are told on stderr and left in a file."""
    counts = tmp_path / "counts.json"
    code, out, told = typed(
        "gate", "check", "--cases", written(tmp_path / "c.jsonl", *LABELLED), "--json", "--summary-json", counts
    )
    verdicts = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(verdict["case_id"], verdict["accepted"]) for verdict in verdicts] == [
        ("right", True), ("wrong", False), ("missed", True), ("strict", False)
    ]  # fmt: skip
    assert set(verdicts[0]) == {"case_id", "accepted", "score", "reasons"}
    assert set(verdicts[1]["reasons"][0]) == {"rule", "message", "span", "expectation"}
    assert "false rejects" in told
    summary = json.loads(counts.read_text())
    assert (summary["gate_version"], summary["recall"]["flip"]["hits"], summary["wrong"]) == (GATE_VERSION, 1, 2)


def test_check_names_bad_lines_and_judges_the_rest(typed: Typed, tmp_path: Path) -> None:
    """File, line and field; exit code 1. Without labels there is no table."""
    file = written(tmp_path / "c.jsonl", "{", "", case("x") | {"task": {}}, case(HOSTILE))
    code, out, told = typed("gate", "check", "--cases", file, "--show-wrong", 3)
    assert code == 1
    assert f"{file}, line 1: not JSON" in told
    assert f"{file}, line 3, task.input: missing" in told
    assert "1 cases, 1 accepted" in out
    assert "95 %" not in out


def test_check_reads_standard_input(typed: Typed) -> None:
    """`-`, with a reply as it came and a name that would steer the terminal."""
    line = case(HOSTILE, accept=True) | {"output": "no JSON \x1b[2J"}
    stdin = json.dumps(line, ensure_ascii=False).encode()
    code, out, _ = typed("gate", "check", "--cases", "-", "--show-wrong", 1, stdin=stdin)
    assert (code, "\x1b" in out, "form.not_the_format 1" in out) == (0, False, True)
    assert r"\x1b[2Jodd [/b] \u202e | `x` ought to be accepted" in out
    code, out, _ = typed("gate", "check", "--cases", "-", "--json", stdin=stdin)
    assert json.loads(out)["case_id"] == HOSTILE
    assert "\x1b" not in out


def test_check_with_rules_off_says_so(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option, by the setting of the workers, and by the name of another gate, which the setting does not touch."""
    file = written(tmp_path / "c.jsonl", case())
    monkeypatch.setenv("REPLAY_GATE_RULES_OFF", "form.hedge")
    words = ("gate", "check", "--cases", file)
    assert f"{GATE_VERSION}-form.hedge: 1 cases" in typed(*words)[1]
    assert f"{GATE_VERSION}: 1 cases" in typed(*words, "--gate", GATE_VERSION)[1]
    assert (
        f"{GATE_VERSION}-echo.other_subject: 1"
        in typed(*words, "--gate", GATE_VERSION, "--off", "echo.other_subject")[1]
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["check", "--cases", "gone.jsonl"], "'gone.jsonl' cannot be read"),
        (["check", "--cases", "-", "--gate", "v0"], "there is no gate 'v0'"),
        (["check", "--cases", "-", "--off", "form.x"], "no rule 'form.x'"),
        (["check", "--cases", "-", "--summary-json", "gone/x.json"], "gone/x.json cannot be written"),
        (["explain", "run_1"], "no evidence log"),
        (["audit"], "no evidence log"),
    ],
)
def test_mistakes_are_told_with_a_hint(words: list[str], told: str, typed: Typed) -> None:
    """Exit code 2, and what to do next."""
    code, out, err = typed("gate", *words)
    assert (code, out, told in err, "hint:" in err) == (2, "", True, True)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@trying(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@from_any(
    lines=st.lists(
        st.binary(max_size=20)
        | st.builds(
            lambda field, value: json.dumps(case() | {field: value}).encode(),
            st.sampled_from(["case_id", "task", "bundle", "output", "label"]),
            _ANY,
        ),
        max_size=3,
    )
)
def test_no_file_makes_check_raise(lines: list[bytes], typed: Typed) -> None:
    """Each line is a verdict or a bad line; the exit code says which there were."""
    code, out, told = typed("gate", "check", "--cases", "-", "--json", stdin=b"\n".join(lines))
    assert all("accepted" in json.loads(line) for line in out.splitlines())
    assert code == int("bad lines were left out" in told)


# --- over evidence ---------------------------------------------------------------------------------------------------


@pytest.fixture
def history(settings: Settings) -> Batch:
    """Evidence of a batch: one accepted, one escalated and then rejected, one failed; and a letter that was dead."""
    lines = make_lines(3)
    lines[0] = lines[0].model_copy(update={"task": make_task().text})
    batch = manifest.plan(lines, source="tasks.jsonl", corpus_version=None, created_at="2026-01-01")
    manifest.write(batch, settings.batches_dir)
    first, second, third = batch.tasks
    record(
        settings,
        make_run(first),
        make_run(second, State.ESCALATED, rules=["binding.rival_line"]),
        make_run(second, State.REJECTED, Tier.ESCALATION, rules=["support.unsupported"], ruling=Ruling.FAIL),
        make_run(third, State.FAILED, None, reason=HOSTILE),
    )
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([{"schema": "replay_dead.v1", "id": "dead_1"}])
    return batch


def test_explain_shows_the_answer_beside_what_it_cites(typed: Typed, history: Batch) -> None:
    """By run id: claim, cited line with number, verdict and gate."""
    code, out, _ = typed("gate", "explain", history.tasks[0].run_id)
    assert code == 0
    assert "kombu/transport/redis.py:400-404  (source src_channel)" in out
    assert "▶   402      visibility_timeout = 3600  # 1 hour" in out
    assert "verdict of the answer: pass; accepted, gate gate.test" in out
    assert "measured now" in out


def test_explain_finds_a_run_by_any_of_its_names(typed: Typed, history: Batch) -> None:
    """Run, attempt, custom id, and the beginning of each; an attempt's name shows that attempt."""
    run = history.tasks[1]
    attempt = make_run(run).id
    for name in (run.run_id, run.run_id[:12], run.run_id.removeprefix("run_")[:9], "t1"):
        code, out, told = typed("gate", "explain", name)
        assert (code, "t1 · escalation · rejected" in out, "--attempt local" in told) == (0, True, True), name
        assert "✗ support.unsupported does not hold" in out
    for name in (attempt, attempt[:12]):
        assert "t1 · local · escalated" in typed("gate", "explain", name)[1]
    for chosen in ("local", attempt[:12]):
        out = typed("gate", "explain", "t1", "--attempt", chosen)[1]
        assert "✗ binding.rival_line does not hold" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody"], "no evidence of 'nobody'"),
        (["t"], "3 runs go by 't'"),
        (["t1", "--attempt", "third"], "no attempt goes by 'third'"),
        (["t1", "--attempt", "att_"], "several attempts go by"),
        (["dead_1"], "dead_1 is no run: dead letter"),
        (["t1", "--markdown", "--json"], "exclude each other"),
    ],
)
def test_explain_says_what_it_cannot_find(words: list[str], told: str, typed: Typed, history: Batch) -> None:
    """With what there is."""
    code, _, err = typed("gate", "explain", *words)
    assert (code, told in err, "hint:" in err) == (2, True, True)


def test_explain_is_honest_about_a_run_without_an_answer(typed: Typed, history: Batch) -> None:
    """And shows foreign text without being steered by it."""
    code, out, _ = typed("gate", "explain", "t2")
    assert code == 0
    assert r"there is no answer: the run ended without an attempt: \x1b[2Jodd [/b] \u202e | `x`" in out
    assert "not judged" in out


def test_explain_in_other_forms(typed: Typed, history: Batch) -> None:
    """Markdown, and JSON with the places of what is not backed."""
    assert "▶   402      visibility_timeout" in typed("gate", "explain", "t0", "--markdown")[1]
    shown = json.loads(typed("gate", "explain", "t0", "--json")[1])
    assert (shown["decision"], shown["gate_version"], shown["answer"]) == ("accepted", "gate.test", "pass")
    assert [line["number"] for line in shown["findings"][0]["citations"][0]["lines"] if line["cited"]] == [402]


def test_explain_shows_first_what_matters(typed: Typed, settings: Settings) -> None:
    """The verdict before the findings; checks that were left open are counted, for they may be about other tasks."""
    run = make_run(make_task(), State.REJECTED, rules=["coverage.missing"])
    assert run.attempt is not None
    assert run.attempt.answer is not None
    checks = (
        Check(item="of another task", result="unknown"),
        Check(item="the default", result="pass"),
        Check(item="the unit", result="fail"),
    )
    answer = run.attempt.answer.model_copy(update={"checks": checks})
    record(settings, run.model_copy(update={"attempt": run.attempt.model_copy(update={"answer": answer})}))
    lines = typed("gate", "explain", run.run_id)[1].splitlines()

    def at(text: str) -> int:
        return next(number for number, line in enumerate(lines) if text in line)

    order = ["verdict of the answer", "coverage.missing", "finding 1", "fail  the unit", "pass  the default"]
    assert sorted(order, key=at) == order
    assert at("1 check left open, which may be about other tasks") > at("pass  the default")
    assert not [line for line in lines if "of another task" in line]
    listed = typed("gate", "explain", run.run_id, "--markdown")[1]
    assert listed.index("the unit") < listed.index("the default") < listed.index("of another task")


def test_marks_stand_for_colour(typed: Typed, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nothing backs is between marks where there is no colour."""
    run = make_run(make_task(), State.REJECTED)
    assert run.attempt is not None
    assert run.attempt.answer is not None
    (finding,) = run.attempt.answer.findings
    invented = finding.model_copy(update={"claim": f"{QUOTE} with quadratic cost"})
    answer = run.attempt.answer.model_copy(update={"findings": (invented,)})
    record(settings, run.model_copy(update={"attempt": run.attempt.model_copy(update={"answer": answer})}))
    assert "1 hour with ⟦quadratic cost⟧" in typed("gate", "explain", run.run_id)[1]


def test_regate_shows_what_would_change(typed: Typed, history: Batch) -> None:
    """By tier and recorded gate; what holds no attempt is counted, and no byte of the evidence is touched."""
    log = Settings().evidence_log
    before = log.read_bytes()
    code, out, told = typed("study", "regate", "--gate", GATE_VERSION)
    assert (code, log.read_bytes()) == (0, before)
    rows = [line.split() for line in out.splitlines() if line.startswith(("local", "escalation"))]
    assert rows == [
        ["escalation", "gate.test", "1", "0", "0", "1", "0"],
        ["local", "gate.test", "2", "0", "0", "1", "1"],
    ]
    assert f"3 attempts judged again by {GATE_VERSION}: 3 by the reply" in out
    assert "records with nothing to judge again: no attempt 1" in out
    assert "left aside: 1 records that are no runs" in told


def test_regate_lists_every_change_as_json(typed: Typed, history: Batch, tmp_path: Path) -> None:
    """One a line; the counts go to stderr and into a file."""
    counts = tmp_path / "counts.json"
    code, out, told = typed(
        "study", "regate", "--json", "--by", "answer", "--batch", history.batch_id[:12], "--summary-json", counts
    )
    changes = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(item["custom_id"], item["tier"], item["change"], item["basis"]) for item in changes] == [
        ("t1", "local", "other_reasons", "answer"),
        ("t1", "escalation", "other_reasons", "answer"),
    ]
    assert "judged again" in told
    summary = json.loads(counts.read_text())
    assert (summary["batch_id"], summary["attempts"], summary["changes"]["unchanged"]) == (history.batch_id, 3, 1)


def test_regate_lists_the_first_twenty(typed: Typed, settings: Settings) -> None:
    """And says that there are more."""
    runs: list[ReplayRun] = []
    for number in range(21):
        run = make_run(make_task(custom_id=f"r{number}"))
        assert run.attempt is not None
        attempt = run.attempt.model_copy(update={"generation": make_generation("no JSON")})
        runs.append(run.model_copy(update={"attempt": attempt}))
    record(settings, *runs)
    out = typed("study", "regate")[1]
    assert out.count("+form.not_the_format") == 20
    assert "the first 20 are shown" in out
    assert "replies that read otherwise today than the answer that was stored: 21" in out


def test_audit_reports_a_batch_or_everything(typed: Typed, history: Batch, settings: Settings) -> None:
    """The newest by default; an answer without an audit is measured on demand."""
    record(settings, make_run(make_task(custom_id="other")))
    code, out, told = typed("gate", "audit")
    assert code == 0
    assert f"{history.batch_id}: 4 records, 3 with an answer" in out
    assert "judged by a gate that made no audit: 3" in out
    assert "left aside: 1" in told
    for words, records in (((), 4), ((history.batch_id[:10],), 4), (("--all",), 5)):
        report = json.loads(typed("gate", "audit", *words, "--again", "--json")[1])
        assert (report["records"], report["total"]["claims"]) == (records, records - 1)
        assert report["backers"][0]["record_id"] == "src_channel"
    out = typed("gate", "audit", "--all", "--again", "-n", "1")[1]
    assert "kombu/transport/redis.py:400-404" in out


def test_audit_says_which_batches_there_are(typed: Typed, history: Batch, settings: Settings) -> None:
    """A log that came without its batches has them, too."""
    code, _, told = typed("gate", "audit", "zzz")
    assert (code, history.batch_id in told) == (2, True)
    assert typed("gate", "audit", history.batch_id, "--all")[0] == 2
    manifest.folder(settings.batches_dir, history.batch_id).joinpath("manifest.jsonl").unlink()
    assert history.batch_id in typed("gate", "audit")[1]
    assert history.batch_id in typed("gate", "audit", history.batch_id)[1]


def test_a_record_of_another_version_is_told(typed: Typed, settings: Settings) -> None:
    """It is counted by a pass, and named where it is asked for."""
    strange = make_run(make_task()).wire() | {"mood": "good"}
    with EvidenceLog.open(settings.evidence_log) as log:
        log.append([strange])
    assert "1 runs that this version cannot read" in typed("study", "regate")[2]
    code, _, told = typed("gate", "explain", strange["run_id"])
    assert (code, "does not read: mood" in told) == (4, True)


def test_the_page_names_every_rule() -> None:
    """And no rule that there is not."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
    table = page.partition("## The families of rules")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z]+\.[a-z_]+)`", table)) == CODES
