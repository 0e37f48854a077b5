"""The numbers of one arm: what counts as right, wrong and undecided, out of how many, and with what interval."""

from __future__ import annotations

import pytest

from replay.contracts import Ruling, State
from replay.study.arms import Arm, Outcome, score
from replay.study.scoring import wilson

OUTCOMES = [
    Outcome("right", State.ACCEPTED, Ruling.PASS, Ruling.PASS, on_line=True, seconds=1.0, prompt_tokens=10),
    Outcome("elsewhere", State.ACCEPTED, Ruling.FAIL, Ruling.FAIL, seconds=3.0, completion_tokens=5),
    Outcome("wrong", State.ACCEPTED, Ruling.PASS, Ruling.FAIL, on_line=True, seconds=9.0),
    Outcome("held back", State.REJECTED, Ruling.PASS, Ruling.PASS, invented=("source: a", "value: b"), seconds=5.0),
    Outcome("unreadable", State.REJECTED, None, Ruling.PASS, seconds=7.0),
    Outcome("unknown", State.ACCEPTED, Ruling.PASS, None, seconds=2.0),
    Outcome("failed", State.FAILED, None, Ruling.PASS, seconds=99.0, prompt_tokens=1),
]


def test_shares_are_of_what_can_be_judged() -> None:
    """A failed run is in no share, a task without a known answer in none against known ones; seconds likewise."""
    arm = score(Arm.WITH, OUTCOMES)
    assert (arm.tasks, arm.failed, arm.median_s) == (7, 1, 4.0)
    assert (arm.accepted.hits, arm.accepted.of) == (4, 6)
    assert (arm.undecided.hits, arm.undecided.of) == (2, 6)
    assert (arm.inventing.hits, arm.inventing.of, arm.inventions) == (1, 6, 2)
    assert (arm.prompt_tokens, arm.completion_tokens) == (11, 5)
    known = arm.known
    assert known is not None
    counted = {name: (share.hits, share.of) for name, share in vars(known).items()}
    assert counted == {
        "right": (2, 5),
        "on_line": (1, 5),
        "wrong": (1, 5),
        "wrong_of_accepted": (1, 3),
        "undecided": (2, 5),
        "says_right": (3, 5),
    }


def test_right_wrong_and_undecided_sum_up_and_carry_wilson_intervals() -> None:
    """Each judged task is one of the three; the interval is the one of the scoring module."""
    known = score(Arm.WITH, OUTCOMES).known
    assert known is not None
    assert known.right.hits + known.wrong.hits + known.undecided.hits == known.right.of
    assert known.right.interval == wilson(2, 5)
    assert known.wire()["wrong"] == {"hits": 1, "of": 5, "low": 0.0362, "high": 0.6245}


def test_without_known_answers_nothing_is_right_or_wrong() -> None:
    """The part against known answers is absent, not zero."""
    arm = score(Arm.TOP_LINE, [Outcome("a", State.ACCEPTED, Ruling.PASS)])
    assert arm.known is None
    assert arm.wire()["gold"] is None
    assert not OUTCOMES[5].right
    assert not OUTCOMES[5].wrong


def test_an_arm_without_tasks_has_no_median() -> None:
    """Nothing of nothing."""
    arm = score(Arm.WITHOUT, [])
    assert (arm.median_s, arm.accepted.of, arm.known) == (None, 0, None)


@pytest.mark.parametrize(("arm", "asks"), [(Arm.WITH, True), (Arm.WITHOUT, True), (Arm.TOP_LINE, False)])
def test_two_arms_ask_a_model_and_one_is_the_baseline(arm: Arm, asks: bool) -> None:
    """The one without retrieval says that it is the baseline."""
    assert arm.asks_model is asks
    assert score(arm, []).wire()["baseline"] is (arm is Arm.WITHOUT)
    assert ("baseline" in arm.label) is (arm is Arm.WITHOUT)
