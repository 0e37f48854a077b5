"""Versions of a corpus: named by their content, published atomically, kept, compared, and taken over from before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay import identity
from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.corpus.snapshot import Snapshot
from replay.errors import CorpusError


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def record(
    record_id: str,
    text: str = "text",
    kind: RecordKind = RecordKind.NOTE,
    *,
    origin: str = "",
    tags: tuple[str, ...] = (),
) -> Record:
    """A record of a given id."""
    path = f"{record_id}.py" if kind is RecordKind.SOURCE else None
    return Record(record_id=record_id, kind=kind, text=text, path=path, origin=origin, tags=tags)


def source(record_id: str, text: str = "x = 1", origin: str = "kombu 5.7.0") -> Record:
    """A source passage."""
    return record(record_id, text, RecordKind.SOURCE, origin=origin)


def held(opened: Snapshot) -> dict[str, str]:
    """What a version holds: texts by id."""
    return {one.record_id: one.text for one in opened.records()}


def files(corpus_dir: Path) -> dict[str, bytes]:
    """The files of all segments."""
    return {path.name: path.read_bytes() for path in sorted((corpus_dir / "segments").iterdir())}


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    """Records come back whole, under the version that the pointer names; each is found by its id."""
    records = [record("b"), record("a", "zwei\r\nZeilen ü\u2028"), source("s"), record("none", "…")]
    written = snapshot.write(records, tmp_path)
    loaded = snapshot.load(tmp_path)
    assert loaded.version == written.version == snapshot.current_version(tmp_path)
    assert sorted(loaded.records(), key=lambda one: one.record_id) == sorted(records, key=lambda one: one.record_id)
    assert [*loaded.records()] == [*written.records()]
    assert (len(loaded), len(loaded.playbook), len(loaded.sources)) == (4, 3, 1)
    assert [loaded.find(one.record_id) for one in records] == records
    assert loaded.find("c") is None
    assert loaded.playbook.lines(0) is None
    assert loaded.sources.lines(0) is not None


@settings(max_examples=8, deadline=None)
@given(st.permutations([record(name, name * 3) for name in "abcd"] + [source(name, name) for name in "efg"]))
def test_the_same_records_are_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    """Order and repetition of the input do not matter: same version, same files to the byte, no second publish."""
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    first = snapshot.write(records, one)
    assert snapshot.write([*records[::-1], records[0]], other).version == first.version
    assert files(one) == files(other)
    snapshot.write(records, one)
    assert len(snapshot.history(one)) == 1


def test_a_version_does_not_depend_on_its_segments(tmp_path: Path) -> None:
    """Records added bit by bit are the version that they are when written at once, before and after a compaction."""
    records = [record(name, f"{name} pool") for name in "abcdefg"]
    whole = snapshot.write(records, tmp_path / "whole")
    for one in records:
        grown = snapshot.add([one], tmp_path / "grown")
    assert grown.version == whole.version
    assert [*grown.records()] == [*whole.records()]
    snapshot.compact(tmp_path / "grown")
    merged = snapshot.load(tmp_path / "grown")
    assert [*merged.records()] == [*whole.records()]
    assert [part.stored for part in merged.segments] == [part.stored for part in whole.segments]


def test_add_replaces_by_id_and_old_versions_stay(tmp_path: Path) -> None:
    """A record with a known id replaces the old one; the version before can still be opened, and is unchanged."""
    first = snapshot.write([record("a"), record("b")], tmp_path)
    second = snapshot.add([record("b", "new"), record("c")], tmp_path)
    assert held(second) == {"a": "text", "b": "new", "c": "text"}
    assert second.change is not None
    assert (second.change.added, second.change.changed, second.change.removed) == (1, 1, 0)
    assert held(snapshot.load(tmp_path)) == held(second)
    assert held(snapshot.load(tmp_path, first.version)) == {"a": "text", "b": "text"}


def test_adding_what_is_there_publishes_nothing(tmp_path: Path) -> None:
    """The same records again, or none, leave the pointer alone: no worker has to look."""
    first = snapshot.write([record("a"), source("s")], tmp_path)
    before = (tmp_path / "current").stat().st_ino
    for again in ([], [record("a")], [record("a"), source("s")]):
        same = snapshot.add(again, tmp_path)
        assert same.version == first.version
        assert same.change is not None
        assert (same.change.added, same.change.changed, same.change.removed) == (0, 0, 0)
    assert (tmp_path / "current").stat().st_ino == before
    assert [entry.what for entry in snapshot.history(tmp_path)] == ["write"]


def test_a_record_may_change_its_group(tmp_path: Path) -> None:
    """An id names one record, in whichever group: a note that becomes a source leaves the playbooks."""
    snapshot.write([record("a"), record("b")], tmp_path)
    moved = snapshot.add([source("a")], tmp_path)
    assert (len(moved.playbook), len(moved.sources)) == (1, 1)


def test_add_starts_a_corpus(tmp_path: Path) -> None:
    """Adding to nothing is writing."""
    added = snapshot.add([record("a")], tmp_path)
    assert added.version == snapshot.load(tmp_path).version == snapshot.write([record("a")], tmp_path / "b").version


def test_replacing_the_sources_keeps_the_playbooks(tmp_path: Path) -> None:
    """A rebuild drops passages that are no longer there, and no playbook record; its version is that of the content."""
    snapshot.write([record("a"), source("s1"), source("s2")], tmp_path)
    rebuilt = snapshot.replace_sources([source("s2"), source("s3")], tmp_path)
    assert held(rebuilt).keys() == {"a", "s2", "s3"}
    assert rebuilt.change is not None
    assert (rebuilt.change.added, rebuilt.change.changed, rebuilt.change.removed) == (1, 0, 1)
    other = snapshot.write([record("a"), source("s2"), source("s3")], tmp_path / "other")
    assert other.version == rebuilt.version
    assert files(tmp_path / "other").items() <= files(tmp_path).items()


def test_replacing_an_origin_leaves_the_others_alone(tmp_path: Path) -> None:
    """Passages of that origin which vanished are dropped, changed and new ones come, all other records stay."""
    snapshot.write(
        [record("a", origin="kombu 5.7.0"), source("k1"), source("k2"), source("c1", origin="celery")], tmp_path
    )
    made = snapshot.replace_origins(
        [source("k2", "x = 2", "kombu 5.8.0"), source("k3", origin="kombu 5.8.0")],
        tmp_path,
        lambda origin: origin.startswith("kombu "),
    )
    assert held(made) == {"a": "text", "k2": "x = 2", "k3": "x = 1", "c1": "x = 1"}
    assert made.change is not None
    assert (made.change.added, made.change.changed, made.change.removed) == (1, 1, 1)


def test_an_unchanged_record_of_an_origin_stays_in_its_segment(tmp_path: Path) -> None:
    """Reading a source again that has not changed writes nothing."""
    first = snapshot.write([source("k1"), source("k2")], tmp_path)
    again = snapshot.replace_origins([source("k1"), source("k2")], tmp_path, lambda _: True)
    assert again.version == first.version
    assert len(snapshot.history(tmp_path)) == 1


def test_near_duplicates_are_merged_on_import(tmp_path: Path) -> None:
    """Of two playbook records that say the same one is kept, also when the corpus has had it for long."""
    text = "the visibility timeout of the redis transport is an hour unless transport options say otherwise"
    snapshot.write([record("old", text), source("s")], tmp_path)
    made, merged = snapshot.import_playbook([record("new", text), record("other", "pool size")], tmp_path)
    assert held(made).keys() == {"old", "other", "s"}
    assert [(pair.record_id, pair.kept_id) for pair in merged.merged] == [("new", "old")]


def test_ids_that_name_two_records_are_refused(tmp_path: Path) -> None:
    """Which of two was meant cannot be guessed, within a group or across."""
    for other in (record("a", "two"), source("a")):
        with pytest.raises(CorpusError, match="'a'"):
            snapshot.write([record("a", "one"), other], tmp_path)
    assert snapshot.current_version(tmp_path) is None


def test_sources_with_one_id_are_kept_once(tmp_path: Path) -> None:
    """Ids of passages are made of what they say: one record tells all origins, in an order of their own."""
    written = snapshot.write([source("s", origin="two"), source("s", origin="one")], tmp_path)
    assert [(one.origin, one.also) for one in written.records()] == [("one", ("two/s",))]


def test_no_corpus_says_how_to_build_one(tmp_path: Path) -> None:
    """An empty folder and an empty build are refused with the command that helps."""
    with pytest.raises(CorpusError, match="no corpus") as none:
        snapshot.load(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="no corpus") as uncompacted:
        snapshot.compact(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="no records") as empty:
        snapshot.write([], tmp_path)
    for caught in (none, uncompacted, empty):
        assert "replay corpus build package:celery package:kombu package:redis" in caught.value.hint
    assert snapshot.current_version(tmp_path) is None
    assert not (tmp_path / "nowhere").exists()


def test_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    """A version from a command line is checked before it becomes a path."""
    snapshot.write([record("a")], tmp_path)
    with pytest.raises(CorpusError, match="not a corpus version"):
        snapshot.load(tmp_path, "../current")
    with pytest.raises(CorpusError, match="corpus_0123456789abcdef is not in"):
        snapshot.load(tmp_path, "corpus_0123456789abcdef")


def test_the_log_tells_each_publish(tmp_path: Path) -> None:
    """Which version came of which, when, by what, and how it differs; a torn last line is left aside and mended."""
    first = snapshot.write([record("a")], tmp_path, reason="a.jsonl")
    second = snapshot.add([record("b")], tmp_path, reason="b.jsonl")
    log = tmp_path / "log.jsonl"
    log.write_bytes(log.read_bytes() + b'{"torn":')
    told = snapshot.history(tmp_path)
    assert [(one.version, one.parent, one.what, one.reason, one.records, one.added) for one in told] == [
        (first.version, None, "write", "a.jsonl", 1, 1),
        (second.version, first.version, "add", "b.jsonl", 2, 1),
    ]
    snapshot.add([record("c")], tmp_path)
    assert [one.what for one in snapshot.history(tmp_path)] == ["write", "add", "add"]


def test_a_lost_log_does_not_matter(tmp_path: Path) -> None:
    """Nothing is served from the log: without it, or with a damaged one, publishing goes on; damage is told by line."""
    snapshot.write([record("a")], tmp_path)
    snapshot.add([record("b")], tmp_path)
    log = tmp_path / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"records":1', b'"records":7'))
    with pytest.raises(CorpusError, match=r"log\.jsonl, line 1, is damaged"):
        snapshot.history(tmp_path)
    snapshot.add([record("c")], tmp_path)
    log.unlink()
    snapshot.add([record("d")], tmp_path)
    # The line of what was current is written from its manifest, then that of the new version.
    assert [one.records for one in snapshot.history(tmp_path)] == [3, 4]


def test_a_diff_names_the_records(tmp_path: Path) -> None:
    """Two versions are compared by the ids and contents of their records, whichever segments hold them."""
    first = snapshot.write([record("a"), record("b"), record("c"), source("s")], tmp_path)
    snapshot.write([record("a"), record("c", "new"), record("d"), source("s")], tmp_path)
    second = snapshot.add([record("e")], tmp_path)
    found = snapshot.diff(tmp_path, first.version, second.version)
    assert (found.added, found.removed, found.changed) == (("d", "e"), ("b",), ("c",))
    back = snapshot.diff(tmp_path, second.version, first.version)
    assert (back.added, back.removed, back.changed) == (("b",), ("d", "e"), ("c",))
    same = snapshot.diff(tmp_path, second.version, second.version)
    assert (same.added, same.removed, same.changed) == ((), (), ())


def test_records_are_read_as_a_stream(tmp_path: Path) -> None:
    """A build takes one record after the other and holds none of them: so a million fit."""
    alive: list[int] = []

    def stream() -> Iterator[Record]:
        for number in range(50):
            alive.append(sum(1 for _ in (tmp_path / "work").glob("*.spool")))
            yield record(f"r{number}")

    assert len(snapshot.write(stream(), tmp_path)) == 50
    assert set(alive) == {2}


def test_a_stream_that_breaks_off_changes_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a build leaves the old version, no litter, and the lock free."""
    first = snapshot.write([record("a")], tmp_path)

    def interrupted() -> Iterator[Record]:
        yield source("s")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        snapshot.replace_sources(interrupted(), tmp_path)
    assert snapshot.load(tmp_path).version == first.version
    assert not (tmp_path / "work").exists()
    snapshot.add([record("b")], tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    """A file where the corpus folder should be is met with a hint, not with a stack trace."""
    (tmp_path / "corpus").write_text("", encoding="utf-8")
    with pytest.raises(CorpusError, match="cannot be written") as caught:
        snapshot.write([record("a")], tmp_path / "corpus")
    assert caught.value.hint


def earlier_layout(corpus_dir: Path, records: list[Record]) -> str:
    """A corpus as Replay 0.1.0 wrote it."""
    content = b"".join(identity.canonical_json(one.wire()) + b"\n" for one in records)
    version = "corpus_" + hashlib.sha256(content).hexdigest()[:16]
    (corpus_dir / "snapshots").mkdir()
    (corpus_dir / "snapshots" / f"{version}.jsonl").write_bytes(content)
    (corpus_dir / "current").write_text(f"{version}\n", encoding="utf-8")
    return version


def test_the_earlier_layout_is_refused_by_readers_and_taken_over_by_writers(tmp_path: Path) -> None:
    """Readers are told what to do; the next change, or a compaction, keeps all records and says so."""
    version = earlier_layout(tmp_path, [record("a"), source("s")])
    for read in (snapshot.load, snapshot.current_version):
        with pytest.raises(CorpusError, match="layout of an earlier Replay") as caught:
            read(tmp_path)
        assert "replay corpus compact" in caught.value.hint
    snapshot.compact(tmp_path)
    assert held(snapshot.load(tmp_path)).keys() == {"a", "s"}
    assert version in snapshot.history(tmp_path)[0].reason
    snapshot.replace_sources([source("t")], tmp_path)
    assert held(snapshot.load(tmp_path)).keys() == {"a", "t"}


def test_a_damaged_corpus_of_the_earlier_layout_is_not_taken_over(tmp_path: Path) -> None:
    """Half of it would be lost without a word."""
    version = earlier_layout(tmp_path, [record("a"), record("b")])
    path = tmp_path / "snapshots" / f"{version}.jsonl"
    path.write_bytes(path.read_bytes().replace(b"text", b"test"))
    with pytest.raises(CorpusError, match="damaged") as caught:
        snapshot.add([record("c")], tmp_path)
    assert str(path) in caught.value.message
