"""An answer laid open: each finding with what it cites, what of it nothing backs, and what the gate holds against it.

The gate's reasons name a span and no finding. A reason stands under the first finding in which its span is found; what
is about the answer as a whole, or about something that it leaves out, stands apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from replay.contracts import Answer, Attempt, Check, Cite, ClaimAudit, Finding, Reason, ReplayRun
from replay.gate.audit import audit, composed
from replay.gate.case import Case
from replay.study.auditing import place
from replay.study.visible import visible

NEIGHBOURS = 2
_WHOLE_LINES = 12  # of a record that is cited as a whole
_QUOTED_LINES = 24
_REPLY_CHARS = 4000
_OF_THE_WHOLE = ("coverage.", "verdict.")


@dataclass(frozen=True)
class ShownLine:
    """A line of a record: its number in the file, or in the record where there is no file, and whether it is cited."""

    number: int
    text: str
    cited: bool


@dataclass(frozen=True)
class Citation:
    """What a finding points to.

    Attributes:
        record_id: As the answer gives it.
        kind: Of the record; empty where the bundle has no such record.
        title: Of the record.
        place: Path and lines, or title.
        quote: What the answer quotes; None where it cites the whole record.
        stands: Does the quote stand in the record?
        lines: The cited lines with their neighbours; the beginning of a record cited as a whole.
        left_out: Lines of the record before and after those.
    """

    record_id: str
    kind: str
    title: str
    place: str
    quote: str | None
    stands: bool
    lines: tuple[ShownLine, ...]
    left_out: int


@dataclass(frozen=True)
class Laid:
    """A finding laid open.

    Attributes:
        number: From 1.
        claim: Its claim, or the sentence that code makes of its values.
        score: How much of it is backed, 0 to 1; None where it was not measured.
        unsupported: Places in the claim that nothing backs: beginning and end in characters.
        citations: What it cites.
        reasons: What the gate holds against it.
    """

    number: int
    claim: str
    score: float | None
    unsupported: tuple[tuple[int, int], ...]
    citations: tuple[Citation, ...]
    reasons: tuple[Reason, ...]

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        spans = [{"start": start, "end": end, "text": self.claim[start:end]} for start, end in self.unsupported]
        return {
            "number": self.number,
            "claim": self.claim,
            "score": self.score,
            "unsupported": spans,
            "citations": [asdict(citation) for citation in self.citations],
            "reasons": [reason.wire() for reason in self.reasons],
        }


@dataclass(frozen=True)
class Explanation:
    """One record of evidence laid open.

    Attributes:
        run: The record.
        attempt: Its attempt; None where the run ended without one.
        no_answer: Why there is no answer to show; empty where there is one.
        findings: The answer's findings.
        reasons: The gate's reasons that are about no single finding.
        scorer: What measured the backing; empty without an answer.
        measured_now: The backing was measured now, since the verdict carries none.
    """

    run: ReplayRun
    attempt: Attempt | None
    no_answer: str
    findings: tuple[Laid, ...]
    reasons: tuple[Reason, ...]
    scorer: str
    measured_now: bool

    @property
    def checks(self) -> tuple[Check, ...]:
        """The answer's checks."""
        return self.attempt.answer.checks if self.attempt and self.attempt.answer else ()

    @property
    def reply(self) -> str:
        """Where there is no answer, the beginning of the reply that came, as it can be shown; empty without one."""
        generation = self.attempt.generation if self.attempt and self.no_answer else None
        return visible(generation.content[:_REPLY_CHARS], keep="\n") if generation else ""

    @property
    def decision(self) -> str:
        """What the gate decided."""
        verdict = self.attempt.verdict if self.attempt else None
        return "not judged" if verdict is None else "accepted" if verdict.accepted else "rejected"

    @property
    def gate_version(self) -> str:
        """Of the gate that judged; empty where none did."""
        return self.attempt.verdict.gate_version if self.attempt and self.attempt.verdict else ""

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        run, attempt = self.run, self.attempt
        answer = attempt.answer if attempt else None
        return {
            "run_id": run.run_id,
            "attempt_id": attempt.attempt_id if attempt else None,
            "batch_id": run.batch_id,
            "custom_id": run.custom_id,
            "task": run.task.text,
            "tier": attempt.tier.value if attempt else None,
            "state": run.state.value,
            "decision": self.decision,
            "gate_version": self.gate_version or None,
            "score": attempt.verdict.score if attempt and attempt.verdict else None,
            "answer": answer.verdict.value if answer else None,
            "no_answer": self.no_answer or None,
            "reply": self.reply or None,
            "findings": [finding.wire() for finding in self.findings],
            "reasons": [reason.wire() for reason in self.reasons],
            "checks": [check.wire() for check in self.checks],
            "scorer": self.scorer or None,
            "measured_now": self.measured_now,
        }


def explain(run: ReplayRun) -> Explanation:
    """Lay a record of evidence open."""
    attempt = run.attempt
    reasons = attempt.verdict.reasons if attempt and attempt.verdict else ()
    if attempt is None or attempt.answer is None:
        return Explanation(run, attempt, why_no_answer(run), (), reasons, "", measured_now=False)
    case = Case(run.task, run.bundle, attempt.answer)
    recorded = attempt.verdict.audit if attempt.verdict else ()
    entries = recorded or audit(case)
    owners = [_owner(attempt.answer, reason, entries) for reason in reasons]
    findings = tuple(
        _laid(
            case,
            number,
            finding,
            next((entry for entry in entries if entry.finding == number), None),
            tuple(reason for reason, owner in zip(reasons, owners, strict=True) if owner == number),
        )
        for number, finding in enumerate(attempt.answer.findings)
    )
    return Explanation(
        run,
        attempt,
        "",
        findings,
        tuple(reason for reason, owner in zip(reasons, owners, strict=True) if owner is None),
        entries[0].scorer if entries else "",
        measured_now=bool(entries) and not recorded,
    )


def why_no_answer(run: ReplayRun) -> str:
    """Why a record has no answer, in a sentence that blames the right part."""
    attempt = run.attempt
    if attempt is None:
        return f"the run ended without an attempt: {run.reason or run.state.value}"
    if attempt.answer is not None:
        return ""
    if attempt.generation is None:
        return f"no reply came, which says nothing of the task: {attempt.fault or 'a transport fault'}"
    rules = [reason.rule for reason in attempt.verdict.reasons] if attempt.verdict else []
    if any(rule.startswith("transport.") for rule in rules):
        return "the reply did not arrive whole, so nothing of it was read"
    return "the reply is not of the answer's form, so nothing of it was read"


def _laid(case: Case, number: int, finding: Finding, entry: ClaimAudit | None, reasons: tuple[Reason, ...]) -> Laid:
    claim = entry.claim if entry else composed(finding)
    return Laid(
        number=number + 1,
        claim=claim,
        score=entry.score if entry else None,
        unsupported=_places(claim, entry.unsupported if entry else ()),
        citations=tuple(_citation(case, finding, cite) for cite in finding.cites),
        reasons=reasons,
    )


def _places(claim: str, spans: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Where the spans stand, which come in the order of the claim."""
    places = []
    after = 0
    for span in spans:
        start = claim.find(span, after)
        if span and start >= 0:
            after = start + len(span)
            places.append((start, after))
    return tuple(places)


def _citation(case: Case, finding: Finding, cite: Cite) -> Citation:
    record = case.records.get(cite.record_id)
    if record is None:
        return Citation(cite.record_id, "", "", "", cite.quote, stands=False, lines=(), left_out=0)
    alone = finding.model_copy(update={"cites": (cite,)})
    # A case of its own: one keeps spans by the identity of findings, and this one ends here.
    span = Case(case.task, case.bundle, case.answer).spans(alone)[0]
    texts = record.text.split("\n")
    if span.line is None:
        first, last, cited = 0, min(len(texts), _WHOLE_LINES), range(0)
    else:
        height = min(span.quote.strip("\n").count("\n") + 1, _QUOTED_LINES)
        cited = range(span.line, span.line + height)
        first, last = max(0, cited.start - NEIGHBOURS), min(len(texts), cited.stop + NEIGHBOURS)
    base = 1 if record.first_line is None else record.first_line
    return Citation(
        record_id=record.record_id,
        kind=record.kind.value,
        title=record.title,
        place=place(record),
        quote=cite.quote,
        stands=cite.quote is None or span.line is not None,
        lines=tuple(ShownLine(base + at, texts[at], at in cited) for at in range(first, last)),
        left_out=len(texts) - max(0, last - first),
    )


def _owner(answer: Answer, reason: Reason, entries: Sequence[ClaimAudit]) -> int | None:
    """The finding that a reason is about; None where it is about none or nobody can tell."""
    if reason.rule.startswith(_OF_THE_WHOLE) and not reason.span:
        return None
    if len(answer.findings) == 1 and not reason.rule.startswith("coverage."):
        return 0
    if not reason.span:
        return None
    unbacked = {entry.finding: "\n".join(entry.unsupported) for entry in entries}
    texts = [_said(finding) for finding in answer.findings]
    holding = [number for number, text in enumerate(texts) if reason.span in text]
    # Of several that say it, the one in which nothing backs it.
    return next((n for n in holding if reason.span in unbacked.get(n, "")), next(iter(holding), None))


def _said(finding: Finding) -> str:
    cites = [text for cite in finding.cites for text in (cite.record_id, cite.quote)]
    return "\n".join(filter(None, [finding.claim, finding.found, finding.expected, *cites]))
