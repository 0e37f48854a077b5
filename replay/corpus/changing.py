"""What can be done to a corpus: written whole, added to, its sources replaced, all of them or by origin.

Each takes a stream of records, spools it, works out which of them are new, and publishes a version that keeps every
other segment as it is. A segment that loses records is rewritten without them; there are no tombstones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from replay.contracts import Record
from replay.corpus import comparison, durable, earlier, history, manifest, opening, publishing
from replay.corpus.duplicates import Merged, credited, merge_near_duplicates
from replay.corpus.group import Group
from replay.corpus.held import Held
from replay.corpus.joining import Asked, ids, made, merge, none_of, of_origins, spooled
from replay.corpus.manifest import Change, GroupName, Manifest
from replay.corpus.opening import SEGMENTS, Snapshot
from replay.corpus.segment import Made, Mask, Segment
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import CorpusError


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
        parts = made(spooled(records, work), work, watcher)
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
        parts = merge(spooled(records, work), held, none_of, work, watcher)
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
    return _grow((), records, corpus_dir, lambda _: False, change=Change("import", reason), watcher=watcher)


def revise(
    records: Iterable[Record],
    corpus_dir: Path,
    *,
    drop: Iterable[str] = (),
    credit: Mapping[str, Iterable[str]] | None = None,
    reason: str = "",
    watcher: Watcher = UNWATCHED,
) -> Snapshot:
    """Publish the current version with these playbook records, without others, and with names credited to some.

    Args:
        records: The new ones; they are not compared with those that are there.
        corpus_dir: As in `write`.
        drop: Ids of playbook records that go.
        credit: Names that records are credited with besides those that they have, by their ids.
        reason: As in `write`.
        watcher: As in `write`.

    Raises:
        CorpusError: As `add`.
    """
    with publishing.writing(corpus_dir, watcher) as work:
        before, held = _current(corpus_dir, work, watcher)
        new = {record.record_id: record for record in records}
        names, going = credit or {}, sorted(set(drop))
        known = Held(Group([one for one in held if one.stored.group is GroupName.PLAYBOOK]))
        named = known.find(sorted(names.keys() - new.keys() - set(going)))
        written = [credited(record, names.get(record.record_id, ())) for record in (*new.values(), *named)]
        dropped = ids(going)

        def leaving(one: Segment) -> Mask:
            return dropped(one) if one.stored.group is GroupName.PLAYBOOK else none_of(one)

        parts = merge(spooled(written, work), held, leaving, work, watcher)
        return _publish(corpus_dir, parts, before, held, Change("admit", reason))


def replace_origins(
    records: Iterable[Record],
    corpus_dir: Path,
    of: Asked,
    *,
    reason: str = "",
    watcher: Watcher = UNWATCHED,
) -> Snapshot:
    """Publish the current version with these records in place of the sources from certain origins.

    What others share with them stays as theirs.

    Args:
        records: As in `write`.
        corpus_dir: As in `write`.
        of: Is this one of the origins? Asked once the records have been read to their end.
        reason: As in `write`.
        watcher: As in `write`.

    Raises:
        CorpusError: As `add`.
    """
    return grow(records, (), corpus_dir, of, reason=reason, watcher=watcher)[0]


def grow(
    records: Iterable[Record],
    playbook: Iterable[Record],
    corpus_dir: Path,
    of: Asked,
    *,
    reason: str = "",
    watcher: Watcher = UNWATCHED,
) -> tuple[Snapshot, Merged]:
    """Publish both in one version: sources as `replace_origins` does, and playbook records as `import_playbook` does.

    Args:
        records: Sources, a stream; it is read while the lock is held.
        playbook: Playbook records; all of them are held in memory.
        corpus_dir: As in `write`.
        of: As in `replace_origins`.
        reason: As in `write`.
        watcher: As in `write`.

    Returns:
        As `import_playbook`.

    Raises:
        CorpusError: As `add`.
        InputError: As `import_playbook`.
    """
    return _grow(records, playbook, corpus_dir, of, change=Change("add", reason), watcher=watcher)


def _grow(
    records: Iterable[Record],
    playbook: Iterable[Record],
    corpus_dir: Path,
    of: Asked,
    *,
    change: Change,
    watcher: Watcher,
) -> tuple[Snapshot, Merged]:
    with publishing.writing(corpus_dir, watcher) as work:
        before, held = _current(corpus_dir, work, watcher)
        known = Group([one for one in held if one.stored.group is GroupName.PLAYBOOK])
        merged = merge_near_duplicates(playbook, Held(known))
        dropped = ids(merged.dropped)

        def leaving(one: Segment) -> Mask:
            return of_origins(one, of) if one.stored.group is GroupName.SOURCES else dropped(one)

        spools = spooled(chain(records, merged.records), work)
        parts = merge(spools, held, leaving, work, watcher, of=of)
        return _publish(corpus_dir, parts, before, held, change), merged


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
        parts = merge(spooled(records, work), held, none_of, work, watcher)
        return _publish(corpus_dir, parts, before, held, Change("build", reason))


def use(corpus_dir: Path, version: str, *, watcher: Watcher = UNWATCHED) -> Snapshot:
    """Make a version that is there the current one; none is needed before, nor an intact pointer.

    Args:
        corpus_dir: Where the corpus lies.
        version: Its whole name.
        watcher: As in `write`.

    Raises:
        CorpusError: There is no such version, it is damaged, another process holds the lock, or the directory cannot be
            written.
    """
    opening.load(corpus_dir, version)  # raises before anything is made where there is none
    with publishing.writing(corpus_dir, watcher):
        opened = opening.load(corpus_dir, version)
        try:
            now = opening.current_version(corpus_dir)
            before = manifest.read(corpus_dir, now) if now else None
        except CorpusError:
            before = None  # it is to be replaced
        change = _counted(corpus_dir, before, (), opened.segments, Change("use"))
        if before is None or before.version != version:
            publishing.publish(corpus_dir, opened.segments, before, change)
    return Snapshot(opened.manifest, opened.segments, change)


def before_a_change(corpus_dir: Path, work: Path, watcher: Watcher) -> Manifest | None:
    """The manifest of the current version; None where there is none. What an earlier writer left undone is done.

    Raises:
        CorpusError: The pointer or the manifest is damaged.
    """
    version = opening.pointed(corpus_dir)
    if version is None and (version := opening.unfinished(corpus_dir)):
        durable.put(corpus_dir / opening.POINTER, f"{version}\n".encode())
    if version is None:
        return None
    if earlier.refused(corpus_dir, version) and not manifest.path_of(corpus_dir, version).exists():
        spools = spooled(earlier.records(corpus_dir, version), work)
        change = Change("convert", f"{version} of the earlier layout")
        return publishing.publish(corpus_dir, made(spools, work, watcher), None, change)
    opening.current_version(corpus_dir)  # raises where the pointer names nothing
    before = manifest.read(corpus_dir, version)
    history.note(corpus_dir, before)
    return before


def _current(
    corpus_dir: Path, work: Path, watcher: Watcher, reuse: Snapshot | None = None
) -> tuple[Manifest | None, tuple[Segment, ...]]:
    before = before_a_change(corpus_dir, work, watcher)
    return before, opening.open_segments(corpus_dir, before, reuse) if before else ()


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
