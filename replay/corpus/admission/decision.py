"""What becomes of an answer, and why: a decision is a value with a code for programs and a sentence for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from replay.afterwards import UtilityCounts
from replay.contracts import Record
from replay.corpus.admission.candidates import Basis, Candidate


class Outcome(StrEnum):
    """What becomes of a candidate, or of a record that was admitted before."""

    ADMITTED = "admitted"
    CREDITED = "credited"
    WITHDRAWN = "withdrawn"
    DEMOTED = "demoted"
    KNOWN = "known"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


CHANGING = frozenset({Outcome.ADMITTED, Outcome.CREDITED, Outcome.WITHDRAWN, Outcome.DEMOTED})
"""Outcomes that make another version of the corpus, each of them a line of the ledger."""


class Why(StrEnum):
    """Codes of reasons; they are written into the evidence, so none changes its meaning."""

    REVIEWED = "reviewed"
    LARGE_MODEL = "large-model"
    CONFIRMED = "confirmed"
    WARNING = "warning"
    IN_CORPUS = "in-corpus"
    UNCONFIRMED = "unconfirmed"
    REVIEWED_AWAY = "reviewed-away"
    DEMOTED_BEFORE = "demoted-before"
    POISON = "poison"
    BARRED = "barred"
    TOO_DEEP = "too-deep"
    SOURCE_GONE = "source-gone"
    CONTRADICTION = "contradiction"
    NEAR_DUPLICATE = "near-duplicate"
    REPEAT = "repeat"
    FILE_IS_FULL = "file-is-full"
    HARMFUL = "harmful"
    STRAY = "stray"


@dataclass(frozen=True)
class Decision:
    """What becomes of one record.

    Attributes:
        outcome: What becomes of it.
        reason: Why, as a code.
        why: Why, in words.
        candidate: The answer that it is made of.
        record_id: Its id.
        basis: Whose word it is.
        other_id: The record that it repeats, is credited to or contradicts.
        confirmed_by: The run that says the same.
        utility: How runs went with and without it, where that decided.
    """

    outcome: Outcome
    reason: Why
    why: str
    candidate: Candidate
    record_id: str
    basis: Basis
    other_id: str | None = None
    confirmed_by: str | None = None
    utility: UtilityCounts | None = None

    def wire(self) -> dict[str, Any]:
        """For programs."""
        found = self.candidate
        return {
            "outcome": self.outcome.value,
            "reason": self.reason.value,
            "why": self.why,
            "record_id": self.record_id,
            "run_id": found.run_id,
            "batch_id": found.batch_id,
            "custom_id": found.custom_id,
            "claim": found.claim,
            "kind": found.kind.value,
            "basis": self.basis.value,
            "depth": found.depth,
            "other_id": self.other_id,
            "confirmed_by": self.confirmed_by,
            "utility": self.utility.wire() if self.utility is not None else None,
        }


@dataclass(frozen=True)
class Plan:
    """What a run of the command comes to.

    Attributes:
        decisions: In the order of preference; those about records that are there come first.
        add: Records that are new.
        drop: Ids of records that the next version is without.
        credit: Names that records get for near-duplicates, by their ids.
        aside: How many runs are no candidates, and why.
        worth: How runs went with and without each record that was admitted before and shown since.
    """

    decisions: tuple[Decision, ...] = ()
    add: tuple[Record, ...] = ()
    drop: tuple[str, ...] = ()
    credit: Mapping[str, frozenset[str]] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    worth: Mapping[str, UtilityCounts] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Is there anything to publish?"""
        return bool(self.add or self.drop or self.credit)

    def counts(self) -> Counter[Outcome]:
        """How many decisions of each kind."""
        return Counter(decision.outcome for decision in self.decisions)
