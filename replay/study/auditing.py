"""The auditor's report: how far the findings of many answers are backed by what they cite, and by what.

Each judged answer carries an audit, one entry a finding (`replay.gate.audit`). This adds them up. It decides nothing:
an answer may be accepted with a claim that is backed in part, and rejected with all of it backed.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from replay.contracts import ClaimAudit, Record, RecordKind, ReplayRun, State, Tier
from replay.gate.audit import audit
from replay.gate.case import Case

UNKNOWN_KIND = "not in the bundle"


@dataclass(frozen=True)
class Backing:
    """How far a group of claims is backed: wholly (score 1), partly, not at all (score 0)."""

    wholly: int = 0
    partly: int = 0
    not_at_all: int = 0
    score_sum: float = 0.0

    @property
    def claims(self) -> int:
        """All of them."""
        return self.wholly + self.partly + self.not_at_all

    @property
    def mean(self) -> float | None:
        """Mean score, 0 to 1; None without claims."""
        return self.score_sum / self.claims if self.claims else None

    def plus(self, score: float) -> Backing:
        """With one more claim of this score."""
        return replace(
            self,
            wholly=self.wholly + (score >= 1),
            partly=self.partly + (0 < score < 1),
            not_at_all=self.not_at_all + (score <= 0),
            score_sum=self.score_sum + score,
        )

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        mean = None if self.mean is None else round(self.mean, 4)
        return {
            "claims": self.claims,
            "wholly": self.wholly,
            "partly": self.partly,
            "not_at_all": self.not_at_all,
            "mean_score": mean,
        }


@dataclass(frozen=True)
class Backer:
    """A record and how many claims it backs in whole or in part."""

    record_id: str
    kind: str
    place: str
    claims: int

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {"record_id": self.record_id, "kind": self.kind, "place": self.place, "claims": self.claims}


@dataclass(frozen=True, order=True)
class Claim:
    """One claim and how far it is backed; the least backed come first."""

    score: float
    attempt_id: str
    finding: int
    run_id: str = field(compare=False)
    custom_id: str = field(compare=False)
    tier: Tier = field(compare=False)
    state: State = field(compare=False)
    claim: str = field(compare=False)
    unsupported: tuple[str, ...] = field(compare=False)

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "score": self.score,
            "run_id": self.run_id,
            "attempt_id": self.attempt_id,
            "custom_id": self.custom_id,
            "tier": self.tier.value,
            "state": self.state.value,
            "finding": self.finding,
            "claim": self.claim,
            "unsupported": list(self.unsupported),
        }


@dataclass(frozen=True)
class AuditReport:
    """The backing of many answers' claims.

    Attributes:
        records: Records of evidence that were looked at.
        answers: Those with an answer, of which `silent` have no finding.
        unaudited: Answers whose verdict carries no audit, since an earlier gate made none.
        without_answer: Records with no answer: no attempt, no reply, or a reply that could not be read.
        total: All claims.
        groups: By tier and state of the run after the attempt.
        scorers: By what measured them.
        kinds: Claims that some record of this kind backs; a claim may be backed by several kinds.
        unbacked: Claims that no record backs.
        backers: The records that back most, first.
        least: The least backed claims, first.
    """

    records: int
    answers: int
    silent: int
    unaudited: int
    without_answer: int
    total: Backing
    groups: Mapping[tuple[Tier, State], Backing]
    scorers: Mapping[str, Backing]
    kinds: Mapping[str, int]
    unbacked: int
    backers: tuple[Backer, ...]
    least: tuple[Claim, ...]

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "records": self.records,
            "answers": self.answers,
            "answers_without_finding": self.silent,
            "unaudited": self.unaudited,
            "without_answer": self.without_answer,
            "total": self.total.wire(),
            "groups": [
                {"tier": tier.value, "state": state.value} | backing.wire()
                for (tier, state), backing in self.groups.items()
            ],
            "scorers": {name: backing.wire() for name, backing in self.scorers.items()},
            "kinds": dict(self.kinds),
            "backed_by_no_record": self.unbacked,
            "backers": [backer.wire() for backer in self.backers],
            "least_backed": [claim.wire() for claim in self.least],
        }


def report(runs: Iterable[ReplayRun], *, again: bool = False, most: int = 10) -> AuditReport:
    """Add up the audits of these records.

    Args:
        runs: Records of evidence, in any order; memory grows with the records that back, not with these.
        again: Measure every answer anew, with today's scorer, in place of what was measured when it was judged.
        most: Length of the two lists.
    """
    counts: Counter[str] = Counter()
    total = Backing()
    groups: defaultdict[tuple[Tier, State], Backing] = defaultdict(Backing)
    scorers: defaultdict[str, Backing] = defaultdict(Backing)
    kinds: Counter[str] = Counter()
    backers: Counter[str] = Counter()
    named: dict[str, tuple[str, str]] = {}
    least: list[Claim] = []
    for run in runs:
        counts["records"] += 1
        attempt = run.attempt
        if attempt is None or attempt.answer is None:
            counts["without_answer"] += 1
            continue
        counts["answers"] += 1
        counts["silent"] += not attempt.answer.findings
        entries = audits(run, again=again)
        counts["unaudited"] += bool(attempt.answer.findings) and not entries
        records = run.bundle.records()
        for entry in entries:
            total = total.plus(entry.score)
            groups[attempt.tier, run.state] = groups[attempt.tier, run.state].plus(entry.score)
            scorers[entry.scorer] = scorers[entry.scorer].plus(entry.score)
            for record_id in dict.fromkeys(entry.backed_by):
                backers[record_id] += 1
                named[record_id] = _named(records.get(record_id))
            kinds.update({_named(records.get(record_id))[0] for record_id in entry.backed_by})
            counts["unbacked"] += not entry.backed_by
        # Only what is among the least so far is kept.
        least = heapq.nsmallest(most, [*least, *(_claim(run, entry) for entry in entries if entry.score < 1)])
    return AuditReport(
        records=counts["records"],
        answers=counts["answers"],
        silent=counts["silent"],
        unaudited=counts["unaudited"],
        without_answer=counts["without_answer"],
        total=total,
        groups=dict(sorted(groups.items())),
        scorers=dict(sorted(scorers.items())),
        kinds={kind: kinds[kind] for kind in [*RecordKind, UNKNOWN_KIND] if kinds[kind]},
        unbacked=counts["unbacked"],
        backers=tuple(
            Backer(record_id, *named[record_id], count)
            for record_id, count in sorted(backers.items(), key=lambda item: (-item[1], item[0]))[:most]
        ),
        least=tuple(least),
    )


def audits(run: ReplayRun, *, again: bool = False) -> tuple[ClaimAudit, ...]:
    """The audit of a run's answer, as it was recorded or measured anew; empty where there is none."""
    attempt = run.attempt
    if attempt is None or attempt.answer is None:
        return ()
    if again:
        return audit(Case(run.task, run.bundle, attempt.answer))
    return attempt.verdict.audit if attempt.verdict else ()


def place(record: Record) -> str:
    """Where a record stands: path and lines, or else its title."""
    if record.path is None:
        return record.title
    lines = "" if record.first_line is None else f":{record.first_line}"
    end = "" if record.last_line in (None, record.first_line) else f"-{record.last_line}"
    return f"{record.path}{lines}{end if lines else ''}"


def _named(record: Record | None) -> tuple[str, str]:
    return (UNKNOWN_KIND, "") if record is None else (record.kind.value, place(record))


def _claim(run: ReplayRun, entry: ClaimAudit) -> Claim:
    attempt = run.attempt
    if attempt is None:
        raise ValueError("a claim without an attempt")  # only answers have claims
    return Claim(
        score=entry.score,
        attempt_id=attempt.attempt_id,
        finding=entry.finding,
        run_id=run.run_id,
        custom_id=run.custom_id,
        tier=attempt.tier,
        state=run.state,
        claim=entry.claim,
        unsupported=entry.unsupported,
    )
