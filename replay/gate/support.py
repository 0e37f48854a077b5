"""The support score: how much of what a finding says stands in the spans that it cites."""

from __future__ import annotations

from replay.corpus.tokens import tokens
from replay.gate.case import Case


def support(case: Case) -> float:
    """Mean token containment of the findings in their cited contexts, 0 to 1. It is logged; it decides nothing."""
    shares = []
    for finding in case.answer.findings:
        said = set(tokens(" ".join(filter(None, (finding.claim, finding.found)))))
        cited = {token for span in case.spans(finding) for token in tokens(span.context)}
        shares.append(len(said & cited) / len(said) if said else 0.0)
    return round(sum(shares) / len(shares), 4) if shares else 0.0
