"""Citation rules: every finding points at something that is in the bundle, and quotes it verbatim."""

from __future__ import annotations

from replay import values
from replay.contracts import Reason
from replay.gate.case import Case
from replay.gate.spans import level


def point_into_bundle(case: Case) -> list[Reason]:
    """Each finding cites at least one record, and only records that retrieval gave."""
    reasons = []
    for finding in case.answer.findings:
        if not finding.cites:
            reasons.append(Reason(rule="citations.missing", message="a finding cites nothing", span=finding.claim))
        reasons += [
            Reason(
                rule="citations.unknown_record",
                message=f"cites {cite.record_id!r}, which is not among the evidence",
                span=cite.record_id,
            )
            for cite in finding.cites
            if cite.record_id not in case.records
        ]
    return reasons


def quote_verbatim(case: Case) -> list[Reason]:
    """A quote stands whole in the record that it is attributed to, after Unicode, case and space are levelled."""
    reasons = []
    for finding in case.answer.findings:
        for cite in finding.cites:
            if cite.quote is None or cite.record_id not in case.records:
                continue
            quote = level(cite.quote)
            if not quote:
                reasons.append(Reason(rule="citations.empty_quote", message="a quote is empty", span=cite.record_id))
            elif not values.stands_whole(quote, level(case.records[cite.record_id].text)):
                reasons.append(
                    Reason(
                        rule="citations.altered_quote", message="the quote is not in the cited record", span=cite.quote
                    )
                )
    return reasons
