"""Right answers in the form of the product: one finding that points at a line, with the claimed and the found value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replay.contracts import Answer, Bundle, Check, Cite, EvidenceLine, Finding, Ruling
from replay.study.mutations.case import Gold


@dataclass(frozen=True)
class Claim:
    """A claim whose deciding line is proved: a line of `data/retrieval/*.jsonl`."""

    query_id: str
    text: str
    verdict: Ruling
    path: str
    pattern: str
    expected: str
    found: str
    subject: str | None = None
    context: str | None = None
    checklist: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """The top folder of the file that decides it."""
        return self.path.partition("/")[0]

    @property
    def owner(self) -> str:
        """The class, function or module that the value belongs to, where the claim's source tells it."""
        return (self.subject or "").partition(":")[0]


def claim_of(row: Mapping[str, Any]) -> Claim | None:
    """Read a claim; None where no single line of the source decides it."""
    if not row.get("found") or not row.get("expected") or row.get("absent") is not None:
        return None
    if row["verdict"] == "fail" and str(row["pattern"]).startswith("class "):
        return None  # a base that is not named may still be a base of the one that is
    return Claim(
        query_id=str(row["query_id"]),
        text=str(row["text"]),
        verdict=Ruling(row["verdict"]),
        path=str(row["path"]),
        pattern=str(row["pattern"]),
        # A model is offered the values that a claim holds, and of "switched off" that is "off".
        expected=str(row["expected"]).removeprefix("switched "),
        found=str(row["found"]),
        subject=row.get("subject"),
        context=row.get("context"),
        checklist=tuple(row.get("checklist", ())),
    )


def deciding(claim: Claim, bundle: Bundle) -> EvidenceLine | None:
    """The shown line that decides a claim; None where it is not shown, or others look like it."""
    records = bundle.records()
    alike = [line for line in bundle.lines if line.text == claim.pattern and records[line.record_id].path == claim.path]
    if claim.context is not None:
        alike = [line for line in alike if records[line.record_id].title == claim.owner]
    return alike[0] if len(alike) == 1 else None


def value_gold(claim: Claim, bundle: Bundle) -> Gold | None:
    """The right answer to a claim over a bundle; None where the bundle does not show the deciding line."""
    line = deciding(claim, bundle)
    if line is None:
        return None
    finding = Finding(
        expected=claim.expected,
        found=claim.found,
        cites=(Cite(record_id=line.record_id, quote=line.text, line_id=line.line_id),),
    )
    result = "pass" if claim.verdict is Ruling.PASS else "fail"
    checks = tuple(Check(item=item, result=result) for item in claim.checklist)
    answer = Answer(findings=(finding,), checks=checks, verdict=claim.verdict)
    return Gold(claim.text, claim.checklist, bundle, answer)
