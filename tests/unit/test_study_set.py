"""The tasks of the study against the installed packages, so that none of them can rot, and its probes stay sealed."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.proving import deciding_lines, normal, occurs, rows

DATA = Path(__file__).parents[2] / "data"


class StudySet(NamedTuple):
    """The files of one set, and its known answers by task."""

    work: list[dict[str, Any]]
    probe: list[dict[str, Any]]
    gold: list[dict[str, Any]]
    known: dict[str, dict[str, Any]]


def _read(folder: Path) -> StudySet:
    work, probe, gold = (rows(folder / f"{name}.jsonl") for name in ("work", "probe", "gold"))
    return StudySet(work, probe, gold, {one["custom_id"]: one for one in gold})


def _read_reworded(folder: Path) -> StudySet:
    probe, gold = rows(folder / "reworded.jsonl"), rows(folder / "reworded-gold.jsonl")
    return StudySet([], probe, gold, {one["custom_id"]: one for one in gold})


FIRST, SECOND = _read(DATA / "study"), _read(DATA / "study" / "second")
both = pytest.mark.parametrize("tasks", [FIRST, SECOND], ids=["first", "second"])


@both
def test_half_of_the_tasks_are_false(tasks: StudySet) -> None:
    """Of nine families, 45 to 55 % false in the work and in the probe."""
    assert len(tasks.work) + len(tasks.probe) == len(tasks.gold)
    assert len({gold["family"] for gold in tasks.gold}) >= 9
    for part in (tasks.work, tasks.probe):
        false = sum(tasks.known[task["custom_id"]]["verdict"] == "fail" for task in part)
        assert 0.45 <= false / len(part) <= 0.55


@both
def test_each_task_has_one_known_answer(tasks: StudySet) -> None:
    """Ids and texts are distinct, and work and probe share none."""
    asked = [*tasks.work, *tasks.probe]
    assert {task["custom_id"] for task in asked} == tasks.known.keys()
    assert len({task["task"] for task in asked}) == len({task["custom_id"] for task in asked}) == len(asked)


@both
def test_the_probe_is_kin_or_novel_as_its_gold_says(tasks: StudySet) -> None:
    """Kin asks about a fact of the work, novel about none; every fact of the work is told truly and falsely."""
    worked = {tasks.known[task["custom_id"]]["fact"] for task in tasks.work}
    parts = Counter(tasks.known[task["custom_id"]]["part"] for task in tasks.probe)
    assert parts["kin"] >= 50
    assert parts["novel"] >= 100
    for task in tasks.probe:
        gold = tasks.known[task["custom_id"]]
        assert (gold["fact"] in worked) == (gold["part"] == "kin"), task["custom_id"]
    told = defaultdict(list)
    for task in tasks.work:
        told[tasks.known[task["custom_id"]]["fact"]].append(tasks.known[task["custom_id"]]["verdict"])
    assert {tuple(sorted(verdicts)) for verdicts in told.values()} == {("fail", "pass")}


def test_there_are_enough_tasks() -> None:
    """At least 400 in the first set, and the second one asks about no fact of the first."""
    assert len(FIRST.gold) >= 400
    assert len(SECOND.gold) >= 300
    assert not {gold["fact"] for gold in FIRST.gold} & {gold["fact"] for gold in SECOND.gold}


@both
def test_no_other_set_asks_about_the_same_lines(tasks: StudySet) -> None:
    """What the gate, the retrieval and the playbook were made with is not what the study measures."""
    others = [
        row
        for name in ("audit", "playbook", "written", "generated")
        for row in rows(DATA / "retrieval" / f"{name}.jsonl")
    ]
    asked = {(row["path"], row["pattern"]) for row in others}
    assert [gold["custom_id"] for gold in tasks.gold if (gold["path"], gold["pattern"]) in asked] == []


@both
def test_each_answer_is_proved_by_its_line(tasks: StudySet) -> None:
    """The line is found once, holds what was found, and equals what is claimed just where the claim is true."""
    texts = {task["custom_id"]: task["task"] for task in (*tasks.work, *tasks.probe)}
    for gold in tasks.gold:
        name, expected, found = gold["custom_id"], gold["expected"], gold["found"]
        for place in (gold, *gold.get("also", [])):
            assert len(deciding_lines(place)) == 1, name
            assert found in place["pattern"], name
        assert expected in texts[name], name
        claimed, real = normal(expected, None), normal(found, gold.get("unit"))
        assert (claimed == real) == (gold["verdict"] == "pass"), (name, claimed, real)
        if gold["verdict"] == "fail" and claimed[0] == "text":
            assert not occurs(expected.strip("'`"), gold["pattern"]), f"{name}: the false value stands in the line"


def test_the_reworded_probe_asks_for_the_same_facts_in_other_words() -> None:
    """Fact, part and truth are those of the second probe; no sentence is, and each answer is proved by its line."""
    again = _read_reworded(DATA / "study" / "second")
    of = ("fact", "part", "verdict")
    assert {tuple(gold[name] for name in of) for gold in again.gold} <= {
        tuple(gold[name] for name in of) for gold in SECOND.gold
    }
    assert len(again.probe) >= 0.9 * len(SECOND.probe)
    assert not {task["task"] for task in again.probe} & {task["task"] for task in SECOND.probe}
    texts = {task["custom_id"]: task["task"] for task in again.probe}
    for gold in again.gold:
        assert gold["expected"] in texts[gold["custom_id"]], gold["custom_id"]
        assert all(len(deciding_lines(place)) == 1 for place in (gold, *gold.get("also", []))), gold["custom_id"]
