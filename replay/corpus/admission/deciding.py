"""From the evidence and a version of the corpus to a plan: what is admitted, what waits, what goes, each with a reason.

Read `decide` downwards. First what must go of what is there; then each candidate by itself; then contradictions, which
need all of them; last the order of preference, in which near-duplicates and full files are decided.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from replay.contracts import Record, RecordKind
from replay.corpus.admission.candidates import ORIGIN, Basis, Candidate
from replay.corpus.admission.decision import Decision, Outcome, Plan, Why
from replay.corpus.admission.gathering import Gathered
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.admission.records import Said, fields, record, said_by
from replay.corpus.admission.screening import Eligible, Screen
from replay.corpus.admission.standing import Standing, contradicted, leaving, standing
from replay.corpus.admission.utility import utilities
from replay.corpus.held import Held
from replay.corpus.index.encoding import Encoder
from replay.corpus.neighbours import NEAR, Neighbours
from replay.corpus.opening import Snapshot
from replay.corpus.store import searched_text

_PREFERENCE = {basis: rank for rank, basis in enumerate(Basis)}


def decide(known: Gathered, corpus: Snapshot, policy: Policy, barred: Barred) -> Plan:
    """Decide about every chosen run, and about every record that was admitted before.

    Args:
        known: The evidence.
        corpus: The current version.
        policy: The thresholds.
        barred: Texts that must not come in.

    Raises:
        CorpusError: A record of the corpus is not what was written; names the file.
    """
    held = standing(corpus.playbook, known)
    every = utilities(known.trials, known.reviews)
    worth = {record_id: every[record_id] for record_id in held.admitted if record_id in every}
    going = {decision.record_id: decision for decision in leaving(known, held, worth, policy, barred)}
    gone = set(going)
    screen = Screen(known, corpus.sources, policy, barred, _harmful(known, going.values()))
    settled: list[Decision] = []
    eligible: list[Eligible] = []
    aside = Counter(known.unfit)
    for end in known.candidates.values():
        if end.run_id not in known.chosen or end.record_id in gone:
            continue
        if (found := screen.candidate(end)) is None:
            aside["answers that the gate refused"] += 1
            continue
        looked = _known(found, held, known, gone) or screen.look(found)
        if isinstance(looked, Eligible):
            eligible.append(looked)
        else:
            settled.append(looked)
    contradictions = _Contradictions(held, known, gone)
    settled += contradictions.settle(eligible)
    going |= contradictions.going
    settled = [decision for decision in settled if decision.record_id not in contradictions.going]
    refused = {decision.record_id for decision in settled}
    left = [one for one in eligible if one.candidate.record_id not in refused]
    entering = _Entering(left, corpus, held, set(going), known)
    entered = list(entering.decide(policy))
    return Plan(
        decisions=(*going.values(), *entered, *settled),
        add=tuple(entering.added),
        drop=tuple(sorted(going)),
        credit={record_id: frozenset(names) for record_id, names in entering.credit.items()},
        aside={why: count for why, count in aside.items() if count},
        worth=worth,
    )


def _harmful(known: Gathered, going: Iterable[Decision]) -> Barred:
    """The claims of records that were demoted, before or now: what nearly says the same does not replace them."""
    before = [entries[-1].claim for entries in known.ledger.values() if entries[-1].decision == "demoted"]
    now = [decision.candidate.claim for decision in going if decision.outcome is Outcome.DEMOTED]
    return Barred(((claim, ()) for claim in (*before, *now)), NEAR[0] / NEAR[1])


def _known(found: Candidate, held: Standing, known: Gathered, gone: set[str]) -> Decision | None:
    """The decision about a candidate whose record is in the corpus, or whose near-duplicate is credited with it."""
    bare = Eligible(found, known.basis(found), Why.IN_CORPUS, "")
    if found.record_id in held.admitted:
        return bare.becomes(Outcome.KNOWN, Why.IN_CORPUS, "the corpus has it")
    if (kept := held.credited.get(found.record_id)) is not None and kept not in gone:
        return bare.becomes(Outcome.KNOWN, Why.IN_CORPUS, f"{kept} stands for it", kept)
    return None


class _Contradictions:
    """Who says otherwise of the same line and value: both wait for a review, unless one of them is a person's word.

    Attributes:
        going: Records of the corpus that are withdrawn.
    """

    def __init__(self, held: Standing, known: Gathered, gone: set[str]) -> None:
        self._held = held
        self._known = known
        self._gone = gone
        self.going: dict[str, Decision] = {}

    def settle(self, eligible: Sequence[Eligible]) -> Iterator[Decision]:
        """The refusals, at most one for each candidate."""
        said = [(one, said_by(record(one.candidate, one.basis))) for one in eligible]
        places: defaultdict[object, list[Said]] = defaultdict(list)
        for _, mine in said:
            if mine is not None:
                places[mine.place].append(mine)
        for one, mine in said:
            if mine is None:
                continue
            there = [other for other in self._held.said.get(mine.place, ()) if other.record_id not in self._gone]
            refused_by = [other.record_id for other in there if self._yields(mine, other)]
            refused_by += [
                other.record_id
                for other in places[mine.place]
                if mine.contradicts(other) and (other.firm or not mine.firm)
            ]
            if refused_by:
                why = f"{refused_by[0]} says otherwise of the same line; a review decides"
                yield one.becomes(Outcome.REFUSED, Why.CONTRADICTION, why, refused_by[0])

    def _yields(self, mine: Said, other: Said) -> bool:
        """Does a candidate wait because of a record of the corpus? Where that must wait too, it is noted as going."""
        if not mine.contradicts(other):
            return False
        behind = self._known.by_record.get(other.record_id)
        firm = other.firm or (behind is not None and self._known.basis(behind) is Basis.HUMAN)
        if (mine.firm or not firm) and (there := self._held.admitted.get(other.record_id)) is not None:
            self.going[other.record_id] = contradicted(there, self._known, mine.record_id)
        return firm or not mine.firm


class _Entering:
    """Admits in the order of preference what no record nearly says already.

    Attributes:
        added: The records that are admitted.
        credit: Names of near-duplicates, by the id of the record that stands for them.
    """

    def __init__(
        self, eligible: Iterable[Eligible], corpus: Snapshot, held: Standing, gone: set[str], known: Gathered
    ) -> None:
        self._ordered = sorted(eligible, key=lambda one: _PREFERENCE[one.basis])
        self._records = [record(one.candidate, one.basis) for one in self._ordered]
        encoder = Encoder()
        for new in self._records:
            encoder.add(searched_text(new))
        sets = encoder.finish()
        self._neighbours = Neighbours(sets)
        self._near: defaultdict[int, list[tuple[float, Record]]] = defaultdict(list)
        for number, other, score in Held(corpus.playbook).near(sets, gone):
            self._near[number].append((score, other))
        self._files = held.per_file(gone)
        self._credited = dict(held.credited)
        self._of_claim: defaultdict[str, set[str]] = defaultdict(set)
        for found in known.candidates.values():
            self._of_claim[found.claim].add(found.record_id)
        self.added: list[Record] = []
        self.credit: defaultdict[str, set[str]] = defaultdict(set)

    def decide(self, policy: Policy) -> Iterator[Decision]:
        """The decision about each, in the order of preference."""
        for number, (one, new) in enumerate(zip(self._ordered, self._records, strict=True)):
            twins = [(score, self._records[other]) for other, score in self._neighbours.near(number)]
            alike = [hit for hit in (*self._near[number], *twins) if hit[1].kind is new.kind]
            path = one.candidate.place.path
            if alike:
                yield self._duplicate(one, alike)
            elif new.kind is RecordKind.EXEMPLAR and self._files[path] >= policy.per_file:
                why = f"{self._files[path]} admitted records rest on {path} already"
                yield one.becomes(Outcome.REFUSED, Why.FILE_IS_FULL, why)
            else:
                self._neighbours.admit(number)
                self._files[path] += 1
                self.added.append(new)
                yield one.admitted()

    def _duplicate(self, one: Eligible, alike: Sequence[tuple[float, Record]]) -> Decision:
        """A claim that is there word for word is a repeat; in other words it is credited, once."""
        found = one.candidate
        same = [kept.record_id for _, kept in alike if fields(kept).get("Claim") == found.claim]
        score, into = min(alike, key=lambda hit: (-hit[0], hit[1].record_id))
        twins = {self._credited[twin] for twin in self._of_claim[found.claim] if twin in self._credited}
        if same or into.record_id in twins:
            kept_id = same[0] if same else into.record_id
            return one.becomes(Outcome.REFUSED, Why.REPEAT, f"{kept_id} says it already", kept_id)
        self.credit[into.record_id].add(f"{ORIGIN}/{found.record_id}")
        self._credited[found.record_id] = into.record_id
        why = f"{into.record_id} nearly says it ({score:.2f}) and is credited with it"
        verdict = fields(into).get("Verdict")
        if found.kind is RecordKind.EXEMPLAR and verdict is not None and verdict != found.verdict:
            # Near in words, and about another value or line: nothing is contradicted, but who reads it must know.
            why = (
                f"{into.record_id} is near in words ({score:.2f}) with the opposite verdict, {verdict} and not "
                f"{found.verdict}: it is credited with it"
            )
        return one.becomes(Outcome.CREDITED, Why.NEAR_DUPLICATE, why, into.record_id)
