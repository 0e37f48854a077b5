"""The tasks of the study against the installed packages, so that none of them can rot, and its probe stays sealed."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from tests.proving import deciding_lines, normal, occurs, rows

DATA = Path(__file__).parents[2] / "data"
WORK, PROBE, GOLD = (rows(DATA / "study" / f"{name}.jsonl") for name in ("work", "probe", "gold"))
KNOWN = {gold["custom_id"]: gold for gold in GOLD}


def test_there_are_enough_tasks_and_half_of_them_are_false() -> None:
    """At least 400, of at least nine families, 45 to 55 % false in the work and in the probe."""
    assert len(WORK) + len(PROBE) == len(GOLD) >= 400
    assert len({gold["family"] for gold in GOLD}) >= 9
    for part in (WORK, PROBE):
        false = sum(KNOWN[task["custom_id"]]["verdict"] == "fail" for task in part)
        assert 0.45 <= false / len(part) <= 0.55


def test_each_task_has_one_known_answer() -> None:
    """Ids and texts are distinct, and work and probe share none."""
    tasks = [*WORK, *PROBE]
    assert {task["custom_id"] for task in tasks} == KNOWN.keys()
    assert len({task["task"] for task in tasks}) == len({task["custom_id"] for task in tasks}) == len(tasks)


def test_the_probe_is_kin_or_novel_as_its_gold_says() -> None:
    """Kin asks about a fact of the work, novel about none; every fact of the work is told truly and falsely."""
    worked = {KNOWN[task["custom_id"]]["fact"] for task in WORK}
    parts = Counter(KNOWN[task["custom_id"]]["part"] for task in PROBE)
    assert parts["kin"] >= 50
    assert parts["novel"] >= 100
    for task in PROBE:
        gold = KNOWN[task["custom_id"]]
        assert (gold["fact"] in worked) == (gold["part"] == "kin"), task["custom_id"]
    told = defaultdict(list)
    for task in WORK:
        told[KNOWN[task["custom_id"]]["fact"]].append(KNOWN[task["custom_id"]]["verdict"])
    assert {tuple(sorted(verdicts)) for verdicts in told.values()} == {("fail", "pass")}


def test_no_other_set_asks_about_the_same_lines() -> None:
    """What the gate, the retrieval and the playbook were made with is not what the study measures."""
    others = [
        row
        for name in ("audit", "playbook", "written", "generated")
        for row in rows(DATA / "retrieval" / f"{name}.jsonl")
    ]
    asked = {(row["path"], row["pattern"]) for row in others}
    assert [gold["custom_id"] for gold in GOLD if (gold["path"], gold["pattern"]) in asked] == []


def test_each_answer_is_proved_by_its_line() -> None:
    """The line is found once, holds what was found, and equals what is claimed just where the claim is true."""
    texts = {task["custom_id"]: task["task"] for task in (*WORK, *PROBE)}
    for gold in GOLD:
        name, expected, found = gold["custom_id"], gold["expected"], gold["found"]
        for place in (gold, *gold.get("also", [])):
            assert len(deciding_lines(place)) == 1, name
            assert found in place["pattern"], name
        assert expected in texts[name], name
        claimed, real = normal(expected, None), normal(found, gold.get("unit"))
        assert (claimed == real) == (gold["verdict"] == "pass"), (name, claimed, real)
        if gold["verdict"] == "fail" and claimed[0] == "text":
            assert not occurs(expected.strip("'`"), gold["pattern"]), f"{name}: the false value stands in the line"
