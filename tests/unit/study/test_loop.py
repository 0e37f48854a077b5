"""The study of the loop: its arms, its sealed probe, going on after an interruption, and its numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli import main
from cli.study.loop_arm import ArmHouse, Plan
from evidence.reader import EvidenceReader
from replay.contracts import Generation, Record, Ruling, State, Tier
from replay.corpus import snapshot
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.retrieval import CurrentRetriever
from replay.errors import ModelUnavailable
from replay.gate import DEFAULT_GATE
from replay.pipeline import Engine
from replay.prompting import PromptLimits
from replay.settings import Settings
from replay.study.comparison import mcnemar
from replay.study.loop import measuring, placebo
from replay.study.loop.arms import LoopArm
from replay.study.loop.oracle import NAME, STAND_IN, OracleStandIn
from replay.study.loop.power import WANTED, power, smallest_gain
from replay.study.loop.report import ArmRounds, LoopConditions, report
from replay.study.loop.tasks import Gold, StudyTask
from replay.study.loop.turns import Turn
from tests.factories import UNSURE, make_bundle, make_generation

PATH = "kombu/transport/redis.py"
WORK = (
    ("w1", "Verify that the visibility timeout of kombu's Redis channel is 1 hour.", "pass", "3600", "1 hour"),
    ("w2", "Verify that the visibility timeout of kombu's Redis channel is 2 hours.", "fail", "3600", "2 hours"),
    ("w3", "Check that in kombu's Redis channel unacked mutex expire is 300.", "pass", "300", "300"),
)
LINES = {
    "w1": "visibility_timeout = 3600  # 1 hour",
    "w2": "visibility_timeout = 3600  # 1 hour",
    "w3": "unacked_mutex_expire = 300  # 5 minutes",
}
SEALED = "In kombu's Redis channel the unacked mutex expire is 300."


def known(name: str, verdict: str, line: str, part: str, *, found: str = "300", expected: str = "300") -> Gold:
    """What is known of a task."""
    said = {"custom_id": name, "verdict": verdict, "part": part, "path": PATH, "pattern": line}
    return Gold.model_validate({**said, "found": found, "expected": expected})


def work_tasks() -> tuple[StudyTask, ...]:
    """Three tasks about two lines."""
    return tuple(
        StudyTask(name, text, (), (), known(name, verdict, LINES[name], "work", found=found, expected=expected))
        for name, text, verdict, found, expected in WORK
    )


PROBE = (StudyTask("p1", SEALED, (), (), known("p1", "pass", LINES["w3"], "kin")),)


class Unsure:
    """A local model that never knows, may be interrupted, and may be gone."""

    def __init__(self, interrupted_at: int | None = None, *, gone: bool = False) -> None:
        self.calls = 0
        self._at = interrupted_at
        self.gone = gone

    def generate(self, tier: Tier, messages: list[dict[str, str]], schema: dict[str, Any]) -> Generation:
        """Say that no line decides."""
        del tier, messages, schema
        self.calls += 1
        if self.calls == self._at:
            raise KeyboardInterrupt
        if self.gone:
            raise ModelUnavailable("nobody there", hint="")
        return make_generation(UNSURE)


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """A corpus with the one passage that decides all of it."""
    made = Settings(data_dir=data_dir)
    snapshot.write([make_bundle().passages[0].record], made.corpus_dir)
    return made


def plan(settings: Settings, local: Unsure, placebo_records: tuple[Record, ...] = ()) -> Plan:
    """Two rounds with the oracle as the large model."""
    engine = Engine(CurrentRetriever(settings.corpus_dir, settings), local, PromptLimits(), DEFAULT_GATE)
    return Plan(
        study="study",
        work=work_tasks(),
        probe=PROBE,
        rounds=2,
        engine=engine,
        large=lambda task: lambda order: OracleStandIn(order, task.gold, engine.gate),
        stand_in=True,
        barred=Barred([(SEALED, ())], Policy().barred_similarity),
        policy=Policy(),
        placebo=placebo_records,
    )


def told(rounds: ArmRounds) -> Any:
    """A report without what a clock has measured."""
    wired = [measuring.wire(counted) for counted, _ in rounds.work]
    wired += [measuring.wire(part) for parts, _ in rounds.probe for part in parts]
    for one in wired:
        one.pop("cost")
    return wired, ["".join(turn.letter for turn in turns) for _, turns in rounds.work]


def test_accepted_answers_come_back_as_remembered_lines(settings: Settings, tmp_path: Path) -> None:
    """The live arm admits what the large model got right and shows it in the next round; the frozen one does not."""
    local = Unsure()
    live, frozen = (ArmHouse(arm, plan(settings, local), settings, tmp_path) for arm in (LoopArm.LIVE, LoopArm.FROZEN))
    for house in (live, frozen):
        house.run(live)
    first, second = (counted for counted, _ in live.rounds().work)
    assert (first.escalated.hits, first.right.hits, first.wrong.hits) == (3, 3, 0)
    assert first.added > 0
    assert (first.remembered.hits, second.remembered.hits > 0) == (0, True)
    assert [counted.produced.hits for counted, _ in frozen.rounds().work] == [0, 0]
    assert snapshot.load(frozen.corpus_dir).version == snapshot.load(settings.corpus_dir).version
    assert not settings.evidence_log.exists()


def test_the_probe_is_sealed(settings: Settings, tmp_path: Path) -> None:
    """No probe run lies in the evidence that admission reads, and work that says the same is not admitted either."""
    live = ArmHouse(LoopArm.LIVE, plan(settings, Unsure()), settings, tmp_path)
    live.run(live)
    log = EvidenceReader(tmp_path / "live" / "_kb" / "replay_runs.jsonl")
    assert {entry.record["custom_id"] for entry in log.iterate()} == {"w1", "w2", "w3"}
    titles = {record.title for record in snapshot.load(live.corpus_dir).playbook}
    assert WORK[0][1] in titles
    assert not titles & {SEALED, WORK[2][1]}


def test_what_was_interrupted_comes_to_the_same(settings: Settings, tmp_path: Path) -> None:
    """Interrupted in probe and work and gone on with, an arm has the same report; one task is lost at most."""
    whole = ArmHouse(LoopArm.LIVE, plan(settings, counted := Unsure()), settings, tmp_path / "whole")
    whole.run(whole)
    for at in (1, 4, 8):
        folder = tmp_path / f"at{at}"
        broken = ArmHouse(LoopArm.LIVE, plan(settings, Unsure(at)), settings, folder)
        with pytest.raises(KeyboardInterrupt):
            broken.run(broken)
        rest = Unsure()
        again = ArmHouse(LoopArm.LIVE, plan(settings, rest), settings, folder)
        again.run(again)
        assert rest.calls == counted.calls - at + 1
        assert told(again.rounds()) == told(whole.rounds())
        again.run(again)
        assert rest.calls == counted.calls - at + 1


def test_of_an_endpoint_that_is_gone_nothing_is_kept(settings: Settings, tmp_path: Path) -> None:
    """Failures alone are no round: once the model is back the same tasks are asked again."""
    local = Unsure(gone=True)
    seven = tuple(
        StudyTask(f"p{number}", f"{SEALED} {number}", (), (), known(f"p{number}", "pass", LINES["w3"], "novel"))
        for number in range(7)
    )
    one = plan(settings, local)
    one = Plan(**{**vars(one), "probe": seven})
    house = ArmHouse(LoopArm.FROZEN, one, settings, tmp_path)
    with pytest.raises(ModelUnavailable, match="nobody there"):
        house.run(house)
    assert house.rounds().probe == ()
    local.gone = False
    house.run(house)
    assert {turn.state for _, turns in house.rounds().probe for turn in turns} == {State.REJECTED}


def claims() -> list[placebo.Claim]:
    """Proved claims, one of which is about a package of the tasks."""
    said = [("rich/bar.py", "Audit whether the width of Bar in Rich is 10."), (PATH, WORK[0][1])]
    said += [(f"click/core{number}.py", f"Check that thing {number} of Click is {number}.") for number in range(4)]
    return [
        placebo.Claim(
            query_id=text, text=text, verdict=Ruling.PASS, path=path, pattern="x = 10", expected="1", found="1"
        )
        for path, text in said
    ]


def test_placebo_grows_as_the_live_corpus_and_shows_no_line(settings: Settings, tmp_path: Path) -> None:
    """As many records, of the same form, about other packages; none has a line that retrieval could show."""
    records = tuple(placebo.records(claims(), frozenset({"kombu"}), lambda _: 3))
    assert len(records) == 5
    assert all("Evidence: " + PATH not in record.text for record in records)
    assert list(placebo.records(claims(), frozenset(), lambda _: None)) == []
    one = plan(settings, Unsure(), records)
    live, other = (ArmHouse(arm, one, settings, tmp_path) for arm in (LoopArm.LIVE, LoopArm.PLACEBO))
    live.run(live)
    other.run(live)
    held = [record for record in snapshot.load(other.corpus_dir).playbook if record.origin == placebo.ORIGIN]
    assert len(held) == live.produced(2) > 0
    assert [counted.remembered.hits for counted, _ in other.rounds().work] == [0, 0]


def turn(name: str, **fields: Any) -> Turn:
    """A task whose local answer was accepted and right, unless it is said otherwise."""
    usual: Mapping[str, Any] = {
        "part": "work",
        "known": Ruling.PASS,
        "state": State.ACCEPTED,
        "ruling": Ruling.PASS,
        "local_ruling": Ruling.PASS,
        "handed_on": False,
        "undecidable": False,
        "cause": "",
        "own": False,
        "remembered": False,
        "produced": False,
        "reachable": True,
        "large_right": None,
        "tokens": 0,
        "seconds": 1.0,
    }
    return Turn(custom_id=name, **{**usual, **fields})


def test_a_round_is_counted() -> None:
    """Escalation, causes, false accepts, and what escalating as many at random would have come to."""
    handed = {"handed_on": True, "cause": "binding", "local_ruling": Ruling.FAIL, "large_right": True}
    turns = [
        turn("a"),
        turn("b", ruling=Ruling.FAIL, local_ruling=Ruling.FAIL),
        turn("c", **handed),
        turn("d", **{**handed, "large_right": False, "reachable": False}, state=State.REJECTED),
        turn("e", state=State.FAILED),
    ]
    counted = measuring.work(1, "corpus_x", turns, large=True, stand_in=True)
    assert (counted.tasks, counted.failed) == (5, 1)
    assert (counted.escalated.hits, counted.right.hits, counted.wrong.hits, counted.accepted.hits) == (2, 2, 1, 3)
    assert counted.causes == {"binding": 2}
    assert "".join(one.letter for one in turns) == "rwRuf"
    # Half of four at random: half of the one that the local side has right, and half of the three that are reachable.
    assert counted.at_random is not None
    assert (counted.at_random.right, counted.at_random.wrong) == (0.5 * 1 + 0.5 * 3, 0.5 * 3)


def test_power_is_what_the_exact_test_gives() -> None:
    """Without losses six differing tasks are the fewest that tell; the smallest gain is found, one step less is not."""
    assert mcnemar(0, 5) > 0.05 >= mcnemar(0, 6)
    assert power(5, 1.0, 0.0) == 0.0
    assert power(6, 1.0, 0.0) == pytest.approx(1.0)
    gain = smallest_gain(185, 0.0)
    assert gain is not None
    assert power(185, gain, 0.0) >= WANTED > power(185, gain - 0.0025, 0.0)


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_the_stand_in_is_named_wherever_it_is_told(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
) -> None:
    """Tables, JSON, Markdown, plot and evidence say that no model answered; each arm stays out of the stack's data."""
    monkeypatch.setenv("REPLAY_DATA_DIR", str(settings.data_dir))
    rows = [(task, task.gold) for task in (*work_tasks(), *PROBE)]
    for name, wanted in (("work", work_tasks()), ("probe", PROBE)):
        lines = [json.dumps({"custom_id": task.custom_id, "task": task.text}) for task in wanted]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "gold.jsonl").write_text("\n".join(gold.model_dump_json(by_alias=True) for _, gold in rows))
    files = [f"--{name}={tmp_path / name}.jsonl" for name in ("work", "probe", "gold")]
    out = tmp_path / "study"
    words = ["study", "loop", *files, "--rounds=1", "--large=oracle", f"--out={out}", *extra]
    assert typed(*words) == 0
    assert STAND_IN in capsys.readouterr().out
    made = json.loads((out / "loop.json").read_text())
    assert made["conditions"]["large_is_stand_in"]
    assert {arm["large"] for arm in made["arms"]} == {STAND_IN}
    headings = [line for line in (out / "loop.md").read_text().splitlines() if line.startswith("## ")]
    assert all(STAND_IN in line for line in headings if "before the result" not in line)
    assert STAND_IN in (out / "loop.svg").read_text()
    log = EvidenceReader(out / "live" / "_kb" / "replay_runs.jsonl")
    runs = [entry.record for entry in log.iterate() if entry.record["schema"] == "replay_run.v1"]
    large = {run["attempt"]["generation"]["model"] for run in runs if run["attempt"]["tier"] == "escalation"}
    assert large <= {NAME}
    assert not settings.evidence_log.exists()
    assert typed(*words, "--limit=1") != 0
    assert "Another study lies" in capsys.readouterr().err


def typed(*words: str) -> int:
    """Type a command; what it exits with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["replay", *words])
        with pytest.raises(SystemExit) as ended:
            main.main()
    return int(ended.value.code or 0)


def test_an_empty_report_says_nothing_false() -> None:
    """Before the first round is whole there are no drops and no comparisons."""
    made = report(_conditions(), [ArmRounds(LoopArm.LIVE, (), ())])
    assert (made.drops, made.compared, made.power) == ((), (), ())


def _conditions() -> Any:
    return LoopConditions("w", "p", "none", "none", 1, "corpus_x", "gate", 0.0, 7, "here")
