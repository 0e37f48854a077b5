"""What a record is worth: how often the local model passes with it, against how often it passes without.

Counted are first attempts of the local model that the gate judged, or a person after it. Comparable are attempts of the
same family of tasks (their `family:` tags) that were not shown the record; where there are none, all others. A record
that is shown to hard tasks alone would otherwise look like their cause.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from replay.contracts import ReplayRun, Review, State, Tier, UtilityCounts
from replay.corpus.admission.candidates import ORIGIN, shown

FAMILY = "family:"


class Trial(NamedTuple):
    """A first attempt: its run, the family of its task, the admitted records that it was shown, and how it went.

    `ends` tells that the attempt ended its run, so that a review of the run is about it.
    """

    run_id: str
    family: str
    shown: tuple[str, ...]
    passed: bool
    ends: bool


def trial(run: ReplayRun) -> Trial | None:
    """The trial that a run's record is; None where it is no judged first attempt of the local model with retrieval."""
    attempt = run.attempt
    if attempt is None or attempt.tier is not Tier.LOCAL or attempt.verdict is None or attempt.reused is not None:
        return None
    if not run.task.options.retrieval or not run.bundle.retrieval:
        return None
    family = " ".join(sorted(tag for tag in run.task.tags if tag.startswith(FAMILY)))
    seen = tuple(record.record_id for record in shown(run) if record.origin == ORIGIN)
    return Trial(run.run_id, family, seen, run.state is State.ACCEPTED, run.state is not State.ESCALATED)


def utilities(trials: Iterable[Trial], reviews: Mapping[str, Review]) -> dict[str, UtilityCounts]:
    """How runs went with and without each record that was shown to any.

    Args:
        trials: All of them.
        reviews: What counts of what people said, by run.
    """
    runs: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    with_it: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for one in trials:
        said = reviews.get(one.run_id) if one.ends else None
        good = one.passed if said is None else said.decision == "accept"
        runs[one.family] += 1
        passed[one.family] += good
        for record_id in set(one.shown):
            uses, successes = with_it.setdefault(record_id, (Counter(), Counter()))
            uses[one.family] += 1
            successes[one.family] += good
    found = {}
    for record_id, (uses, successes) in with_it.items():
        others, others_passed = runs - uses, passed - successes
        families = [family for family in uses if others[family]] or list(others)
        found[record_id] = UtilityCounts(
            uses=uses.total(),
            passed=successes.total(),
            baseline_uses=sum(others[family] for family in families),
            baseline_passed=sum(others_passed[family] for family in families),
        )
    return found


def utility(counts: UtilityCounts) -> float | None:
    """Pass rate with a record minus that without it; None where one of them is not known."""
    if not counts.uses or not counts.baseline_uses:
        return None
    return counts.passed / counts.uses - counts.baseline_passed / counts.baseline_uses
