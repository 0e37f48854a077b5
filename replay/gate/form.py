"""Form rules: the answer says something definite, once."""

from __future__ import annotations

import re

from replay.contracts import Reason, Ruling
from replay.gate.case import Case

_HEDGE = re.compile(
    r"\b(?:might|may be|perhaps|probably|possibly|presumably|likely|appears? to|seems? to|i think|i believe|i assume|"
    r"as an ai|cannot (?:determine|verify|confirm)|not (?:sure|certain)|it depends|should be fine|approximately|"
    r"around|roughly|unclear|n/?a|tbd|unknown)\b",
    re.IGNORECASE,
)
_MAX_VALUE_CHARS = 160


def has_findings(case: Case) -> list[Reason]:
    """An answer without a finding says nothing that could be checked, unless it says that nothing was found."""
    if case.answer.findings or case.answer.verdict is Ruling.UNSURE:
        return []
    return [Reason(rule="form.no_findings", message="the answer has no finding")]


def has_no_hedge(case: Case) -> list[Reason]:
    """A finding states a value; a hedge states none. Words of the task or of the cited quotes are exempt."""
    reasons = []
    for finding in case.answer.findings:
        given = " ".join([case.task.text, *(span.quote for span in case.spans(finding))]).lower()
        for text in (finding.claim, finding.found or "", finding.expected or ""):
            hedge = _HEDGE.search(text)
            if hedge and hedge[0].lower() not in given:
                reasons.append(Reason(rule="form.hedge", message=f"hedges: {hedge[0]!r}", span=text))
    return reasons


def has_bounded_values(case: Case) -> list[Reason]:
    """`found` and `expected` are values, not essays, and neither is empty."""
    reasons = []
    for finding in case.answer.findings:
        for name in ("found", "expected"):
            value = (getattr(finding, name) or "").strip()
            if not value and not finding.claim:
                reasons.append(Reason(rule="form.empty_value", message=f"{name} is empty"))
            elif len(value) > _MAX_VALUE_CHARS:
                reasons.append(Reason(rule="form.long_value", message=f"{name} is not a value", span=value[:80]))
    return reasons
