"""New records among those that a corpus has: which segments stay, which are written anew, and what is shared.

A record takes the place of the one of its id. A passage that several sources share is one record (`sharing.py`), which
goes when the last of them no longer has it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from replay.contracts import Record
from replay.corpus import segment, sharing
from replay.corpus.index import hash_tokens
from replay.corpus.manifest import GroupName
from replay.corpus.segment import Made, Mask, Segment
from replay.corpus.spool import Spool, two_of
from replay.corpus.watching import Watcher
from replay.errors import CorpusError

Spools = dict[GroupName, Spool]
Leaving = Callable[[Segment], Mask]
"""Which records of a segment go, unless they are among the new ones."""
Asked = Callable[[str], bool]
"""Is this one of the origins?"""


def spooled(records: Iterable[Record], work: Path) -> Spools:
    """Read records to their end, and keep one of each id.

    Raises:
        CorpusError: Two different records have the same id.
    """
    spools = {group: Spool(work / f"{group}.spool") for group in GroupName}
    try:
        for record in records:
            spools[GroupName.of(record.kind)].add(record)
    finally:
        for spool in spools.values():
            spool.close()
    for spool in spools.values():
        spool.settle()
    playbook, sources = spools[GroupName.PLAYBOOK], spools[GroupName.SOURCES]
    both = np.flatnonzero(np.isin(playbook.id_hashes, sources.id_hashes))
    if len(both):
        raise two_of(playbook.record_id(int(both[0])))
    return spools


def merge(
    spools: Spools,
    held: Sequence[Segment],
    leaving: Leaving,
    work: Path,
    watcher: Watcher,
    *,
    of: Asked = lambda _: False,
) -> list[Segment | Made]:
    """The segments of the next version: those that stay, those that lose records, and those of the new records.

    Args:
        spools: The new records.
        held: The segments that there are.
        leaving: What goes of each, unless it is among the new ones or has other origins too.
        work: For files on their way.
        watcher: Looks on.
        of: Is this one of the origins whose sources are replaced?

    Raises:
        CorpusError: Two ids cannot be told apart, or a record that is to be rewritten is damaged.
    """
    going = [leaving(one) for one in held]
    for one, goes in zip(held, going, strict=True):
        if one.stored.group is GroupName.SOURCES:
            spools[GroupName.SOURCES].amend(_shared(spools[GroupName.SOURCES], one, goes, of))
    for spool in spools.values():
        for one, goes in zip(held, going, strict=True):
            _admit(spool, one, goes)
    parts: list[Segment | Made] = []
    for one, goes in zip(held, going, strict=True):
        if not goes.any():
            parts.append(one)
        elif not goes.all():
            parts.append(segment.merge([one], [~goes], work, watcher))
    return [*parts, *made(spools, work, watcher)]


def _shared(spool: Spool, held: Segment, goes: Mask, of: Asked) -> Iterator[Record]:
    """Passages that a segment has from other origins too than those that are read now, as what they become.

    Args:
        spool: The new records.
        held: The segment, of sources.
        goes: Which of its records go.
        of: Is this one of the origins that are read now?
    """
    ordinals = held.index.find(spool.id_hashes)
    here = np.flatnonzero((ordinals >= 0) & spool.kept)
    differs = (spool.digests[here] != held.digests[ordinals[here]]).any(axis=1)
    for position, ordinal in zip(here[differs].tolist(), ordinals[here[differs]].tolist(), strict=True):
        new, old = spool.record(position), held.records.read(ordinal)
        if sharing.is_same(new, old):
            yield sharing.with_origins(
                new, sharing.origins_of(new) | {origin for origin in sharing.origins_of(old) if not of(origin)}
            )
    goes = goes.copy()
    goes[ordinals[here]] = False
    for ordinal in filter(held.records.is_credited, np.flatnonzero(goes).tolist()):
        if rest := [origin for origin in held.records.origins(ordinal) if not of(origin)]:
            yield sharing.with_origins(held.records.read(ordinal), rest)


def _admit(spool: Spool, held: Segment, goes: Mask) -> None:
    """Find new records among those of a segment: the same one stays where it is, another one of its id goes."""
    ordinals = held.index.find(spool.id_hashes)
    here = np.flatnonzero((ordinals >= 0) & spool.kept)
    at = ordinals[here]
    same = (spool.digests[here] == held.digests[at]).all(axis=1)
    goes[at[same]] = False
    spool.kept[here[same]] = False
    goes[at[~same]] = True
    for position, ordinal in zip(here[~same].tolist(), at[~same].tolist(), strict=True):
        new, old = spool.record_id(position), held.records.record_id(ordinal)
        if new != old:
            raise CorpusError(
                f"the ids {new!r} and {old!r} have the same hash, by which records are found",
                hint="Of a million ids, two have one in 10^7 corpora: give one of them another id.",
            )


def made(spools: Spools, work: Path, watcher: Watcher) -> list[Segment | Made]:
    """The segments of what is new."""
    return [segment.make(spool, group, work, watcher) for group, spool in spools.items() if spool.kept.any()]


def of_origins(held: Segment, of: Asked) -> Mask:
    """Which passages of a segment come from certain origins, from these alone or not."""
    origins = {origin for origin in held.stored.origins if of(origin)}
    if not origins:
        return none_of(held)
    named = (held.records.origins(ordinal) for ordinal in range(len(held)))
    return np.fromiter((not origins.isdisjoint(one) for one in named), np.bool_, len(held))


def none_of(held: Segment) -> Mask:
    """No record of a segment."""
    return np.zeros(len(held), np.bool_)


def ids(record_ids: Collection[str]) -> Leaving:
    """The records of certain ids."""
    hashes = hash_tokens(record_ids)

    def leaving(held: Segment) -> Mask:
        goes = none_of(held)
        ordinals = held.index.find(hashes)
        goes[ordinals[ordinals >= 0]] = True
        return goes

    return leaving
