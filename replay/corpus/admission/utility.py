"""What a record is worth: how often the local model passes with it, against how often it passes without.

Counted are tasks, by the first attempt of the local model that the gate judged, or a person after it: one that is run
again says little new. A record that is shown to hard tasks alone would look like their cause, so like is compared with
like: the same tasks with it and without it; where most were never run without it, tasks of the same families (their
`family:` tags). Where there is neither, all others are counted, and nothing follows from it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import hypot, sqrt
from typing import Literal, NamedTuple

from replay.afterwards import Review, UtilityCounts
from replay.contracts import ReplayRun, State, Tier
from replay.corpus.admission.candidates import ORIGIN, shown
from replay.corpus.admission.policy import Policy

FAMILY = "family:"
_Z = 1.96
"""Of an interval that holds 95 of 100 times."""

Among = Literal["tasks", "families", "all"]


class Trial(NamedTuple):
    """A first attempt: its run, its task and the family of that, the admitted records that it was shown, how it went.

    `ends` tells that the attempt ended its run, so that a review of the run is about it.
    """

    run_id: str
    task_hash: str
    family: str
    shown: tuple[str, ...]
    passed: bool
    ends: bool


class Strays(NamedTuple):
    """How many tasks of other families than its own were shown a record, and how many of those there are."""

    shown: int
    of: int


def trial(run: ReplayRun) -> Trial | None:
    """The trial that a run's record is; None where it is no judged first attempt of the local model with retrieval."""
    attempt = run.attempt
    if attempt is None or attempt.tier is not Tier.LOCAL or attempt.verdict is None or attempt.reused is not None:
        return None
    if not run.task.options.retrieval or not run.bundle.retrieval:
        return None
    seen = tuple(record.record_id for record in shown(run) if record.origin == ORIGIN)
    ends = run.state is not State.ESCALATED
    return Trial(run.run_id, run.task_hash, family_of(run.task.tags), seen, run.state is State.ACCEPTED, ends)


def utilities(trials: Iterable[Trial], reviews: Mapping[str, Review]) -> dict[str, UtilityCounts]:
    """How tasks went with and without each record that was shown to any.

    Args:
        trials: In the order of the log; of a task the last one with a record counts, and the last one without it.
        reviews: What counts of what people said, by run.
    """
    of_task: defaultdict[str, list[Trial]] = defaultdict(list)
    shown_to: defaultdict[str, set[str]] = defaultdict(set)
    for one in trials:
        said = reviews.get(one.run_id) if one.ends else None
        of_task[one.task_hash].append(one if said is None else one._replace(passed=said.decision == "accept"))
        for record_id in one.shown:
            shown_to[record_id].add(one.task_hash)
    everywhere = _Rates.of(found[-1] for found in of_task.values())
    return {
        record_id: _counts(record_id, [of_task[task] for task in sorted(tasks)], everywhere)
        for record_id, tasks in shown_to.items()
    }


def family_of(tags: Iterable[str]) -> str:
    """What kind of task these are the tags of; empty where none of them says."""
    return " ".join(sorted(tag for tag in tags if tag.startswith(FAMILY)))


def strays(trials: Iterable[Trial], families: Mapping[str, str]) -> dict[str, Strays]:
    """How far each record is shown beyond its own family of tasks.

    Args:
        trials: All of them; tasks that say nothing of their family are left out.
        families: Of the records that are asked about; those without a family are left out.
    """
    tasks: dict[str, str] = {}
    drawn: defaultdict[str, set[str]] = defaultdict(set)
    for one in trials:
        if one.family:
            tasks[one.task_hash] = one.family
            for record_id in one.shown:
                if families.get(record_id, one.family) not in {one.family, ""}:
                    drawn[record_id].add(one.task_hash)
    sizes = Counter(tasks.values())
    return {record_id: Strays(len(drawn[record_id]), len(tasks) - sizes[families[record_id]]) for record_id in drawn}


class _Rates(NamedTuple):
    """Tasks and those that passed, by family."""

    tasks: Counter[str]
    passed: Counter[str]

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> _Rates:
        """Of one trial for each task."""
        found = cls(Counter(), Counter())
        for one in trials:
            found.tasks[one.family] += 1
            found.passed[one.family] += one.passed
        return found


def _counts(record_id: str, of_tasks: Sequence[Sequence[Trial]], everywhere: _Rates) -> UtilityCounts:
    """The narrowest comparison that covers at least half of the tasks that were shown a record."""
    with_it = [next(one for one in reversed(found) if record_id in one.shown) for found in of_tasks]
    same = [next((one for one in reversed(found) if record_id not in one.shown), None) for found in of_tasks]
    pairs = [(one, other) for one, other in zip(with_it, same, strict=True) if other is not None]
    if 2 * len(pairs) >= len(with_it):
        return _compared([one for one, _ in pairs], _Rates.of(other for _, other in pairs), "tasks")
    own, other = _Rates.of(found[-1] for found in of_tasks), _Rates.of(one for one in same if one is not None)
    others = _Rates(everywhere.tasks - own.tasks + other.tasks, everywhere.passed - own.passed + other.passed)
    kin = [one for one in with_it if others.tasks[one.family]]
    if 2 * len(kin) >= len(with_it):
        families = {one.family for one in kin}
        near = _Rates(*(Counter({key: n for key, n in count.items() if key in families}) for count in others))
        return _compared(kin, near, "families")
    return _compared(with_it, others, "all")


def _compared(with_it: Sequence[Trial], without: _Rates, among: Among) -> UtilityCounts:
    return UtilityCounts(
        uses=len(with_it),
        passed=sum(one.passed for one in with_it),
        baseline_uses=without.tasks.total(),
        baseline_passed=without.passed.total(),
        among=among,
    )


def utility(counts: UtilityCounts) -> float | None:
    """Pass rate with a record minus that without it; None where one of them is not known."""
    if not counts.uses or not counts.baseline_uses:
        return None
    return counts.passed / counts.uses - counts.baseline_passed / counts.baseline_uses


def does_harm(counts: UtilityCounts, policy: Policy) -> bool:
    """Is its utility below the bound, on enough comparable tasks, and hardly by chance?

    Of many records some look bad by chance alone, so the interval of the difference must lie below zero as well
    (R. G. Newcombe, "Interval estimation for the difference between independent proportions", 1998, method 10).
    """
    value = utility(counts)
    enough = counts.among != "all" and min(counts.uses, counts.baseline_uses) >= policy.min_uses
    if value is None or not enough or value >= policy.least_utility:
        return False
    _, high = _wilson(counts.passed, counts.uses)
    low, _ = _wilson(counts.baseline_passed, counts.baseline_uses)
    with_it, without = counts.passed / counts.uses, counts.baseline_passed / counts.baseline_uses
    return value + hypot(high - with_it, without - low) < 0


def _wilson(passed: int, uses: int) -> tuple[float, float]:
    """The interval of a rate (E. B. Wilson, 1927)."""
    rate, square = passed / uses, _Z * _Z
    centre = rate + square / (2 * uses)
    spread = _Z * sqrt(rate * (1 - rate) / uses + square / (4 * uses * uses))
    return (centre - spread) / (1 + square / uses), (centre + spread) / (1 + square / uses)
