"""What a paired comparison of so many tasks can see at all, told before its result.

The power of McNemar's exact test at 5 %: the chance that it finds a difference that is there. `gain` is the share of
tasks that only the second arm gets right, `loss` that which only the first does; the number of tasks on which they
differ is binomial, and of these those that favour the second arm.
"""

from __future__ import annotations

import math

from replay.study.comparison import mcnemar

LEVEL = 0.05
WANTED = 0.8
_STEP = 0.0025


def power(tasks: int, gain: float, loss: float) -> float:
    """The chance that a difference of `gain - loss` becomes significant."""
    differing = gain + loss
    if differing <= 0:
        return 0.0
    found = 0.0
    for count in range(1, tasks + 1):
        chance = _binomial(tasks, count, min(differing, 1.0))
        if chance > 1e-12 and (least := _least(count)) is not None:
            found += chance * sum(_binomial(count, hits, gain / differing) for hits in range(least, count + 1))
    return found


def smallest_gain(tasks: int, loss: float) -> float | None:
    """The smallest net difference that is found with 80 % power; None where even the greatest is not."""
    steps = math.floor((1 - loss) / _STEP)
    for step in range(1, steps + 1):
        gain = loss + step * _STEP
        if gain + loss <= 1 and power(tasks, gain, loss) >= WANTED:
            return round(step * _STEP, 4)
    return None


def _least(count: int) -> int | None:
    """The fewest of so many differing tasks that must favour the second arm."""
    return next((hits for hits in range(count // 2 + 1, count + 1) if mcnemar(count - hits, hits) <= LEVEL), None)


def _binomial(count: int, hits: int, chance: float) -> float:
    if chance in {0.0, 1.0}:
        return float(hits == count * chance)
    logs = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(logs + hits * math.log(chance) + (count - hits) * math.log1p(-chance))
