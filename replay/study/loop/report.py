"""The report of the study: every arm by round, and what was compared with what. Made of the evidence alone.

So it is the same after an interruption, and again on another day.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from replay.study.comparison import mcnemar
from replay.study.loop.arms import LoopArm
from replay.study.loop.measuring import ALL, PARTS, ProbePart, WorkRound
from replay.study.loop.oracle import STAND_IN
from replay.study.loop.power import power, smallest_gain
from replay.study.loop.turns import LETTERS, Turn
from replay.study.scoring import Share

FORM = "replay_study_loop.v1"
_LOSSES = (0.0, 0.025)
_Z_95 = 1.959963984540054
Success = Callable[[Turn], bool]


@dataclass(frozen=True)
class LoopConditions:
    """What all arms had in common; without these the numbers mean nothing.

    Attributes:
        local: The local model, or `none`.
        large: The large one, or `none`, or the name of the stand-in in full.
    """

    work: str
    probe: str
    local: str
    large: str
    rounds: int
    corpus_version: str
    gate_version: str
    temperature: float
    seed: int
    machine: str

    @property
    def stand_in(self) -> bool:
        """Is the large model none, but the oracle?"""
        return self.large == STAND_IN

    def sentence(self) -> str:
        """In one line."""
        local = "no model: the first line that retrieval offers" if self.local == "none" else self.local
        sampling = "" if self.local == "none" else f" · temperature {self.temperature}, seed {self.seed}"
        return (
            f"{self.work}, {self.probe} · local: {local} · large: {self.large} · {self.rounds} rounds · "
            f"corpus {self.corpus_version} · gate {self.gate_version}{sampling} · {self.machine}"
        )


@dataclass(frozen=True)
class Power:
    """What a comparison on so many tasks can see.

    Attributes:
        smallest: For each assumed share of tasks that only the first gets right: the smallest net gain that is found
            with 80 % power at 5 %; None where none is.
        least_upper: Upper end of the 95 % interval of a rate of which not one case was seen among the tasks.
        at_ten_points: Power to find a net gain of ten points where one task in forty is lost.
    """

    name: str
    tasks: int
    smallest: Mapping[str, float | None]
    least_upper: float
    at_ten_points: float


@dataclass(frozen=True)
class Compared:
    """Two rounds or arms on the same tasks, by McNemar's exact test."""

    what: str
    first: str
    second: str
    counted: str
    part: str
    tasks: int
    both: int
    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Drop:
    """How far escalation fell from the first round to the last on the same tasks.

    Attributes:
        relative: 1 minus last / first.
        low: Lower end of its 95 % interval (log ratio of paired proportions); None where a count is 0.
        high: Upper end.
    """

    arm: LoopArm
    first: int
    last: int
    tasks: int
    relative: float | None
    low: float | None
    high: float | None
    p_value: float


@dataclass(frozen=True)
class ArmRounds:
    """One arm: its work by round, and the probe before the first and after each."""

    arm: LoopArm
    work: tuple[tuple[WorkRound, tuple[Turn, ...]], ...]
    probe: tuple[tuple[tuple[ProbePart, ...], tuple[Turn, ...]], ...]


@dataclass(frozen=True)
class LoopReport:
    """The whole study."""

    conditions: LoopConditions
    power: tuple[Power, ...]
    arms: tuple[ArmRounds, ...]
    drops: tuple[Drop, ...]
    compared: tuple[Compared, ...]

    def wire(self) -> dict[str, Any]:
        """For JSON: each task's outcome in each round is one letter, in the order of `order`."""
        return {
            "schema": FORM,
            "conditions": {**asdict(self.conditions), "large_is_stand_in": self.conditions.stand_in},
            "power": [asdict(one) for one in self.power],
            "arms": [
                {
                    "arm": arm.arm.value,
                    "large": self.conditions.large,
                    "work": [counted.wire() for counted, _ in arm.work],
                    "probe": [
                        {"after_round": after, "parts": [part.wire() for part in parts]}
                        for after, (parts, _) in enumerate(arm.probe)
                    ],
                }
                for arm in self.arms
            ],
            "escalation": [asdict(one) for one in self.drops],
            "compared": [asdict(one) for one in self.compared],
            "outcomes": {
                "letters": LETTERS,
                "order": {
                    "work": [one.custom_id for one in self._first("work")],
                    "probe": [one.custom_id for one in self._first("probe")],
                },
                **{
                    arm.arm.value: {
                        "work": ["".join(one.letter for one in turns) for _, turns in arm.work],
                        "probe": ["".join(one.letter for one in turns) for _, turns in arm.probe],
                    }
                    for arm in self.arms
                },
            },
        }

    def _first(self, name: str) -> Sequence[Turn]:
        return next((held[0][1] for arm in self.arms if (held := getattr(arm, name))), ())


def powers(work: int, kin: int, novel: int) -> tuple[Power, ...]:
    """What the comparisons of a study can see, known before it is run."""
    counts = (("work", work), ("probe", kin + novel), ("probe, kin", kin), ("probe, novel", novel))
    return tuple(
        Power(
            name,
            tasks,
            {f"{loss:.1%} lost": smallest_gain(tasks, loss) for loss in _LOSSES},
            round(Share(0, tasks).interval[1], 4),
            round(power(tasks, 0.125, 0.025), 3),
        )
        for name, tasks in counts
        if tasks
    )


def report(conditions: LoopConditions, arms: Sequence[ArmRounds]) -> LoopReport:
    """Compare what there is: each arm's first round with its last, and the live loop with the others."""
    of = {arm.arm: arm for arm in arms}
    first = next((arm.probe[0][1] for arm in arms if arm.probe), ())
    sizes = {part: sum(one.part == part for one in first) for part in PARTS}
    work = max((counted.tasks for arm in arms for counted, _ in arm.work), default=0)
    return LoopReport(
        conditions,
        powers(work, sizes["kin"], sizes["novel"]),
        tuple(arms),
        tuple(_drop(arm) for arm in arms if arm.work),
        tuple(_compared(of)),
    )


def _compared(of: Mapping[LoopArm, ArmRounds]) -> list[Compared]:
    found: list[Compared] = []
    right: Success = lambda one: one.right  # noqa: E731  a measure by its name, as below
    said: Success = lambda one: one.local_ruling is one.known  # noqa: E731
    for arm in of.values():
        if len(arm.probe) > 1:
            sides = (arm.probe[0][1], arm.probe[-1][1])
            names = ("before the first round", "after the last")
            found += _by_part(f"probe: {arm.arm.label}", names, sides, "accepted and right", right)
            found += _by_part(f"probe: {arm.arm.label}", names, sides, "accepted and wrong", lambda one: one.wrong)
    live = of.get(LoopArm.LIVE)
    for other in of.values():
        if live is None or other is live or not other.probe or not live.probe:
            continue
        last, last_live = other.probe[-1][1], live.probe[-1][1]
        names = (other.arm.label, live.arm.label)
        found += _by_part("probe: after the last round", names, (last, last_live), "accepted and right", right)
        if other.arm is LoopArm.NO_RETRIEVAL:
            found += _by_part("probe: after the last round", names, (last, last_live), "gate aside", said)
    return found


def _by_part(
    what: str, names: tuple[str, str], sides: tuple[Sequence[Turn], Sequence[Turn]], counted: str, success: Success
) -> list[Compared]:
    made = []
    for part in (ALL, *PARTS):
        first, second = ({one.custom_id: one for one in side if one.ended} for side in sides)
        pairs = [
            (success(one), success(second[name]))
            for name, one in first.items()
            if name in second and part in {ALL, one.part}
        ]
        if not pairs:
            continue
        only_first = sum(mine and not yours for mine, yours in pairs)
        only_second = sum(yours and not mine for mine, yours in pairs)
        both = sum(mine and yours for mine, yours in pairs)
        p_value = mcnemar(only_first, only_second)
        made.append(Compared(what, *names, counted, part, len(pairs), both, only_first, only_second, p_value))
    return made


def _drop(arm: ArmRounds) -> Drop:
    first, second = ({one.custom_id: one for one in arm.work[place][1] if one.ended} for place in (0, -1))
    pairs = [(one.handed_on, second[name].handed_on) for name, one in first.items() if name in second]
    before, after = sum(one for one, _ in pairs), sum(two for _, two in pairs)
    came, went = sum(two and not one for one, two in pairs), sum(one and not two for one, two in pairs)
    low = high = None
    if before and after:
        ratio, error = after / before, math.sqrt((came + went) / (before * after))
        low, high = (round(1 - ratio * math.exp(sign * _Z_95 * error), 4) for sign in (1, -1))
    relative = round(1 - after / before, 4) if before else None
    return Drop(arm.arm, before, after, len(pairs), relative, low, high, mcnemar(went, came))
