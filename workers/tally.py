"""What the records of one batch say in numbers: every attempt passes the writer once, so here each is counted once.

A record that the log had already, because it was sent or read twice, counts as a duplicate and as nothing else.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
    for outcome, records in Counter(there.outcome for there in placed).items():
        counted.count(meters.RECORDS, outcome.value, by=records)
    ends: Counter[str] = Counter()
    tiers: defaultdict[str, _Tier] = defaultdict(_Tier)
    for body, there in zip(bodies, placed, strict=True):
        if there.outcome is Outcome.APPENDED and body.record.get("schema") == RUN_SCHEMA:
            state = _one_of(_STATES, body.record.get("state"))
            if ended_run(body.record) is not None:
                ends[state] += 1
            if attempt := _object(body.record.get("attempt")):
                tiers[_one_of(_TIERS, attempt.get("tier"))].add(attempt, state)
    for state, runs in ends.items():
        counted.count(meters.RUNS, state, by=runs)
    for name, tier in tiers.items():
        tier.tell(counted, name)


class _Tier:
    """What the attempts of one tier in a batch add up to. Added up here, each of the few labels is looked up once."""

    def __init__(self) -> None:
        self._states: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()
        self._faults = self._reused = 0
        self._tries = 0.0
        self._tokens = dict.fromkeys(_TOKENS, 0.0)
        self._retrieve_s: list[float] = []
        self._generate_s: list[float] = []
        self._gate_s: list[float] = []

    def add(self, attempt: Mapping[str, Any], state: str) -> None:
        """Add an attempt."""
        self._states[state] += 1
        generation, timings = _object(attempt.get("generation")), _object(attempt.get("timings"))
        if took_ms := _number(timings.get("retrieve_ms")):
            self._retrieve_s.append(took_ms / 1000)
        if not generation:
            self._faults += 1
            return
        if attempt.get("reused"):
            self._reused += 1
        else:
            self._tries += _number(generation.get("tries"))
            self._generate_s.append(_number(timings.get("generate_ms")) / 1000)
        self._gate_s.append(_number(timings.get("gate_ms")) / 1000)
        usage = _object(generation.get("usage"))
        for name in _TOKENS:
            self._tokens[name] += _number(usage.get(name))
        if reasons := _object(attempt.get("verdict")).get("reasons"):
            self._rules.update({_one_of(CODES, _object(reason).get("rule")) for reason in _list(reasons)})

    def tell(self, counted: Meters, tier: str) -> None:
        """Count what was added."""
        for state, attempts in self._states.items():
            counted.count(meters.ATTEMPTS, tier, state, by=attempts)
        counted.count(meters.FAULTS, tier, by=self._faults)
        counted.count(meters.REUSED, tier, by=self._reused)
        counted.count(meters.REQUESTS, tier, by=self._tries)
        for name, kind in _TOKENS.items():
            counted.count(meters.TOKENS, tier, kind, by=self._tokens[name])
        for rule, attempts in self._rules.items():
            counted.count(meters.OBJECTIONS, tier, rule, by=attempts)
        if tier == Tier.LOCAL:
            counted.observe_all(meters.RETRIEVE, self._retrieve_s)
        counted.observe_all(meters.GENERATE, self._generate_s, tier)
        counted.observe_all(meters.GATE, self._gate_s, tier)


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
