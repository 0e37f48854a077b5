"""A batch in numbers: how its tasks ended, what they took, and how that compares with known answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from producer.gold import Gold, KnownAnswer, compare
from producer.results import WAITING, Result
from replay.contracts import State, Tier


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
    seconds_mean: float | None
    seconds_p50: float | None
    seconds_p95: float | None
    gold: Gold | None = None


def summarise(rows: Sequence[Result], known: dict[str, KnownAnswer] | None = None) -> Summary:
    """Put a batch into numbers.

    Args:
        rows: Its results.
        known: Known answers by `custom_id`, from `read_gold`.
    """
    states = Counter(row.state for row in rows)
    tiers = Counter(row.tier for row in rows if row.state == State.ACCEPTED)
    rules: Counter[str] = Counter()
    for row in rows:
        rules.update(row.local_rules)
        rules.update(
            reason.partition(":")[0] for reason in row.reasons if row.state in {State.REJECTED, State.ESCALATED}
        )
    ended = sorted(row.seconds for row in rows if row.state not in {WAITING, State.ESCALATED})
    return Summary(
        total=len(rows),
        states={name: states[name] for name in (WAITING, *(state.value for state in State))},
        accepted_by_tier={tier.value: tiers[tier] for tier in Tier},
        escalated=sum(1 for row in rows if row.local_rules or row.state == State.ESCALATED),
        rules=dict(rules.most_common()),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        seconds_mean=sum(ended) / len(ended) if ended else None,
        seconds_p50=_nearest_rank(ended, 0.5),
        seconds_p95=_nearest_rank(ended, 0.95),
        gold=None if known is None else compare(rows, known),
    )


def _nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
