"""Merging small segments into larger ones: the same version in fewer files.

Merging happens outside the writers' lock, since it may take a minute and changes nothing that anybody sees; only the
swap takes it. Segments go by tiers, each eight times the one below: more than four of a tier become one of the next.
So a record is merged about once for each tier, and a corpus has a handful of segments whatever its history.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from replay.corpus import durable, lock, manifest, opening, publishing, segment
from replay.corpus.changing import before_a_change
from replay.corpus.manifest import Change, GroupName
from replay.corpus.opening import SEGMENTS, Snapshot
from replay.corpus.segment import Made, Segment
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import CorpusError

MOST_OF_A_TIER = 4
TIER_FACTOR_BITS = 3
LOCK = "compact.lock"
WORK = "merging"


@dataclass(frozen=True)
class Compaction:
    """What a compaction did.

    Attributes:
        version: The current version, which it is still.
        before: Segments that it had.
        after: Segments that it has.
        swept: Files that no manifest named, and are gone.
        swept_bytes: Their size.
    """

    version: str
    before: int
    after: int
    swept: int
    swept_bytes: int


def is_due(corpus_dir: Path) -> bool:
    """Does the current version have more small segments than it should?

    Raises:
        CorpusError: There is no current version, or its manifest is damaged.
    """
    version = opening.current_version(corpus_dir)
    if version is None:
        return False
    described = manifest.read(corpus_dir, version)
    return any(plan([one.records for one in described.of(group)]) for group in GroupName)


def plan(sizes: Sequence[int]) -> list[list[int]]:
    """Which segments to merge with which, by their places: none, or some of each plan into one.

    The lowest tier with more than four segments is merged with all below it, and the result counts in its own tier.
    """
    parts = [([place], size) for place, size in enumerate(sizes)]
    while True:
        tiers = [_tier(size) for _, size in parts]
        full = [tier for tier in sorted(set(tiers)) if tiers.count(tier) > MOST_OF_A_TIER]
        if not full:
            return [sorted(places) for places, _ in parts if len(places) > 1]
        going = [part for part, tier in zip(parts, tiers, strict=True) if tier <= full[0]]
        parts = [part for part, tier in zip(parts, tiers, strict=True) if tier > full[0]]
        parts.append(([place for places, _ in going for place in places], sum(size for _, size in going)))


def compact(corpus_dir: Path, *, whole: bool = False, watcher: Watcher = UNWATCHED) -> Compaction:
    """Merge what is due, swap it in, and remove files that no version names. Readers and writers go on meanwhile.

    Args:
        corpus_dir: Where the corpus lies.
        whole: Make one segment of each group, whatever their sizes.
        watcher: Looks on.

    Raises:
        CorpusError: There is no corpus, it is damaged, another compaction is under way, or the disk refuses.
    """
    if opening.pointed(corpus_dir) is None:
        raise opening.missing(corpus_dir)
    work = corpus_dir / WORK
    try:
        with lock.held(corpus_dir / LOCK, f"the compaction of {corpus_dir}", wait_s=0):
            _clear(work)
            work.mkdir()
            try:
                return _compact(corpus_dir, work, watcher, whole=whole)
            finally:
                _clear(work)
    except OSError as error:
        raise publishing.unwritable(corpus_dir, error) from error


def _compact(corpus_dir: Path, work: Path, watcher: Watcher, *, whole: bool) -> Compaction:
    with publishing.writing(corpus_dir, watcher) as folder:
        seen = before_a_change(corpus_dir, folder, watcher)
    if seen is None:
        raise opening.missing(corpus_dir)
    opened = Snapshot(seen, opening.open_segments(corpus_dir, seen))
    merged = {
        frozenset(part.stored.name for part in parts): segment.merge(parts, None, work, watcher)
        for parts in _due(opened, whole=whole)
    }
    with publishing.writing(corpus_dir, watcher) as folder:
        now = before_a_change(corpus_dir, folder, watcher) or seen
        held = opening.open_segments(corpus_dir, now, opened)
        parts = _swapped(held, merged)
        if merged and manifest.version_of(part.digests for part in parts) != now.version:
            raise CorpusError(
                f"merging segments of {now.version} would change its records",
                hint="Please report this; nothing was done.",
            )
        if len(parts) < len(held):
            told = Change("compact", f"{len(held)} segments into {len(parts)}", 0, 0, 0)
            now = publishing.publish(corpus_dir, parts, now, told)
        swept = _sweep(corpus_dir)
    return Compaction(now.version, len(held), len(parts), len(swept), sum(swept))


def _due(opened: Snapshot, *, whole: bool) -> Iterator[list[Segment]]:
    for group in (opened.playbook.segments, opened.sources.segments):
        sizes = [len(one) for one in group]
        for places in [[*range(len(sizes))]] * (len(sizes) > 1) if whole else plan(sizes):
            yield [group[place] for place in places]


def _swapped(held: Sequence[Segment], merged: Mapping[frozenset[str], Made]) -> list[Segment | Made]:
    """The segments with what was merged in place of what it was merged from, where all of that is still there."""
    there = {one.stored.name for one in held}
    usable = {names: made for names, made in merged.items() if names <= there}
    gone = frozenset().union(*usable)
    return [*(one for one in held if one.stored.name not in gone), *usable.values()]


def _sweep(corpus_dir: Path) -> list[int]:
    """Remove the files that no manifest names, and return their sizes. The caller holds both locks.

    They are what a writer left that was killed before its version was named, and what was merged. Whoever has such a
    file open keeps it.
    """
    named: set[str] = set()
    for path in (corpus_dir / "versions").glob("corpus_*.json"):
        try:
            described = manifest.read(corpus_dir, path.stem)
        except CorpusError:
            return []  # what it names is not known, so nothing is safe to remove
        named.update(stored.name for stored in described.segments)
    swept = []
    halves = (corpus_dir / "versions").glob(".*.new")
    parts = (path for path in (corpus_dir / SEGMENTS).iterdir() if path.suffix.removeprefix(".") in segment.PARTS)
    for path in [*parts, *halves]:
        if path.stem not in named and path.is_file():
            swept.append(path.stat().st_size)
            path.unlink()
    if swept:
        durable.sync_folder(corpus_dir / SEGMENTS)
    return swept


def _clear(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)


def _tier(records: int) -> int:
    return records.bit_length() // TIER_FACTOR_BITS
