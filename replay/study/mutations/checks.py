"""What every case has to hold, whatever its class: a fault makes a difference, a paraphrase makes none that matters."""

from __future__ import annotations

import re

from replay.contracts import Answer
from replay.study.mutations import numerals
from replay.study.mutations.case import Gold
from replay.study.mutations.editing import cited_text, normal

_NEGATION = re.compile(r"\b(?:not|no|never|none|cannot|without|neither|nor)\b|n't\b", re.IGNORECASE)
_UNIT = re.compile(r"\b(?:seconds?|minutes?|hours?|days?|ms|s)\b")


def is_fault(gold: Gold, output: Answer) -> bool:
    """Is the answer another, and is no changed claim still what the cited record says, word by word?"""
    if _wire(output) == _wire(gold.answer):
        return False
    before = {finding.model_dump_json() for finding in gold.answer.findings}
    changed = [finding for finding in output.findings if finding.model_dump_json() not in before]
    kept = {normal(finding.claim) for finding in gold.answer.findings}
    for finding in changed:
        same_words = normal(finding.claim) in kept
        same_cites = any(finding.cites == one.cites and finding.claim != one.claim for one in gold.answer.findings)
        if same_words and same_cites:
            return False  # only marks and spaces differ
    return True


def is_harmless(gold: Gold, output: Answer) -> bool:
    """Are citations, numbers and negations those of the gold answer, apart from what was left out or converted?"""
    if output.verdict is not gold.answer.verdict or output.checks != gold.answer.checks:
        return False
    right = {finding.cites: finding for finding in gold.answer.findings}
    for finding in output.findings:
        origin = right.get(finding.cites)
        if origin is None:
            return False
        if finding.claim == origin.claim:
            continue
        added = numerals.values(finding.claim) - numerals.values(origin.claim)
        converted = bool(_UNIT.search(origin.claim) and _UNIT.search(finding.claim))
        if added and not converted:
            return False
        if len(_NEGATION.findall(finding.claim)) != len(_NEGATION.findall(origin.claim)):
            return False
        if not cited_text(finding, gold.bundle):
            return False
    return bool(output.findings)


def _wire(answer: Answer) -> str:
    return answer.model_dump_json()
