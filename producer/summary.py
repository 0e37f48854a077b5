"""A batch in numbers: how its tasks ended, what they took, and how that compares with a gold file."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from producer.results import WAITING, Result
from replay.contracts import Ruling, State, Tier
from replay.errors import InputError


@dataclass(frozen=True)
class Gold:
    """Results against known answers. Tasks without one, or that have not ended, are not counted.

    Attributes:
        total: Ended tasks with a known answer.
        correct: Accepted, with the known ruling.
        false_accepts: Accepted, with another ruling.
        undecided: Accepted as `unsure`: neither right nor wrong.
        false_rejects: Rejected, although the last answer had the known ruling.
        rejected: All others that were rejected, rightly.
        other: Failed or cancelled.
    """

    total: int = 0
    correct: int = 0
    false_accepts: int = 0
    undecided: int = 0
    false_rejects: int = 0
    rejected: int = 0
    other: int = 0


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


def summarise(rows: Sequence[Result], gold: dict[str, Ruling] | None = None) -> Summary:
    """Put a batch into numbers.

    Args:
        rows: Its results.
        gold: Known rulings by `custom_id`, from `read_gold`.
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
        gold=None if gold is None else _against(rows, gold),
    )


def read_gold(path: Path) -> dict[str, Ruling]:
    """Known rulings by `custom_id`: JSONL, of which only the keys `custom_id` and `verdict` are read.

    Raises:
        InputError: The file cannot be read, or a line has no such keys.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The gold file {path} cannot be read: {error}.", hint="Check the path.") from error
    known: dict[str, Ruling] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            known[value["custom_id"]] = Ruling(value["verdict"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"Line {number} of {path} is no known answer: {error}.",
                hint='A line is {"custom_id": "…", "verdict": "pass"} or "fail".',
            ) from error
    return known


def _against(rows: Sequence[Result], gold: dict[str, Ruling]) -> Gold:
    counts: Counter[str] = Counter()
    for row in rows:
        if row.custom_id in gold and row.state not in {WAITING, State.ESCALATED}:
            counts[_kind(row, gold[row.custom_id])] += 1
    return Gold(total=sum(counts.values()), **counts)


def _kind(row: Result, known: Ruling) -> str:
    right = row.ruling == known
    match row.state:
        case State.ACCEPTED if right:
            return "correct"
        case State.ACCEPTED:
            return "undecided" if row.ruling == Ruling.UNSURE else "false_accepts"
        case State.REJECTED:
            return "false_rejects" if right else "rejected"
        case _:
            return "other"


def _nearest_rank(ordered: Sequence[float], share: float) -> float | None:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
