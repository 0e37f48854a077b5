"""Near-duplicates among playbook records: found exactly when records are imported, and merged with their provenance.

Two records of one kind are near-duplicates if the Jaccard similarity of their tokens, as `jaccard.v1` has it, is 0.9 or
more. One is kept: that
of the corpus, else that with the smallest id. It is credited with the others, whose text goes; where several are kept,
the most similar is. So:

- what is kept stands for what was merged into it itself, never by way of a third record; where it comes again with
  another text, it no longer does, and where what was merged comes again and is kept, neither;
- no two new records that are kept are near-duplicates;
- the same records give the same result in whatever order they come, and importing them again changes nothing.

Records of different kinds are never merged. An exemplar and a warning that nearly say the same contradict each other:
both are kept, and the conflict is reported. Not compared are sources (a twin of a definition is a fact of its own),
parts of a long text (one that was merged away would leave a hole in it) and records without a token.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from replay.contracts import Record, RecordKind
from replay.corpus.entry import part_id, whole_id
from replay.corpus.held import NOTHING, Lookup
from replay.corpus.index.encoding import Encoder
from replay.corpus.neighbours import Neighbours, is_near
from replay.corpus.store import searched_text
from replay.corpus.tokens import tokens
from replay.errors import InputError

MAX_ALSO = 32
"""Names that a record is credited with, the first by their order: every bundle carries them. The log has all pairs."""

_OPPOSITE = {RecordKind.EXEMPLAR: RecordKind.WARNING, RecordKind.WARNING: RecordKind.EXEMPLAR}


@dataclass(frozen=True, order=True)
class MergedPair:
    """A record that was merged into another.

    Attributes:
        record_id: The record that goes.
        origin: Where it came from.
        kept_id: The record that stays.
        score: Their Jaccard similarity.
    """

    record_id: str
    origin: str
    kept_id: str
    score: float


@dataclass(frozen=True, order=True)
class Conflict:
    """An exemplar and a warning that nearly say the same: one of them is likely to be wrong."""

    exemplar_id: str
    warning_id: str
    score: float


@dataclass(frozen=True)
class Merged:
    """What an import comes to.

    Attributes:
        records: To be added, in the order of their ids: the new ones that are kept, and those of the corpus that are
            credited with another name. One replaces the record of its id.
        dropped: Ids to be taken out of the corpus, in order: records that were merged into others, and what is left of
            texts that were cut into other parts before.
        merged: What was merged into what, in the order of the ids that go.
        conflicts: Of each new record that is kept, the worst one, be it with a record of the corpus or another new one.
        forgotten: Names of records whose text is nowhere any more: what they were merged into says something else now.
    """

    records: tuple[Record, ...]
    dropped: tuple[str, ...]
    merged: tuple[MergedPair, ...]
    conflicts: tuple[Conflict, ...]
    forgotten: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Hit:
    """A record that is nearly equal: of the corpus, or a new one that is kept."""

    record: Record
    score: float
    of_corpus: bool


def merge_near_duplicates(incoming: Iterable[Record], existing: Lookup = NOTHING) -> Merged:
    """Merge new records with each other and with those of the corpus. A new record replaces that of its id.

    Args:
        incoming: Of any kind, in any order; what is not compared comes back as it is.
        existing: The playbook records of the corpus that is added to.

    Raises:
        InputError: Two new records have one id and are no near-duplicates.
        CorpusError: A record of the corpus cannot be read.
    """
    records = _distinct(incoming)
    ids = {record.record_id for record in records if record.kind is not RecordKind.SOURCE}
    replaced = {record.record_id: record for record in existing.find(sorted(ids))}
    stale = _stale_parts(ids, existing)
    gone = ids | stale
    compared = [record for record in records if _is_compared(record)]
    # The sort is stable: what replaces a record of the corpus comes first, and within both the smallest id.
    compared.sort(key=lambda record: record.record_id not in replaced)
    encoder = Encoder()
    for record in compared:
        encoder.add(searched_text(record))
    sets = encoder.finish()
    near_held: defaultdict[int, list[_Hit]] = defaultdict(list)
    for number, record, score in existing.near(sets, gone):
        if _is_compared(record):
            near_held[number].append(_Hit(record, score, of_corpus=True))
    neighbours = Neighbours(sets)

    def hits_of(number: int) -> list[_Hit]:
        near_new = (_Hit(compared[other], score, of_corpus=False) for other, score in neighbours.near(number))
        return [*near_held.get(number, ()), *near_new]

    account = _Account(replaced)
    going: list[int] = []
    for number, record in enumerate(compared):
        hits = hits_of(number)
        if any(hit.record.kind is record.kind for hit in hits):
            going.append(number)
        else:
            neighbours.admit(number)
            account.keep(record, hits)
    # Only now it is known what is kept, so whom a record is credited to does not depend on who came first.
    for number in going:
        account.merge(compared[number], hits_of(number))
    aside = [record for record in records if not _is_compared(record)]
    account.live.update(whole_id(record.record_id) for record in aside if record.kind is not RecordKind.SOURCE)
    kept = account.kept(record for record in existing.crediting(account.live) if record.record_id not in gone)
    merged_away = {pair.record_id for pair in account.merged} & replaced.keys()
    return Merged(
        records=tuple(sorted([*kept, *aside], key=lambda record: record.record_id)),
        dropped=tuple(sorted(stale | merged_away - {record.record_id for record in kept})),
        merged=tuple(sorted(account.merged)),
        conflicts=account.conflicts(),
        forgotten=account.forgotten(kept),
    )


class _Account:
    """Who is kept, who is credited with whom, and who contradicts whom.

    Args:
        replaced: The records of the corpus that new ones replace, by their ids.

    Attributes:
        live: Ids that are kept, of entries: nothing else stands for them.
    """

    def __init__(self, replaced: Mapping[str, Record]) -> None:
        self.merged: list[MergedPair] = []
        self.live: set[str] = set()
        self._replaced = replaced
        self._new: dict[str, Record] = {}
        self._held: dict[str, Record] = {}
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        self._worst: dict[str, tuple[float, Conflict]] = {}
        self._forgotten: set[str] = set()

    def keep(self, record: Record, hits: Iterable[_Hit]) -> None:
        """Note a new record that is kept, with the records of other kinds that nearly equal it.

        Raises:
            InputError: Another one that is kept has its id.
        """
        if other := self._new.get(record.record_id):
            raise InputError(
                f"two different records have the id {record.record_id!r}, one from {other.origin}, one from "
                f"{record.origin}",
                hint="Give one of them another id.",
            )
        self._new[record.record_id] = record
        self.live.add(record.record_id)
        for hit in hits:
            if hit.record.kind is _OPPOSITE.get(record.kind):
                exemplar, warning = sorted((record, hit.record), key=lambda one: one.kind is RecordKind.WARNING)
                found = (-hit.score, Conflict(exemplar.record_id, warning.record_id, hit.score))
                for one in (record,) if hit.of_corpus else (record, hit.record):
                    self._worst[one.record_id] = min(found, self._worst.get(one.record_id, found))

    def merge(self, record: Record, hits: Iterable[_Hit]) -> None:
        """Credit a new record to what it equals most of those that are kept."""
        alike = [hit for hit in hits if hit.record.kind is record.kind]
        into = min(alike, key=lambda hit: (-hit.score, hit.record.record_id))
        kept = into.record
        self.merged.append(MergedPair(record.record_id, record.origin, kept.record_id, into.score))
        # What was merged into the record before comes along: the form of it that the corpus has goes too.
        self._names[kept.record_id].update({name_of(record), *record.also, *self._inherited(record)})
        if into.of_corpus:
            self._held[kept.record_id] = kept

    def kept(self, crediting: Iterable[Record]) -> list[Record]:
        """The new records that are kept, and those of the corpus whose credits change.

        Args:
            crediting: Records of the corpus that are credited with one of `live`.
        """
        for record_id in self._new.keys() & self._replaced.keys():
            self._names[record_id].update(self._inherited(self._new[record_id]))
        new = [credited(record, self._names[record_id], self.live) for record_id, record in self._new.items()]
        held = {**{record.record_id: record for record in crediting}, **self._held}
        credits_now = ((one, credited(one, self._names[record_id], self.live)) for record_id, one in held.items())
        return [*new, *(now for before, now in credits_now if now != before)]

    def forgotten(self, kept: Iterable[Record]) -> tuple[str, ...]:
        """Names that were credited, and are not among these, nor live."""
        told = {name for record in kept for name in record.also}
        return tuple(sorted(name for name in self._forgotten - told if _id_of(name) not in self.live))

    def _inherited(self, record: Record) -> tuple[str, ...]:
        """What the form of a record that the corpus has is credited with, if its new form nearly says the same."""
        before = self._replaced.get(record.record_id)
        if before is None or not before.also:
            return ()
        old, new = tokens(searched_text(before)), tokens(searched_text(record))
        if before.kind is record.kind and is_near(len(old & new), len(old), len(new)):
            return before.also
        self._forgotten.update(before.also)
        return ()

    def conflicts(self) -> tuple[Conflict, ...]:
        """The worst conflict of each new record that has one, each once."""
        return tuple(sorted({conflict for _, conflict in self._worst.values()}))


def name_of(record: Record) -> str:
    """What a record is called when it is merged into another: where it came from, and its id there."""
    return f"{record.origin}/{record.record_id}"


def credited(record: Record, names: Iterable[str], live: Container[str] = ()) -> Record:
    """A record with these names besides those that it is credited with: the first `MAX_ALSO` of them by their order.

    Args:
        record: What is credited.
        names: The new names.
        live: Ids of other records that are kept themselves, so that nothing else is credited with them.
    """
    own = record.record_id
    names = {name for name in (*record.also, *names) if _id_of(name) == own or _id_of(name) not in live}
    known = sorted(names - {name_of(record)})[:MAX_ALSO]
    if tuple(known) == record.also:
        return record
    return record.model_copy(update={"also": tuple(known)})


def _id_of(name: str) -> str:
    """The id in a name: origins of playbooks are names of files, and have no `/`."""
    return name.partition("/")[2]


def _is_compared(record: Record) -> bool:
    return record.kind is not RecordKind.SOURCE and whole_id(record.record_id) == record.record_id


def _distinct(records: Iterable[Record]) -> list[Record]:
    """The records in an order of their own, each once."""
    ordered = sorted(
        records, key=lambda one: (one.record_id, one.origin, one.kind, one.title, one.text, one.tags, one.also)
    )
    return [record for before, record in pairwise([None, *ordered]) if record is not None and record != before]


def _stale_parts(ids: set[str], existing: Lookup) -> set[str]:
    """Ids of the corpus that the new ones make stale: of a text that is cut in another way than before, or no more."""
    whole = {whole_id(record_id) for record_id in ids}
    stale = {record.record_id for record in existing.find(sorted(whole - ids))}
    number = 1
    while whole:
        wanted = {part_id(entry_id, number): entry_id for entry_id in whole}
        there = {record.record_id for record in existing.find(sorted(wanted.keys() - ids))}
        stale |= there
        whole = {entry_id for part, entry_id in wanted.items() if part in there or part in ids}
        number += 1
    return stale
