"""The gate: versioned deterministic code that alone accepts an answer.

A pure function of task, bundle and reply; no model, no clock, no disk. Rules are grouped in families, one module
each, and run in the order of `registry.FAMILIES`. A family that objects ends the judgement where later families would
only repeat it: a reply that did not arrive has no form, and an answer without form has no citations.

Changing a rule, a threshold, a word of the lexicon or the order changes `GATE_VERSION`, which every verdict carries.
"""

from __future__ import annotations

from replay.answers import parse
from replay.contracts import Answer, Bundle, Generation, Reason, ReplayTask, Verdict
from replay.gate import transport
from replay.gate.audit import audit
from replay.gate.case import Case
from replay.gate.registry import CODES, DEFAULT_GATE, FAMILIES, GATE_VERSION, GATES, Gate, gate_without
from replay.gate.thresholds import Thresholds

MOST_REASONS = 64  # a verdict tells why; it is no copy of the answer

__all__ = [
    "CODES",
    "DEFAULT_GATE",
    "FAMILIES",
    "GATES",
    "GATE_VERSION",
    "Gate",
    "Thresholds",
    "gate_without",
    "judge",
    "judge_answer",
]


def judge(
    task: ReplayTask, bundle: Bundle, generation: Generation, gate: Gate = DEFAULT_GATE
) -> tuple[Answer | None, Verdict]:
    """Judge a reply as it came from a model. The answer is None where none could be read."""
    if reasons := _objecting(transport.arrived(generation), gate):
        return None, _rejected(gate, reasons)
    try:
        answer = parse(generation.content, task, bundle)
    except ValueError as error:
        # Without an answer there is nothing to judge, whether or not the rule is on.
        return None, _rejected(
            gate, [Reason(rule="form.not_the_format", message=f"the reply is not the format: {error}")]
        )
    return answer, judge_answer(task, bundle, answer, gate)


def judge_answer(task: ReplayTask, bundle: Bundle, answer: Answer, gate: Gate = DEFAULT_GATE) -> Verdict:
    """Judge an answer in its stored form, such as one from history."""
    case = Case(task, bundle, answer, gate.thresholds)
    for family in FAMILIES:
        reasons = [
            reason
            for rule in family
            if not gate.off.issuperset(rule.codes)
            for reason in _objecting(rule.check(case), gate)
        ]
        if reasons:
            return _verdict(gate, case, reasons[:MOST_REASONS])
    return _verdict(gate, case, [])


def _objecting(reasons: list[Reason], gate: Gate) -> list[Reason]:
    return [reason for reason in reasons if reason.rule not in gate.off]


def _verdict(gate: Gate, case: Case, reasons: list[Reason]) -> Verdict:
    audited = audit(case)
    return Verdict(
        gate_version=gate.version,
        accepted=not reasons,
        score=round(sum(entry.score for entry in audited) / len(audited), 4) if audited else 0.0,
        reasons=tuple(reasons),
        audit=audited,
    )


def _rejected(gate: Gate, reasons: list[Reason]) -> Verdict:
    return Verdict(gate_version=gate.version, accepted=False, score=0.0, reasons=tuple(reasons))
