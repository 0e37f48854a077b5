"""The records that are in the corpus already: what of the evidence is held, what it says, and what of it must go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from replay.afterwards import UtilityCounts
from replay.contracts import Record, Tier
from replay.corpus.admission.candidates import ORIGIN, Candidate, Place, depth_of
from replay.corpus.admission.decision import Decision, Outcome, Why
from replay.corpus.admission.gathering import Gathered
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.admission.records import Said, basis_of, fields, said_by
from replay.corpus.admission.utility import Strays, does_harm, family_of, strays, utility
from replay.corpus.group import Group

_MANY = 40  # tasks


@dataclass(frozen=True)
class Standing:
    """What the playbook of a version holds, as admission asks for it.

    Attributes:
        admitted: Records that were made of evidence, by id.
        said: What exemplars say, people's too, by the line that they rest on.
        credited: The record that stands for a near-duplicate, by the id of that.
    """

    admitted: dict[str, Record]
    said: dict[Place, list[Said]]
    credited: dict[str, str]

    def per_file(self, but: set[str]) -> Counter[str]:
        """How many admitted records rest on each file; those with the ids `but` left out."""
        return Counter(
            place.path
            for place, said in self.said.items()
            for one in said
            if one.record_id in self.admitted and one.record_id not in but
        )


def standing(playbook: Group, known: Gathered) -> Standing:
    """Look through the playbook, once.

    Raises:
        CorpusError: A record is not what was written; names the file.
    """
    found = Standing({}, defaultdict(list), {})
    ids = set()
    for record in playbook:
        ids.add(record.record_id)
        if record.origin == ORIGIN:
            found.admitted[record.record_id] = record
        if (said := said_by(record)) is not None:
            found.said[said.place].append(said)
        own = (name.partition("/") for name in record.also)
        found.credited.update({record_id: record.record_id for origin, _, record_id in own if origin == ORIGIN})
    # A record names only so many that it stands for; the ledger has them all.
    for record_id, entries in known.ledger.items():
        last = entries[-1]
        if last.decision == "credited" and last.other_id in ids:
            found.credited.setdefault(record_id, str(last.other_id))
    return found


def leaving(
    known: Gathered, held: Standing, worth: Mapping[str, UtilityCounts], policy: Policy, barred: Barred
) -> Iterator[Decision]:
    """The admitted records that must go in any case: a person says so, they are barred, or they do harm."""
    drawn = strays(known.trials, {key: family_of(record.tags) for key, record in held.admitted.items()})
    for record in held.admitted.values():
        found = behind(record, known)
        counts = worth.get(record.record_id)
        if known.rejected(found):
            yield _goes(record, found, Outcome.WITHDRAWN, Why.REVIEWED_AWAY, "a person says that it does not stand")
        elif why := barred.bars(found.claim, found.task_hash):
            yield _goes(record, found, Outcome.WITHDRAWN, Why.BARRED, why)
        elif (reach := drawn.get(record.record_id)) is not None and _strays(reach, policy):
            why = f"{reach.shown} of {reach.of} tasks of other families were shown it"
            yield _goes(record, found, Outcome.DEMOTED, Why.STRAY, why)
        elif counts is not None and does_harm(counts, policy):
            why = (
                f"{counts.passed} of {counts.uses} tasks passed with it, {counts.baseline_passed} of "
                f"{counts.baseline_uses} without: {100 * (utility(counts) or 0):+.0f} points"
            )
            yield Decision(Outcome.DEMOTED, Why.HARMFUL, why, found, record.record_id, basis_of(record), utility=counts)


def _strays(reach: Strays, policy: Policy) -> bool:
    """Is a record shown so widely that it is likely to be made for it?"""
    return reach.of >= _MANY and reach.shown >= policy.stray_share * reach.of


def contradicted(record: Record, known: Gathered, by: str) -> Decision:
    """An admitted record goes until a person has said which of two is right."""
    why = f"{by} says otherwise of the same line; a review decides"
    found = behind(record, known)
    return Decision(Outcome.WITHDRAWN, Why.CONTRADICTION, why, found, record.record_id, basis_of(record), other_id=by)


def behind(record: Record, known: Gathered) -> Candidate:
    """The answer that an admitted record was made of; where its run is in no evidence here, what the record tells."""
    entries = known.ledger.get(record.record_id)
    run_id = entries[0].run_id if entries else ""
    found = known.by_record.get(record.record_id)
    return found or Candidate(
        run_id=run_id,
        batch_id=entries[0].batch_id if entries else "",
        custom_id=entries[0].custom_id if entries else "",
        task_hash="",
        recorded_at="",
        claim=fields(record).get("Claim", record.title),
        tier=Tier.LOCAL,
        accepted=True,
        kind=record.kind,
        depth=depth_of(record),
    )


def _goes(record: Record, found: Candidate, outcome: Outcome, reason: Why, why: str) -> Decision:
    return Decision(outcome, reason, why, found, record.record_id, basis_of(record))
