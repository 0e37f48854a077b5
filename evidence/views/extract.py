"""What the views keep of a record, taken from its JSON. What it lacks, or has in no usable form, is none or nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from replay.contracts import TERMINAL, Ruling, State
from replay.identity import Json

MAX_TEXT = 32 * 1024
_MAX_NAME = 300
_MAX_RULES = 64
_INT64 = 1 << 63
_STATES = tuple(State)
_TERMINAL = tuple(TERMINAL)


@dataclass(frozen=True, slots=True)
class Use:
    """A record of the corpus that retrieval gave a run."""

    record_id: str
    kind: str
    title: str
    place: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A `replay_run.v1` record, flat. Times are Unix seconds, durations milliseconds.

    Attributes:
        ends: It ends its run.
        rules: Codes of the gate's reasons, each once.
        uses: Of the bundle; only where it ends the run, so that each run counts once.
        cited: Record ids that the answer cites.
    """

    seq: int
    run_id: str
    batch_id: str
    custom_id: str
    text: str
    state: str
    ends: bool
    at: float
    tier: str
    model: str | None
    ruling: str | None
    rules: tuple[str, ...]
    retrieve_ms: float
    generate_ms: float
    gate_ms: float
    generated: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: float | None
    uses: tuple[Use, ...]
    cited: frozenset[str]


def seen(record: Mapping[str, Json], seq: int, latest: float) -> Seen | None:
    """A run's record as the views keep it; None where it names no run or no state.

    Args:
        record: Without its chain.
        seq: Its number.
        latest: The latest moment that a record can have; a clock that is ahead, or none, gives this.
    """
    run_id, state = _name(record.get("run_id")), record.get("state")
    if not run_id or state not in _STATES:
        return None
    attempt = _object(record.get("attempt"))
    generation = _object(attempt.get("generation"))
    usage = _object(generation.get("usage"))
    timings = _object(attempt.get("timings"))
    answer = _object(attempt.get("answer"))
    task = _object(record.get("task"))
    ruling = answer.get("verdict")
    ends = state in _TERMINAL
    return Seen(
        seq=seq,
        run_id=run_id,
        batch_id=_name(record.get("batch_id")),
        custom_id=_name(record.get("custom_id")),
        text=_text(task.get("text"))[:MAX_TEXT],
        state=str(state),
        ends=ends,
        at=moment(record.get("recorded_at"), latest),
        tier=_name(attempt.get("tier")),
        model=_name(generation.get("model")) or None,
        ruling=str(ruling) if ruling in tuple(Ruling) else None,
        rules=_rules(_object(attempt.get("verdict")).get("reasons")),
        retrieve_ms=_real(timings.get("retrieve_ms")),
        generate_ms=_real(timings.get("generate_ms")),
        gate_ms=_real(timings.get("gate_ms")),
        generated=bool(generation) and attempt.get("reused") is None,
        prompt_tokens=_whole(usage.get("prompt_tokens")),
        completion_tokens=_whole(usage.get("completion_tokens")),
        cached_tokens=_whole(usage.get("cached_tokens")),
        cost=_cost(usage),
        uses=tuple(_uses(_object(record.get("bundle")))) if ends else (),
        cited=frozenset(_cited(answer)) if ends else frozenset(),
    )


def moment(text: Json, latest: float) -> float:
    """A time of a record as Unix time; `latest` where it is none or later."""
    try:
        at = datetime.fromisoformat(text)
        unix = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return latest
    return unix if 0 <= unix <= latest else latest


def _rules(reasons: Json) -> tuple[str, ...]:
    if not isinstance(reasons, list):
        return ()
    codes = (_name(_object(reason).get("rule")) for reason in reasons)
    return tuple(dict.fromkeys(code for code in codes if code))[:_MAX_RULES]


def _uses(bundle: Mapping[str, Json]) -> Iterator[Use]:
    for part in ("playbook", "passages"):
        hits = bundle.get(part)
        for hit in hits if isinstance(hits, list) else ():
            record = _object(_object(hit).get("record"))
            record_id = _name(record.get("record_id"))
            if record_id:
                place = _name(record.get("path"))
                if place and _whole(record.get("first_line")):
                    place = f"{place}:{record['first_line']}"
                yield Use(record_id, _name(record.get("kind")), _name(record.get("title")), place)


def _cited(answer: Mapping[str, Json]) -> Iterator[str]:
    findings = answer.get("findings")
    for finding in findings if isinstance(findings, list) else ():
        cites = _object(finding).get("cites")
        for cite in cites if isinstance(cites, list) else ():
            if record_id := _name(_object(cite).get("record_id")):
                yield record_id


def _cost(usage: Mapping[str, Json]) -> float | None:
    cost = usage.get("cost")
    return _real(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Any) -> str:
    return _text(value)[:_MAX_NAME]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _INT64 >> 20 else 0


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    real = float(value) if abs(value) < 1e15 else 0.0
    return real if math.isfinite(real) and real >= 0 else 0.0
