"""Evidence of a million runs without a model: a real log, written by the writer's own code, of small whole records.

Thirty days up to now, busy by day and quiet by night; a third of the runs escalates; claims are put together from a few
thousand words, so that some words are in every run and some in a handful. The same number gives the same runs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from evidence.log import EvidenceLog
from replay import identity
from replay.contracts import State, Tier

SEED = 20_261_130
DAYS = 30
_PER_BATCH = 2500
_RULES = (
    ("support.low", 30), ("citations.none", 18), ("literals.unknown_number", 15), ("binding.other_value", 12),
    ("polarity.negated", 7), ("form.not_json", 6), ("verdict.pass_over_finding", 5), ("coverage.unanswered", 4),
    ("transport.truncated", 2), ("echo.exemplar", 1),
)  # fmt: skip
_MODELS = {
    Tier.LOCAL: ("qwen2.5-coder-0.5b", "qwen3.5:latest"),
    Tier.ESCALATION: ("qwen2.5-coder-1.5b", "vendor/large"),
}
_SUBJECTS = ("visibility timeout", "prefetch multiplier", "default queue", "retry limit", "socket timeout", "pool size")


def write(log: Path, count: int) -> None:
    """Write the evidence of so many runs."""
    with EvidenceLog.open(log) as opened:
        page: list[dict[str, Any]] = []
        for record in records(count):
            page.append(record)
            if len(page) >= 2000:
                opened.append(page)
                page = []
        opened.append(page)


def records(count: int) -> Iterator[dict[str, Any]]:
    """The records, in the order of time."""
    rng = random.Random(SEED)  # noqa: S311  no secrets
    words = [f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in "aeiou" for c in "lmnrstxdkp"]
    end = datetime.now(UTC)
    for number in range(count):
        at = end - timedelta(days=DAYS) * (1 - (number + 1) / count)
        text = (
            f"Verify that the {rng.choice(_SUBJECTS)} of {rng.choice(words)}.{rng.choice(words)}_{number % 4999} is "
            f"{rng.randrange(10_000)} and not {rng.choice(words)}."
        )
        yield from _run(rng, number, text, at)


@dataclass(frozen=True)
class _Claim:
    """What is the same in all records of a run."""

    number: int
    batch: str
    text: str
    hashed: str
    run_id: str


def _run(rng: random.Random, number: int, text: str, at: datetime) -> Iterator[dict[str, Any]]:
    batch = f"batch_{number // _PER_BATCH:016x}"
    hashed = identity.task_hash(text, ())
    claim = _Claim(number, batch, text, hashed, identity.run_id(batch, f"claim-{number}", hashed))
    way = rng.random()
    if way < 0.01:
        yield _record(claim, at, State.FAILED, None)
    elif way < 0.65:
        state = State.ACCEPTED if way < 0.55 else State.REJECTED
        yield _record(claim, at, state, _attempt(rng, claim, Tier.LOCAL, state))
    else:
        yield _record(claim, at, State.ESCALATED, _attempt(rng, claim, Tier.LOCAL, State.ESCALATED))
        if number % 10_000 != 17:  # a few still wait for the large model
            state = State.ACCEPTED if way < 0.92 else State.REJECTED
            yield _record(claim, at + timedelta(seconds=5), state, _attempt(rng, claim, Tier.ESCALATION, state))


def _record(claim: _Claim, at: datetime, state: State, attempt: dict[str, Any] | None) -> dict[str, Any]:
    task = {
        "schema": "replay_task.v1", "run_id": claim.run_id, "batch_id": claim.batch,
        "custom_id": f"claim-{claim.number}", "task_hash": claim.hashed, "text": claim.text, "checklist": [],
        "tags": [], "options": {"allow_escalation": True, "retrieval": True, "repeat": 0},
    }  # fmt: skip
    source = _source(claim)
    passage = {
        "record_id": source, "kind": "source", "text": f"{_quote(claim)}\nother = None", "title": f"lib.{source}",
        "path": f"lib/{source}.py", "first_line": 10, "last_line": 11, "tags": [], "origin": "lib 1",
    }  # fmt: skip
    line = {"line_id": "L1", "record_id": source, "line_no": 10, "text": _quote(claim), "score": 1.0}
    bundle = {
        "retrieval": True, "corpus_version": "corpus_bench", "tokenizer": "tokens.v1", "playbook": [],
        "exemplars": [], "warnings": [], "validation_steps": [], "lines": [line],
        "passages": [{"record": passage, "score": 1.0, "scorer": "containment.v2"}],
    }  # fmt: skip
    return {
        "schema": "replay_run.v1", "id": claim.run_id if attempt is None else attempt["attempt_id"],
        "run_id": claim.run_id, "batch_id": claim.batch, "custom_id": f"claim-{claim.number}",
        "task_hash": claim.hashed, "task": task, "corpus_version": "corpus_bench", "bundle": bundle,
        "attempt": attempt, "state": state.value, "recorded_at": at.isoformat(),
        "reason": None if attempt else "the worker was killed three times",
    }  # fmt: skip


def _attempt(rng: random.Random, claim: _Claim, tier: Tier, state: State) -> dict[str, Any]:
    accepted = state is State.ACCEPTED
    names, weights = zip(*_RULES, strict=True)
    rules = [] if accepted else list(dict.fromkeys(rng.choices(names, weights, k=rng.choice((1, 1, 2)))))
    reasons = [{"rule": rule, "message": "does not hold", "span": None, "expectation": None} for rule in rules]
    usage = {"prompt_tokens": rng.randrange(400, 900), "completion_tokens": rng.randrange(20, 60), "cached_tokens": 300}
    cite = {"record_id": _source(claim), "quote": _quote(claim), "line_id": "L1"}
    finding = {"claim": "", "expected": str(claim.number), "found": str(claim.number), "cites": [cite]}
    ruling = rng.choice(("pass", "pass", "fail", "unsure"))
    generate_ms = rng.lognormvariate(0, 0.5) * (900 if tier is Tier.LOCAL else 4200)
    return {
        "attempt_id": identity.attempt_id(claim.run_id, tier, 0), "tier": tier.value, "repeat": 0,
        "prompt_hash": "sha256:0", "fault": None,
        "generation": {
            "model": rng.choice(_MODELS[tier]), "endpoint": "http://127.0.0.1", "response_format": "json_schema",
            "content": "{}", "finish_reason": "stop", "reasoning": "", "tries": 1, "usage": usage,
            "generate_ms": generate_ms,
        },
        "answer": {"format": "answer.v1", "checks": [], "proposals": [], "verdict": ruling, "findings": [finding]},
        "verdict": {"gate_version": "gate.bench", "accepted": accepted, "score": 0.5, "audit": [], "reasons": reasons},
        "timings": {"retrieve_ms": rng.random() * 4, "generate_ms": generate_ms, "gate_ms": rng.random()},
    }  # fmt: skip


def _source(claim: _Claim) -> str:
    return f"src_{claim.number * 7919 % 20_000}"


def _quote(claim: _Claim) -> str:
    return f"value = {claim.number}"
