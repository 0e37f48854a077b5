"""Two arms on the same tasks: which got right what the other did not, and whether that could be chance.

Tested by McNemar's test in its exact form: of the tasks on which two arms differ, each is as likely to favour the one
as the other if the arms are equally good, so the smaller count is binomial with p = 1/2 (Q. McNemar, "Note on the
sampling error of the difference between correlated proportions or percentages", Psychometrika 12, 1947; the exact
two-sided form doubles the tail, as scipy.stats.binomtest does at p = 1/2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from replay.study.arms import Arm, ArmScore, Outcome, score

Measure = Callable[[Outcome], bool]

RIGHT = "accepted and right"
SAYS_RIGHT = "right answer, gate aside"
ACCEPTED = "accepted"


@dataclass(frozen=True)
class Paired:
    """Two arms on the tasks that both have decided.

    Attributes:
        first: The one arm.
        second: The other.
        measure: What counts as success.
        tasks: Compared tasks.
        both: Success in both arms.
        only_first: In the first alone.
        only_second: In the second alone.
        p_value: Of McNemar's exact test, two-sided.
    """

    first: Arm
    second: Arm
    measure: str
    tasks: int
    both: int
    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """All arms, and each two of them."""

    arms: tuple[ArmScore, ...]
    pairs: tuple[Paired, ...]

    @property
    def has_gold(self) -> bool:
        """Is anything held against known answers?"""
        return any(arm.known is not None for arm in self.arms)

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {"arms": [arm.wire() for arm in self.arms], "pairs": [asdict(pair) for pair in self.pairs]}


def compare(outcomes: Mapping[Arm, Sequence[Outcome]]) -> Comparison:
    """Count each arm, and compare each two of them by what is right, or without known answers by what is accepted.

    Args:
        outcomes: Each task at most once in an arm.
    """
    arms = tuple(score(arm, some) for arm, some in outcomes.items())
    measures: dict[str, Measure] = {ACCEPTED: lambda one: one.accepted}
    if any(arm.known is not None for arm in arms):
        measures = {RIGHT: lambda one: one.right, SAYS_RIGHT: lambda one: one.says_right}
    pairs = tuple(
        pair(first, second, outcomes, name, success)
        for name, success in measures.items()
        for first, second in combinations(outcomes, 2)
    )
    return Comparison(arms, pairs)


def pair(first: Arm, second: Arm, outcomes: Mapping[Arm, Sequence[Outcome]], name: str, success: Measure) -> Paired:
    """Compare two arms on the tasks that both have decided; but for `accepted`, those with a known answer."""
    ones, others = ({one.custom_id: one for one in outcomes[arm] if one.ended} for arm in (first, second))
    judged = [
        (success(one), success(others[name_]))
        for name_, one in ones.items()
        if name_ in others and (name == ACCEPTED or one.known is not None)
    ]
    only_first = sum(mine and not yours for mine, yours in judged)
    only_second = sum(yours and not mine for mine, yours in judged)
    return Paired(
        first=first,
        second=second,
        measure=name,
        tasks=len(judged),
        both=sum(mine and yours for mine, yours in judged),
        only_first=only_first,
        only_second=only_second,
        p_value=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The two-sided p-value of McNemar's exact test: 1 where the arms never differ."""
    count = only_first + only_second
    tail = sum(math.comb(count, hits) for hits in range(min(only_first, only_second) + 1))
    # Whole numbers up to one division: exact for any count.
    return min(1.0, 2 * tail / (1 << count))
