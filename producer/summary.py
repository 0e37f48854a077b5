"""A batch in numbers: how its tasks ended, what they took, and how that compares with known answers."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from producer.gold import Gold, KnownAnswer, compare
from producer.results import WAITING, Result
from replay.contracts import State, Tier
from replay.policy import UNDECIDABLE


@dataclass(frozen=True)
class Summary:
    """A batch in numbers.

    Attributes:
        total: Tasks.
        states: How many in each state, `waiting` among them; every state is there.
        accepted_by_tier: How many of the accepted ones each tier answered.
        escalated: Tasks whose local answer was rejected and handed on.
        rules: How often each rule of the gate objected, over all attempts, the most frequent first.
        prompt_tokens: Over all attempts.
        completion_tokens: Over all attempts.
        cached_tokens: Over all attempts.
        cached_share: Of the prompt tokens, those that the servers had in their caches; None without any.
        reused: Tasks of which an attempt has the generation of an earlier one.
        seconds_mean: Of the ended tasks, without waiting in queues; None before there is one.
        seconds_p50: The same, median.
        seconds_p95: The same, 95th percentile by nearest rank.
        gold: None where no gold file was given.
    """

    total: int
    states: dict[str, int]
    accepted_by_tier: dict[str, int]
    escalated: int
    rules: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cached_share: float | None
    reused: int
    seconds_mean: float | None
    seconds_p50: float | None
    seconds_p95: float | None
    gold: Gold | None = None


class Summing:
    """Puts a batch into numbers as its results go by, holding of each no more than its seconds.

    Args:
        known: Known answers by `custom_id`, from `read_gold`; only the results of those are held.
    """

    def __init__(self, known: dict[str, KnownAnswer] | None = None) -> None:
        self._known = known
        self._total = 0
        self._states: Counter[str] = Counter()
        self._tiers: Counter[str | None] = Counter()
        self._rules: Counter[str] = Counter()
        self._escalated = 0
        self._reused = 0
        self._tokens = [0, 0, 0]
        self._seconds = array("d")
        self._answered: list[Result] = []

    def add(self, row: Result) -> None:
        """Count one result."""
        self._total += 1
        self._states[row.state] += 1
        if row.state == State.ACCEPTED:
            self._tiers[row.tier] += 1
        self._rules.update(row.local_rules)
        if row.state in {State.REJECTED, State.ESCALATED}:
            # Why nobody else was asked is no objection of a rule.
            self._rules.update(reason.partition(":")[0] for reason in row.reasons if reason != UNDECIDABLE)
        self._escalated += bool(row.local_rules or row.state == State.ESCALATED)
        self._reused += row.reused
        for place, count in enumerate((row.prompt_tokens, row.completion_tokens, row.cached_tokens)):
            self._tokens[place] += count
        if row.state not in {WAITING, State.ESCALATED}:
            self._seconds.append(row.seconds)
        if self._known is not None and row.custom_id in self._known:
            self._answered.append(row)

    def through(self, rows: Iterable[Result]) -> Iterator[Result]:
        """Count results on their way to somebody else."""
        for row in rows:
            self.add(row)
            yield row

    def summary(self) -> Summary:
        """What was counted."""
        ended = sorted(self._seconds)
        return Summary(
            total=self._total,
            states={name: self._states[name] for name in (WAITING, *(state.value for state in State))},
            accepted_by_tier={tier.value: self._tiers[tier] for tier in Tier},
            escalated=self._escalated,
            rules=dict(self._rules.most_common()),
            prompt_tokens=self._tokens[0],
            completion_tokens=self._tokens[1],
            cached_tokens=self._tokens[2],
            cached_share=self._tokens[2] / self._tokens[0] if self._tokens[0] else None,
            reused=self._reused,
            seconds_mean=sum(ended) / len(ended) if ended else None,
            seconds_p50=nearest_rank(ended, 0.5),
            seconds_p95=nearest_rank(ended, 0.95),
            gold=None if self._known is None else compare(self._answered, self._known),
        )


def summarise(rows: Iterable[Result], known: dict[str, KnownAnswer] | None = None) -> Summary:
    """Put a batch into numbers.

    Args:
        rows: Its results.
        known: Known answers by `custom_id`, from `read_gold`.
    """
    summing = Summing(known)
    for row in rows:
        summing.add(row)
    return summing.summary()


def nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    """A percentile by nearest rank; None of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
