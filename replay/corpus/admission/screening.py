"""Whether an answer may be admitted, taken by itself: the checks that need nothing but the evidence and the sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from replay import values
from replay.contracts import RecordKind
from replay.corpus.admission.candidates import Basis, Candidate, Place, as_warning
from replay.corpus.admission.decision import Decision, Outcome, Why
from replay.corpus.admission.gathering import Gathered
from replay.corpus.admission.guard import Barred, poison
from replay.corpus.admission.policy import Policy
from replay.corpus.group import Group
from replay.corpus.remembering import closeness


class Eligible(NamedTuple):
    """A candidate that may be admitted, and by what right."""

    candidate: Candidate
    basis: Basis
    reason: Why
    why: str
    confirmed_by: str | None = None

    def becomes(self, outcome: Outcome, reason: Why, why: str, other_id: str | None = None) -> Decision:
        """The decision that it comes to."""
        return Decision(
            outcome, reason, why, self.candidate, self.candidate.record_id, self.basis, other_id, self.confirmed_by
        )

    def admitted(self) -> Decision:
        """It becomes a record."""
        return self.becomes(Outcome.ADMITTED, self.reason, self.why)


class Screen:
    """Checks one candidate after the other.

    Args:
        known: The evidence.
        sources: The passages that the corpus has.
        policy: The thresholds.
        barred: Texts that must not come in.
        harmful: Claims of records that were demoted.
    """

    def __init__(self, known: Gathered, sources: Group, policy: Policy, barred: Barred, harmful: Barred) -> None:
        self._known = known
        self._sources = sources
        self._policy = policy
        self._barred = barred
        self._harmful = harmful
        self._accepted: defaultdict[Place, list[Candidate]] = defaultdict(list)
        for found in known.candidates.values():
            if found.accepted and found.kind is RecordKind.EXEMPLAR and not known.rejected(found):
                self._accepted[found.place].append(found)

    def candidate(self, found: Candidate) -> Candidate | None:
        """What an end could become under the policy; None where it is no candidate at all."""
        if found.accepted or self._known.basis(found) is Basis.HUMAN:
            return found if found.kind is RecordKind.EXEMPLAR else None
        return as_warning(found) if self._policy.warnings and not self._known.rejected(found) else None

    def look(self, found: Candidate) -> Eligible | Decision:
        """May it be admitted?

        Raises:
            CorpusError: The passage is not what was written; names the file.
        """
        bare = Eligible(found, self._known.basis(found), Why.REVIEWED, "a person accepted it")
        for reason, why in self._objections(found):
            return bare.becomes(Outcome.REFUSED, reason, why)
        if found.kind is RecordKind.WARNING:
            return bare._replace(reason=Why.WARNING, why="the large model did not find it")
        if bare.basis is Basis.HUMAN:
            return bare
        if bare.basis is Basis.ESCALATION:
            return bare._replace(reason=Why.LARGE_MODEL, why="the large model's answer, accepted by the gate")
        if (other := self._confirming(found)) is None:
            why = "the local model's word alone: no other run says the same of the same line"
            return bare.becomes(Outcome.QUARANTINED, Why.UNCONFIRMED, why)
        how = "another tier" if other.tier is not found.tier else "another claim"
        return bare._replace(reason=Why.CONFIRMED, why=f"confirmed by {other.run_id}, {how}", confirmed_by=other.run_id)

    def _objections(self, found: Candidate) -> Iterator[tuple[Why, str]]:
        """Why it may not, whoever says it; the first counts."""
        if self._known.rejected(found):
            yield Why.REVIEWED_AWAY, "a person says that it does not stand"
        if why := poison(found):
            yield Why.POISON, f"it holds {why}"
        if why := self._barred.bars(found.claim, found.task_hash):
            yield Why.BARRED, why
        if self._harmful.bars(found.claim):
            yield Why.DEMOTED_BEFORE, "a record of this claim was demoted: it did harm"
        if found.depth > (most := self._policy.max_depth):
            yield Why.TOO_DEEP, f"{found.depth} answers away from the sources; {most} are allowed"
        if found.source and self._sources.find(found.source) is None:
            yield Why.SOURCE_GONE, "the corpus no longer has the passage that it cites"

    def _confirming(self, found: Candidate) -> Candidate | None:
        """An accepted run of another claim or another tier that found the same value in the same line."""
        value = values.parse(found.found)
        return next(
            (
                other
                for other in self._accepted[found.place]
                if other.run_id != found.run_id
                and (other.claim != found.claim or other.tier is not found.tier)
                and values.parse(other.found).same(value)
                and closeness(other.claim, found.claim) >= self._policy.confirming_closeness
            ),
            None,
        )
