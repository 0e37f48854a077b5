"""The record that an admitted answer becomes: a worked example in the form of the playbook, and where it is from."""

from __future__ import annotations

import re
from dataclasses import dataclass

from replay import values
from replay.contracts import Record, RecordKind
from replay.corpus.admission.candidates import DEPTH, ORIGIN, Basis, Candidate, Place
from replay.corpus.entry import MAX_TAG_CHARS, MAX_TAGS
from replay.corpus.remembering import CLOSE, closeness

BASIS = "basis:"
TIER = "tier:"
_OURS = (DEPTH, BASIS, TIER)
_EVIDENCE = re.compile(r"(?P<path>[^:\n]+):\d+: (?P<quote>.*)")


@dataclass(frozen=True)
class Said:
    """What an exemplar says: of this line, for a claim with this value, this verdict.

    Attributes:
        firm: Is it a person's word?
    """

    record_id: str
    claim: str
    place: Place
    expected: str
    verdict: str
    firm: bool

    def contradicts(self, other: Said) -> bool:
        """Do both speak of one thing and one value, and differ in what the line makes of it?"""
        return (
            self.place == other.place
            and self.verdict != other.verdict
            and values.parse(self.expected).same(values.parse(other.expected))
            and closeness(self.claim, other.claim) >= CLOSE
        )


def said_by(held: Record) -> Said | None:
    """What a record says; None where it is no exemplar of this form."""
    told = fields(held)
    place = _EVIDENCE.fullmatch(told.get("Evidence", ""))
    if held.kind is not RecordKind.EXEMPLAR or place is None or not {"Claim", "Expected", "Verdict"} <= told.keys():
        return None
    return Said(
        record_id=held.record_id,
        claim=told["Claim"],
        place=Place(place["path"], place["quote"]),
        expected=told["Expected"],
        verdict=told["Verdict"],
        firm=basis_of(held) == Basis.HUMAN,
    )


def record(found: Candidate, basis: Basis) -> Record:
    """The record of a candidate.

    Its tags are the tier, the basis, the depth and those of the task; a task cannot give itself one of the first three.
    """
    given = [tag for tag in found.tags if not tag.startswith(_OURS) and len(tag) <= MAX_TAG_CHARS]
    ours = [f"{TIER}{found.tier}", f"{BASIS}{basis}", f"{DEPTH}{found.depth}"]
    return Record(
        record_id=found.record_id,
        kind=found.kind,
        title=found.claim,
        text="\n".join(_warning(found) if found.kind is RecordKind.WARNING else _exemplar(found)),
        tags=tuple(dict.fromkeys([*ours, *given]))[:MAX_TAGS],
        origin=ORIGIN,
    )


def fields(held: Record) -> dict[str, str]:
    """What the lines of a record name: `Claim`, `Evidence`, `Expected` and so on. Of two the first counts."""
    found: dict[str, str] = {}
    for line in held.text.split("\n"):
        name, colon, value = line.partition(": ")
        if colon:
            found.setdefault(name, value)
    return found


def basis_of(held: Record) -> Basis:
    """Whose word a record is; what people wrote is theirs."""
    if held.origin != ORIGIN:
        return Basis.HUMAN
    told = {tag.removeprefix(BASIS) for tag in held.tags if tag.startswith(BASIS)}
    return next((basis for basis in Basis if basis.value in told), Basis.LOCAL)


def _exemplar(found: Candidate) -> list[str]:
    return [
        f"Claim: {found.claim}",
        f"Evidence: {found.place.path}:{found.line_no}: {found.place.quote}",
        f"Expected: {found.expected}",
        f"Found: {found.found}",
        f"Verdict: {found.verdict}",
        f"Source: {found.source}",
    ]


def _warning(found: Candidate) -> list[str]:
    return [f"Claim: {found.claim}", f"The large model's answer to it did not stand: {found.why}"]
