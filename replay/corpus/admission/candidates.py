"""Which answers could become records: what admission needs of a run, taken out of it, so that bundles need not be held.

A candidate is the end of a run with retrieval whose answer points to one line of a source and says pass or fail.
Baselines, cancelled runs and reused answers are none: the first two have nothing to teach, the last were counted once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from replay import identity
from replay.contracts import EvidenceLine, Finding, Record, RecordKind, ReplayRun, Ruling, State, Tier
from replay.corpus.remembering import CLOSE, closeness, worked

ORIGIN = "evidence"
DEPTH = "depth:"
MAX_CLAIM_CHARS = 1_000
_MAX_VALUE_CHARS = 500


class Basis(StrEnum):
    """Whose word a record is, the one to be preferred first."""

    HUMAN = "human"
    ESCALATION = "escalation"
    LOCAL = "local"


class Place(NamedTuple):
    """The line that an answer rests on. The passage's id is left out: a passage that grows a line is another one."""

    path: str
    quote: str


NOWHERE = Place("", "")


@dataclass(frozen=True)
class Candidate:
    """An answer that could become a record; a warning has no place, values or verdict.

    Attributes:
        accepted: Did the gate accept it?
        kind: Exemplar or warning.
        place: The cited line.
        line_no: Where it stood in its file.
        source: Id of the passage.
        why: Of a warning: what was held against the answer.
        depth: One more than that of the deepest playbook record that the model was shown.
    """

    run_id: str
    batch_id: str
    custom_id: str
    task_hash: str
    recorded_at: str
    claim: str
    tier: Tier
    accepted: bool
    kind: RecordKind
    depth: int
    tags: tuple[str, ...] = ()
    place: Place = NOWHERE
    line_no: int = 0
    source: str = ""
    expected: str = ""
    found: str = ""
    verdict: Ruling = Ruling.UNSURE
    why: str = ""

    @property
    def record_id(self) -> str:
        """The id of its record: the same run is the same record."""
        return "ev_" + identity.digest({"admitted": self.run_id})[7:31]


class Unfit(NamedTuple):
    """Why the end of a run is no candidate, in words."""

    why: str


def candidate(run: ReplayRun) -> Candidate | Unfit:
    """What the end of a run could become."""
    claim = " ".join(run.task.text.split())
    attempt = run.attempt
    if attempt is None or (why := _aside(run, claim)):
        return Unfit("runs without an attempt" if attempt is None else why)
    bare = Candidate(
        run_id=run.run_id,
        batch_id=run.batch_id,
        custom_id=run.custom_id,
        task_hash=run.task_hash,
        recorded_at=run.recorded_at,
        claim=claim,
        tier=attempt.tier,
        accepted=run.state is State.ACCEPTED,
        kind=RecordKind.EXEMPLAR,
        depth=1 + max((depth_of(record) for record in shown(run)), default=0),
        tags=run.task.tags,
    )
    pointed = _pointed(run)
    if pointed is None:
        return _warning(run, bare) or Unfit("answers that do not rest on one line of a source")
    finding, line, source = pointed
    fields = (line.text, finding.expected or "", finding.found or "", source.path or "")
    if ":" in fields[-1] or any(len(part.splitlines()) != 1 or len(part) > _MAX_VALUE_CHARS for part in fields):
        return Unfit("answers whose parts are empty, long, or of several lines")
    quote, expected, found, path = fields
    verdict = attempt.answer.verdict if attempt.answer is not None else Ruling.UNSURE
    return replace(
        bare,
        place=Place(path, quote),
        line_no=line.line_no,
        source=source.record_id,
        expected=expected.strip(),
        found=found.strip(),
        verdict=verdict,
        why=_objection(run),
    )


def shown(run: ReplayRun) -> Iterator[Record]:
    """The playbook records that a model was shown: as examples or warnings, or by the line that they rest on."""
    named = {*run.bundle.exemplars, *run.bundle.warnings}
    places = {(line.record_id, line.line_no) for line in run.bundle.lines}
    for hit in run.bundle.playbook:
        known = worked(hit.record)
        remembered = (
            known is not None
            and (known.source, known.line_no) in places
            and closeness(run.task.text, known.claim) >= CLOSE
        )
        if remembered or hit.record.record_id in named:
            yield hit.record


def depth_of(record: Record) -> int:
    """How many answers a record is away from the sources; 0 for what people wrote."""
    if record.origin != ORIGIN:
        return 0
    told = (tag.removeprefix(DEPTH) for tag in record.tags if tag.startswith(DEPTH))
    return max((int(depth) for depth in told if depth.isdecimal()), default=1)


def as_warning(found: Candidate) -> Candidate | None:
    """What an answer that the gate refused could become instead; None where it is not the large model's."""
    if found.accepted or found.tier is not Tier.ESCALATION or not found.why:
        return None
    return replace(found, kind=RecordKind.WARNING, place=NOWHERE, source="", expected="", found="", line_no=0)


def _aside(run: ReplayRun, claim: str) -> str:
    if not run.task.options.retrieval or not run.bundle.retrieval:
        return "baselines without retrieval"
    if run.state is State.CANCELLED:
        return "cancelled runs"
    if run.attempt is not None and run.attempt.reused is not None:
        return "reused answers"
    return f"claims of more than {MAX_CLAIM_CHARS:,} characters" if len(claim) > MAX_CLAIM_CHARS else ""


def _pointed(run: ReplayRun) -> tuple[Finding, EvidenceLine, Record] | None:
    """The finding, the line that it cites and its passage, where the answer is one finding with one citation."""
    answer = run.attempt.answer if run.attempt is not None else None
    if answer is None or answer.verdict is Ruling.UNSURE or len(answer.findings) != 1:
        return None
    finding = answer.findings[0]
    if len(finding.cites) != 1:
        return None
    cite = finding.cites[0]
    line = next((line for line in run.bundle.lines if line.line_id == cite.line_id), None)
    source = run.bundle.records().get(cite.record_id)
    if line is None or source is None or line.record_id != source.record_id or cite.quote != line.text:
        return None
    return (finding, line, source) if source.kind is RecordKind.SOURCE else None


def _warning(run: ReplayRun, bare: Candidate) -> Candidate | None:
    return as_warning(replace(bare, why=_objection(run)))


def _objection(run: ReplayRun) -> str:
    """What was held against an answer, on one line; empty where nothing was."""
    if run.state is State.ACCEPTED or run.attempt is None:
        return ""
    verdict = run.attempt.verdict
    reasons = [reason.message for reason in verdict.reasons] if verdict is not None else []
    said = reasons or [run.reason or run.attempt.fault or ""]
    return " ".join(said[0].split())[:_MAX_VALUE_CHARS]
