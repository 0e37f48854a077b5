"""The gate: versioned deterministic code that alone accepts an answer.

A pure function of task, bundle and reply; no model, no clock, no disk. Rules are grouped in families, one module
each, and run in the order below. A family that objects ends the judgement where later families would only repeat it:
a reply that did not arrive has no form, and an answer without form has no citations.

Changing a rule, a threshold or the order changes `GATE_VERSION`, which every verdict carries.
"""

from __future__ import annotations

from collections.abc import Callable

from replay.answers import parse
from replay.contracts import Answer, Bundle, Generation, Reason, ReplayTask, Verdict
from replay.gate import algebra, binding, citations, coverage, form, literals, transport
from replay.gate.case import Case
from replay.gate.support import support

GATE_VERSION = "gate.v1"

Rule = Callable[[Case], list[Reason]]

FAMILIES: tuple[tuple[Rule, ...], ...] = (
    (form.has_findings, form.has_no_hedge, form.has_bounded_values),
    (citations.point_into_bundle, citations.quote_verbatim),
    (
        algebra.is_decided,
        literals.known_literals,
        literals.found_is_cited,
        literals.expected_is_asked,
        binding.covers_subject,
        binding.names_the_named,
        binding.has_no_rival,
        binding.switch_is_not_turned_round,
        binding.asserts_value,
        algebra.pass_is_shown,
        algebra.fail_is_shown,
        algebra.absence_is_not_pointed_at,
        algebra.relation_is_equality,
        algebra.unit_is_known,
        coverage.answers_checklist,
    ),
)

__all__ = ["FAMILIES", "GATE_VERSION", "judge", "judge_answer"]


def judge(task: ReplayTask, bundle: Bundle, generation: Generation) -> tuple[Answer | None, Verdict]:
    """Judge a reply as it came from a model. The answer is None where none could be read."""
    if reasons := transport.arrived(generation):
        return None, _rejected(reasons)
    try:
        answer = parse(generation.content, task, bundle)
    except ValueError as error:
        return None, _rejected([Reason(rule="form.not_the_format", message=f"the reply is not the format: {error}")])
    return answer, judge_answer(task, bundle, answer)


def judge_answer(task: ReplayTask, bundle: Bundle, answer: Answer) -> Verdict:
    """Judge an answer in its stored form, such as one from history."""
    case = Case(task, bundle, answer)
    for family in FAMILIES:
        reasons = [reason for rule in family for reason in rule(case)]
        if reasons:
            return _rejected(reasons, support(case))
    return Verdict(gate_version=GATE_VERSION, accepted=True, score=support(case))


def _rejected(reasons: list[Reason], score: float = 0.0) -> Verdict:
    return Verdict(gate_version=GATE_VERSION, accepted=False, score=score, reasons=tuple(reasons))
