"""What can be done to a corpus: written whole, added to, its sources replaced, all of them or by origin.

Each takes a stream of records, spools it, works out which of them are new, and publishes a version that keeps every
other segment as it is. A segment that loses records is rewritten without them; there are no tombstones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from replay.contracts import Record
from replay.corpus import comparison, earlier, history, manifest, opening, publishing, segment
from replay.corpus.duplicates import Merged, merge_near_duplicates
from replay.corpus.group import Group
from replay.corpus.held import Held
from replay.corpus.index import hash_tokens
from replay.corpus.manifest import Change, GroupName, Manifest
from replay.corpus.opening import SEGMENTS, Snapshot
from replay.corpus.segment import Made, Mask, Segment
from replay.corpus.spool import Spool, two_of
from replay.corpus.store import labels_of, unquoted
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import CorpusError

Spools = dict[GroupName, Spool]
Leaving = Callable[[Segment], Mask]
"""Which records of a segment go, unless they are among the new ones."""


def write(records: Iterable[Record], corpus_dir: Path, *, reason: str = "", watcher: Watcher = UNWATCHED) -> Snapshot:
    """Publish exactly these records. Writing the same ones again changes nothing, and mends what was damaged.

    Args:
        records: A stream; it is read while the lock is held.
        corpus_dir: Where the corpus lies; it is begun where there is none.
        reason: What the records are, for the log.
        watcher: Looks on.

    Raises:
        CorpusError: There are no records, two different ones share an id, another process holds the lock, or the
            directory cannot be written.
    """
    with publishing.writing(corpus_dir, watcher) as work:
        try:
            version = opening.current_version(corpus_dir)
            before = manifest.read(corpus_dir, version) if version else None
        except CorpusError:
            before = None  # whatever lies there, nothing of it is needed
        parts = _make(_spooled(records, work), work, watcher)
        return _publish(corpus_dir, parts, before, [], Change("write", reason))


def add(
    records: Iterable[Record],
    corpus_dir: Path,
    *,
    reason: str = "",
    watcher: Watcher = UNWATCHED,
    reuse: Snapshot | None = None,
) -> Snapshot:
    """Publish the current version with these records: one replaces the record of its id, and others stay.

    Args:
        records: As in `write`.
        corpus_dir: As in `write`.
        reason: As in `write`.
        watcher: As in `write`.
        reuse: An opened version, whose segments need not be opened again.

    Raises:
        CorpusError: As `write`, or the current version is damaged.
    """
    with publishing.writing(corpus_dir, watcher) as work:
        before, held = _current(corpus_dir, work, watcher, reuse)
        parts = _merge(_spooled(records, work), held, _none_of, work, watcher)
        return _publish(corpus_dir, parts, before, held, Change("add", reason))


def import_playbook(
    records: Iterable[Record], corpus_dir: Path, *, reason: str = "", watcher: Watcher = UNWATCHED
) -> tuple[Snapshot, Merged]:
    """Publish the current version with these playbook records, near-duplicates merged with each other and with it.

    Args:
        records: As in `write`; all of them are held in memory.
        corpus_dir: As in `write`.
        reason: As in `write`.
        watcher: As in `write`.

    Returns:
        The new version, and what was merged into what.

    Raises:
        CorpusError: As `add`.
        InputError: Two new records have one id and are no near-duplicates.
    """
    with publishing.writing(corpus_dir, watcher) as work:
        before, held = _current(corpus_dir, work, watcher)
        playbook = Group([one for one in held if one.stored.group is GroupName.PLAYBOOK])
        merged = merge_near_duplicates(records, Held(playbook))
        parts = _merge(_spooled(merged.records, work), held, _ids(merged.dropped), work, watcher)
        return _publish(corpus_dir, parts, before, held, Change("import", reason)), merged


def replace_origins(
    records: Iterable[Record],
    corpus_dir: Path,
    of: Callable[[str], bool],
    *,
    reason: str = "",
    watcher: Watcher = UNWATCHED,
) -> Snapshot:
    """Publish the current version with these records in place of the sources from certain origins.

    Args:
        records: As in `write`.
        corpus_dir: As in `write`.
        of: Is this one of the origins? Asked once the records have been read to their end.
        reason: As in `write`.
        watcher: As in `write`.

    Raises:
        CorpusError: As `add`.
    """

    def leaving(held: Segment) -> Mask:
        origins = {origin for origin in held.stored.origins if of(origin)}
        if held.stored.group is not GroupName.SOURCES or not origins:
            return _none_of(held)
        labels = (labels_of(held.records.line(ordinal))[1] for ordinal in range(len(held)))
        return np.fromiter((unquoted(origin) in origins for origin in labels), np.bool_, len(held))

    with publishing.writing(corpus_dir, watcher) as work:
        before, held = _current(corpus_dir, work, watcher)
        parts = _merge(_spooled(records, work), held, leaving, work, watcher)
        return _publish(corpus_dir, parts, before, held, Change("add", reason))


def replace_sources(
    records: Iterable[Record], corpus_dir: Path, *, reason: str = "", watcher: Watcher = UNWATCHED
) -> Snapshot:
    """Publish these records in place of all sources, and the playbooks that the corpus has.

    The old sources are not read, so damage to them is mended by this.

    Args:
        records: As in `write`.
        corpus_dir: As in `write`.
        reason: As in `write`.
        watcher: As in `write`.

    Raises:
        CorpusError: As `write`, or a playbook segment of the current version is damaged.
    """
    with publishing.writing(corpus_dir, watcher) as work:
        before = before_a_change(corpus_dir, work, watcher)
        stored = before.of(GroupName.PLAYBOOK) if before else ()
        held = [Segment(corpus_dir / SEGMENTS, one) for one in stored]
        parts = _merge(_spooled(records, work), held, _none_of, work, watcher)
        return _publish(corpus_dir, parts, before, held, Change("build", reason))


def before_a_change(corpus_dir: Path, work: Path, watcher: Watcher) -> Manifest | None:
    """The manifest of the current version; None where there is none. What an earlier writer left undone is done.

    Raises:
        CorpusError: The pointer or the manifest is damaged.
    """
    version = opening.pointed(corpus_dir)
    if version is None:
        return None
    if earlier.refused(corpus_dir, version) and not manifest.path_of(corpus_dir, version).exists():
        spools = _spooled(earlier.records(corpus_dir, version), work)
        change = Change("convert", f"{version} of the earlier layout")
        return publishing.publish(corpus_dir, _make(spools, work, watcher), None, change)
    opening.current_version(corpus_dir)  # raises where the pointer names nothing
    before = manifest.read(corpus_dir, version)
    history.note(corpus_dir, before)
    return before


def _current(
    corpus_dir: Path, work: Path, watcher: Watcher, reuse: Snapshot | None = None
) -> tuple[Manifest | None, tuple[Segment, ...]]:
    before = before_a_change(corpus_dir, work, watcher)
    return before, opening.open_segments(corpus_dir, before, reuse) if before else ()


def _spooled(records: Iterable[Record], work: Path) -> Spools:
    spools = {group: Spool(work / f"{group}.spool") for group in GroupName}
    try:
        for record in records:
            spools[GroupName.of(record.kind)].add(record)
    finally:
        for spool in spools.values():
            spool.close()
    for group, spool in spools.items():
        spool.settle(first_of_an_id=group is GroupName.SOURCES)
    playbook, sources = spools[GroupName.PLAYBOOK], spools[GroupName.SOURCES]
    both = np.flatnonzero(np.isin(playbook.id_hashes, sources.id_hashes))
    if len(both):
        raise two_of(playbook.record_id(int(both[0])))
    return spools


def _merge(
    spools: Spools, held: Sequence[Segment], leaving: Leaving, work: Path, watcher: Watcher
) -> list[Segment | Made]:
    """The segments of the next version: those that stay, those that lose records, and those of the new records."""
    going = [leaving(one) for one in held]
    for spool in spools.values():
        for one, goes in zip(held, going, strict=True):
            _admit(spool, one, goes)
    parts: list[Segment | Made] = []
    for one, goes in zip(held, going, strict=True):
        if not goes.any():
            parts.append(one)
        elif not goes.all():
            parts.append(segment.merge([one], [~goes], work, watcher))
    return [*parts, *_make(spools, work, watcher)]


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


def _make(spools: Spools, work: Path, watcher: Watcher) -> list[Segment | Made]:
    return [segment.make(spool, group, work, watcher) for group, spool in spools.items() if spool.kept.any()]


def _none_of(held: Segment) -> Mask:
    return np.zeros(len(held), np.bool_)


def _ids(record_ids: Collection[str]) -> Leaving:
    hashes = hash_tokens(record_ids)

    def leaving(held: Segment) -> Mask:
        goes = _none_of(held)
        ordinals = held.index.find(hashes)
        goes[ordinals[ordinals >= 0]] = True
        return goes

    return leaving


def _publish(
    corpus_dir: Path,
    parts: Sequence[Segment | Made],
    before: Manifest | None,
    held: Sequence[Segment],
    change: Change,
) -> Snapshot:
    """Publish what differs, and open the version by the same code that every reader uses."""
    reuse = Snapshot(before, tuple(held)) if before else None
    change = _counted(corpus_dir, before, held, parts, change)
    if before and parts and [part.stored for part in parts] == [one.stored for one in held] == [*before.segments]:
        return Snapshot(before, tuple(held), change)
    described = publishing.publish(corpus_dir, parts, before, change)
    return Snapshot(described, opening.open_segments(corpus_dir, described, reuse), change)


def _counted(
    corpus_dir: Path,
    before: Manifest | None,
    held: Sequence[Segment],
    parts: Sequence[Segment | Made],
    change: Change,
) -> Change:
    """The change, with how many records were added, changed and removed; segments that stay need no look."""
    known = {one.stored.name: one for one in held}
    there = {stored.name: stored for stored in before.segments} if before else {}
    staying = {part.stored.name for part in parts} & there.keys()
    try:
        gone = [
            known.get(name) or Segment(corpus_dir / SEGMENTS, stored)
            for name, stored in there.items()
            if name not in staying
        ]
    except CorpusError:
        return change  # what was damaged cannot be counted, and is being replaced
    found = comparison.compare(gone, [part for part in parts if part.stored.name not in staying])
    return replace(change, added=len(found.added), changed=len(found.changed), removed=len(found.removed))
