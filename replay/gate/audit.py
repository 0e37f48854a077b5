"""The auditor: how much of each finding its cited spans back, measured on every answer, whatever the verdict.

Cheap and without opinion: the share of the claim's content words that the cited spans, or the names their records go
by, contain. It scores and never gates. `replay.gate.semantic` can add a model's score behind the same protocol.
"""

from __future__ import annotations

from collections.abc import Sequence

from replay import values
from replay.contracts import ClaimAudit, Finding
from replay.gate.case import Case
from replay.gate.reading import Atom, read
from replay.gate.spans import Span

SCORER = "support.v1"
MOST_FINDINGS = 32
LONGEST_CLAIM = 2500


def audit(case: Case) -> tuple[ClaimAudit, ...]:
    """One entry for each finding; of an endless answer, its first findings and the beginning of each claim."""
    return tuple(
        _entry(case, number, finding, case.spans(finding))
        for number, finding in enumerate(case.answer.findings[:MOST_FINDINGS])
    )


def composed(finding: Finding) -> str:
    """What a finding says: its claim, or the sentence that code makes of its two values."""
    if finding.claim.strip():
        return finding.claim[:LONGEST_CLAIM]
    expected, found = ((value or "nothing")[:200] for value in (finding.expected, finding.found))
    return f"expected {expected}; found {found}"


def _entry(case: Case, number: int, finding: Finding, spans: Sequence[Span]) -> ClaimAudit:
    claim = composed(finding)
    if not finding.claim.strip():
        return _of_value(number, claim, finding, spans)
    if case.is_verbatim(finding):
        return ClaimAudit(finding=number, claim=claim, score=1.0, backed_by=(spans[0].record.record_id,), scorer=SCORER)
    backed_by = {
        span.record.record_id: read(span.quote[:LONGEST_CLAIM]).said | read(span.names[:LONGEST_CLAIM]).said
        for span in spans
    }
    content = read(claim).content
    held = frozenset().union(*backed_by.values())
    foreign = [atom for atom in content if atom.key not in held]
    keys = {atom.key for atom in content}
    return ClaimAudit(
        finding=number,
        claim=claim,
        score=round(1 - len(foreign) / len(content), 4) if content else 0.0,
        backed_by=tuple(record for record, said in backed_by.items() if said & keys),
        unsupported=_spans_of(claim, content, foreign),
        scorer=SCORER,
    )


def _of_value(number: int, claim: str, finding: Finding, spans: Sequence[Span]) -> ClaimAudit:
    """A finding of values claims one thing: that `found` is what stands there."""
    found = values.parse((finding.found or "")[:200])
    holders = tuple(
        dict.fromkeys(span.record.record_id for span in spans if found.text and values.occurs(found, span.quote[:4000]))
    )
    said = (finding.found or "")[:200]
    return ClaimAudit(
        finding=number,
        claim=claim,
        score=1.0 if holders else 0.0,
        backed_by=holders,
        unsupported=() if holders or not said else (said,),
        scorer=SCORER,
    )


def _spans_of(claim: str, content: Sequence[Atom], foreign: list[Atom]) -> tuple[str, ...]:
    """The foreign words as substrings of the claim; neighbours with nothing backed between them are one span."""
    places: list[list[int]] = []
    wanted = {id(atom) for atom in foreign}
    last = False
    for atom in content:
        if id(atom) in wanted:
            if last:
                places[-1][1] = max(places[-1][1], atom.end)
            else:
                places.append([atom.start, atom.end])
        last = id(atom) in wanted
    return tuple(claim[start:end] for start, end in places)
