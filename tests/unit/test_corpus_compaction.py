"""Compaction: fewer segments, the same version, and nobody is disturbed by it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.contracts import Record, RecordKind
from replay.corpus import compaction, lock, segment, snapshot
from replay.corpus.compaction import MOST_OF_A_TIER, plan
from replay.corpus.manifest import StoredSegment
from replay.errors import CorpusError


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def note(record_id: str) -> Record:
    """A playbook record."""
    return Record(record_id=record_id, kind=RecordKind.NOTE, text=f"{record_id} pool size")


def grown(folder: Path, count: int) -> snapshot.Snapshot:
    """A corpus to which so many records were added one by one, and a source."""
    made = snapshot.write([Record(record_id="s", kind=RecordKind.SOURCE, text="x = 1", path="x.py")], folder)
    for number in range(count):
        made = snapshot.add([note(f"n{number}")], folder)
    return made


@given(st.lists(st.integers(1, 10**6), max_size=40))
def test_a_plan_leaves_a_handful_of_each_size(sizes: list[int]) -> None:
    """Each segment is merged at most once, and what is left has at most four segments of a tier."""
    merged = plan(sizes)
    places = [place for places in merged for place in places]
    assert len(places) == len(set(places))
    assert all(len(places) > 1 for places in merged)
    rest = [size for place, size in enumerate(sizes) if place not in places]
    left = plan([*rest, *(sum(sizes[place] for place in places) for places in merged)])
    assert left == []


def test_few_segments_are_left_alone() -> None:
    """A large segment and up to four small ones are how a corpus is meant to be; the large one is never rewritten."""
    large = 1_000_000
    assert plan([large, *[1000] * MOST_OF_A_TIER]) == []
    assert plan([large, *[1000] * (MOST_OF_A_TIER + 1)]) == [[1, 2, 3, 4, 5]]


def test_adding_again_and_again_costs_each_record_a_few_merges() -> None:
    """Over a thousand publishes of a thousand records, no record is merged more than once for each tier."""
    sizes: list[int] = []
    moved = 0
    for _ in range(1000):
        sizes.append(1000)
        for places in plan(sizes):
            moved += sum(sizes[place] for place in places)
            merged = sum(sizes[place] for place in places)
            sizes = [*(size for place, size in enumerate(sizes) if place not in places), merged]
    assert moved <= 7 * 1_000_000
    assert len(sizes) <= 20


def test_compaction_keeps_the_version_and_its_records(tmp_path: Path) -> None:
    """What is due is merged under the same version, the pointer is swapped so that workers look, and it is logged."""
    before = grown(tmp_path, 6)
    pointer = (tmp_path / "current").stat().st_ino
    assert snapshot.is_due(tmp_path)
    done = snapshot.compact(tmp_path)
    assert (done.version, done.before, done.after) == (before.version, 7, 2)
    after = snapshot.load(tmp_path)
    assert after.version == before.version
    assert [*after.records()] == [*before.records()]
    assert not snapshot.is_due(tmp_path)
    assert (tmp_path / "current").stat().st_ino != pointer
    assert [(entry.what, entry.parent) for entry in snapshot.history(tmp_path)][-1] == ("compact", before.version)
    again = snapshot.compact(tmp_path)
    assert (again.before, again.after) == (2, 2)
    assert len(snapshot.history(tmp_path)) == 8


def test_whoever_has_a_version_open_keeps_it(tmp_path: Path) -> None:
    """Files are swept when no manifest names them any more; who has mapped them goes on reading and searching."""
    for number in range(6):
        snapshot.add([note(f"n{number}")], tmp_path)
    reader = snapshot.load(tmp_path)
    old = {path.name for path in (tmp_path / "segments").iterdir()}
    # The other versions name these files as well.
    for path in (tmp_path / "versions").iterdir():
        if path.stem != reader.version:
            path.unlink()
    done = snapshot.compact(tmp_path)
    assert done.swept == len(old) == 12
    assert done.swept_bytes > 0
    assert not old & {path.name for path in (tmp_path / "segments").iterdir()}
    assert len([*reader.records()]) == 6
    assert len(reader.playbook.index.jaccard(frozenset({"pool"}), 8)) == 6
    assert len([*snapshot.load(tmp_path).records()]) == 6


def test_a_reader_that_comes_in_between_opens_what_is_there_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading a manifest and opening its files they may be merged and swept: the reader starts over."""
    before = grown(tmp_path, 6)
    for path in (tmp_path / "versions").iterdir():
        if path.stem != before.version:
            path.unlink()
    opened = segment.Segment.__init__

    def compacted_first(self: segment.Segment, folder: Path, stored: StoredSegment) -> None:
        monkeypatch.undo()
        snapshot.compact(tmp_path)
        opened(self, folder, stored)

    monkeypatch.setattr(segment.Segment, "__init__", compacted_first)
    assert len([*snapshot.load(tmp_path).records()]) == 7


def test_what_is_published_while_merging_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers go on during a merge: what they add is kept, and what they replaced does not come back."""
    grown(tmp_path, 6)
    merge = segment.merge
    published: list[snapshot.Snapshot] = []

    def overtaken(*args: object, **kwargs: object) -> segment.Made:
        made = merge(*args, **kwargs)  # type: ignore[arg-type]  # passed through
        if not published:
            published.append(snapshot.add([note("late")], tmp_path))
        return made

    monkeypatch.setattr(segment, "merge", overtaken)
    done = snapshot.compact(tmp_path)
    assert (done.version, done.before, done.after) == (published[0].version, 8, 3)
    assert len(snapshot.load(tmp_path)) == 8


def test_a_merge_of_what_is_gone_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that was rewritten meanwhile is not brought back by a merge that still had it."""
    grown(tmp_path, 6)
    merge = segment.merge
    published: list[snapshot.Snapshot] = []

    def overtaken(*args: object, **kwargs: object) -> segment.Made:
        made = merge(*args, **kwargs)  # type: ignore[arg-type]  # passed through
        if not published:
            published.append(snapshot.add([note("n3").model_copy(update={"text": "new"})], tmp_path))
        return made

    monkeypatch.setattr(segment, "merge", overtaken)
    done = snapshot.compact(tmp_path)
    assert done.version == published[0].version
    assert done.before == done.after
    found = snapshot.load(tmp_path).find("n3")
    assert found is not None
    assert found.text == "new"


def test_two_compactions_do_not_run_at_once(tmp_path: Path) -> None:
    """The second one gives up at once, and says who is at it."""
    grown(tmp_path, 1)
    with (
        lock.held(tmp_path / compaction.LOCK, "the compaction"),
        pytest.raises(CorpusError, match=f"is held by process {os.getpid()} on "),
    ):
        snapshot.compact(tmp_path)


def test_litter_of_a_killed_writer_is_swept(tmp_path: Path) -> None:
    """Files that never became part of a version go with the next compaction; a manifest that is damaged keeps all."""
    made = grown(tmp_path, 1)
    litter = tmp_path / "segments" / "seg_0000000000000000.index"
    litter.write_bytes(b"12345")
    (tmp_path / "versions" / f".{made.version}.json.new").write_bytes(b"{")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "sources.spool").write_bytes(b"")
    manifest = next(path for path in (tmp_path / "versions").glob("corpus_*.json") if path.stem != made.version)
    good = manifest.read_bytes()
    manifest.write_bytes(good[:-1])
    assert snapshot.compact(tmp_path).swept == 0
    manifest.write_bytes(good)
    done = snapshot.compact(tmp_path)
    assert (done.swept, done.swept_bytes) == (2, 6)
    assert not litter.exists()
    assert not (tmp_path / "work").exists()
    assert len(snapshot.load(tmp_path)) == 2
