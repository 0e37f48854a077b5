"""What the records of one batch say in numbers: every attempt passes the writer once, so here each is counted once.

A record that the log had already, because it was sent or read twice, counts as a duplicate and as nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from broker import meters
from broker.meters import Meters
from evidence.commit import Appended, Outcome
from evidence.format import Body
from evidence.row import RUN_SCHEMA, ended_run
from replay.contracts import State, Tier
from replay.gate.registry import CODES

# Labels have closed sets of values, whatever a record says: each new value is a new time series for ever.
_OTHER = "other"
_STATES = frozenset(state.value for state in State)
_TIERS = frozenset(tier.value for tier in Tier)
_TOKENS = {"prompt_tokens": "prompt", "completion_tokens": "completion", "cached_tokens": "cached"}


def count(counted: Meters, bodies: Sequence[Body], placed: Sequence[Appended], *, took_s: float, sync_s: float) -> None:
    """Count one batch.

    Args:
        counted: Adds up.
        bodies: The batch.
        placed: What became of each, in the same order.
        took_s: The whole append.
        sync_s: Of it, what was spent on the disk; 0 where all of it was in the log already.
    """
    counted.observe(meters.BATCH, len(bodies))
    counted.observe(meters.APPEND, took_s)
    if sync_s:
        counted.observe(meters.SYNC, sync_s)
    for body, there in zip(bodies, placed, strict=True):
        counted.count(meters.RECORDS, there.outcome.value)
        if there.outcome is Outcome.APPENDED and body.record.get("schema") == RUN_SCHEMA:
            _count_run(counted, body.record)


def _count_run(counted: Meters, record: Mapping[str, Any]) -> None:
    state = _one_of(_STATES, record.get("state"))
    if ended_run(record) is not None:
        counted.count(meters.RUNS, state)
    attempt = _object(record.get("attempt"))
    if not attempt:
        return
    tier = _one_of(_TIERS, attempt.get("tier"))
    counted.count(meters.ATTEMPTS, tier, state)
    generation, timings = _object(attempt.get("generation")), _object(attempt.get("timings"))
    if tier == Tier.LOCAL and (took_ms := _number(timings.get("retrieve_ms"))):
        counted.observe(meters.RETRIEVE, took_ms / 1000)
    if not generation:
        counted.count(meters.FAULTS, tier)
        return
    if attempt.get("reused"):
        counted.count(meters.REUSED, tier)
    else:
        counted.count(meters.REQUESTS, tier, by=_number(generation.get("tries")))
        counted.observe(meters.GENERATE, _number(timings.get("generate_ms")) / 1000, tier)
    counted.observe(meters.GATE, _number(timings.get("gate_ms")) / 1000, tier)
    usage = _object(generation.get("usage"))
    for name, kind in _TOKENS.items():
        counted.count(meters.TOKENS, tier, kind, by=_number(usage.get(name)))
    reasons = _object(attempt.get("verdict")).get("reasons")
    for rule in {_one_of(CODES, _object(reason).get("rule")) for reason in _list(reasons)}:
        counted.count(meters.OBJECTIONS, tier, rule)


def _one_of(known: frozenset[str], value: object) -> str:
    return value if isinstance(value, str) and value in known else _OTHER


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _number(value: object) -> float:
    """A count or a time; what is none, or is below zero, counts as nothing. A stranger may write either."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        return 0.0
    return float(value)
