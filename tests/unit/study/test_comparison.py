"""Two arms on the same tasks, and McNemar's exact test against another implementation."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]  # it publishes none

from replay.contracts import Ruling, State
from replay.study.arms import Arm, Outcome
from replay.study.comparison import ACCEPTED, RIGHT, SAYS_RIGHT, compare, mcnemar


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (5, 5), (1, 17), (17, 1), (3, 9), (40, 12), (900, 1000), (0, 5000)])
def test_mcnemar_is_the_exact_binomial_test(counts: tuple[int, int]) -> None:
    """It agrees with scipy's two-sided binomial test at one half, and is 1 where there is nothing to tell apart."""
    expected = binomtest(counts[0], sum(counts), 0.5).pvalue if sum(counts) else 1.0
    assert mcnemar(*counts) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(*counts) == mcnemar(*reversed(counts))


def outcomes(*tasks: tuple[str, State, Ruling, Ruling | None]) -> list[Outcome]:
    """Outcomes of one arm."""
    return [Outcome(name, state, ruling, known) for name, state, ruling, known in tasks]


def test_arms_are_compared_on_the_tasks_that_both_have_decided() -> None:
    """By what is accepted and right, and by what is right whatever the gate says; a failed run is in no comparison."""
    accepted, rejected, passed, failed = State.ACCEPTED, State.REJECTED, Ruling.PASS, Ruling.FAIL
    found = compare(
        {
            Arm.WITH: outcomes(
                ("a", accepted, passed, passed),
                ("b", accepted, passed, passed),
                ("c", rejected, failed, passed),
                ("d", accepted, passed, passed),
                ("e", accepted, passed, None),
            ),
            Arm.WITHOUT: outcomes(
                ("d", State.FAILED, passed, passed),
                ("c", rejected, passed, passed),
                ("b", rejected, passed, passed),
                ("a", accepted, passed, passed),
                ("e", rejected, passed, None),
            ),
        }
    )
    right, says = found.pairs
    assert (right.measure, says.measure) == (RIGHT, SAYS_RIGHT)
    assert (right.tasks, right.both, right.only_first, right.only_second) == (3, 1, 1, 0)
    assert (says.tasks, says.both, says.only_first, says.only_second) == (3, 2, 0, 1)
    assert right.p_value == 1.0
    assert found.has_gold


def test_each_two_arms_are_compared_once() -> None:
    """Three arms are three pairs, in the order of the arms."""
    arms = {arm: outcomes(("a", State.ACCEPTED, Ruling.PASS, None)) for arm in Arm}
    found = compare(arms)
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        (Arm.WITH, Arm.WITHOUT),
        (Arm.WITH, Arm.TOP_LINE),
        (Arm.WITHOUT, Arm.TOP_LINE),
    ]


def test_without_known_answers_acceptance_is_compared() -> None:
    """And nothing is said to be right."""
    found = compare(
        {
            Arm.WITH: outcomes(("a", State.ACCEPTED, Ruling.PASS, None)),
            Arm.TOP_LINE: outcomes(("a", State.REJECTED, Ruling.PASS, None)),
        }
    )
    assert [(pair.measure, pair.only_first) for pair in found.pairs] == [(ACCEPTED, 1)]
    assert not found.has_gold
