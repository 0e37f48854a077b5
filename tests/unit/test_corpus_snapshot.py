"""Snapshots: content-addressed, verified, published atomically."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.errors import CorpusError


def record(record_id: str, text: str = "text", kind: RecordKind = RecordKind.NOTE) -> Record:
    """A record of a given id."""
    return Record(record_id=record_id, kind=kind, text=text)


def file_of(corpus_dir: Path, version: str) -> Path:
    """Where a snapshot lies."""
    return corpus_dir / "snapshots" / f"{version}.jsonl"


def test_what_is_written_is_loaded(tmp_path: Path) -> None:
    """Records come back in the order of their ids, under the version that the pointer names."""
    written = snapshot.write([record("b"), record("a", "zwei\r\nZeilen ü\u2028")], tmp_path)
    assert snapshot.load(tmp_path) == written
    assert [r.record_id for r in written.records] == ["a", "b"]
    content = file_of(tmp_path, written.version).read_bytes()
    assert written.version == "corpus_" + hashlib.sha256(content).hexdigest()[:16]
    assert snapshot.current_version(tmp_path) == written.version


@given(st.permutations([record(name, name * 3) for name in "abcdef"]))
def test_the_same_records_are_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, records: list[Record]) -> None:
    """Order and repetition of the input do not matter: same version, same bytes."""
    folder = tmp_path_factory.mktemp("corpus")
    once = snapshot.write(records, folder)
    before = file_of(folder, once.version).read_bytes()
    assert snapshot.write([*records, records[0]], folder) == once
    assert file_of(folder, once.version).read_bytes() == before
    assert once.version == snapshot.write([record(name, name * 3) for name in "abcdef"], folder).version


def test_a_flipped_byte_is_refused_by_name(tmp_path: Path) -> None:
    """A damaged snapshot is never served; the error names the file and says what to do; writing again heals it."""
    written = snapshot.write([record("a"), record("b")], tmp_path)
    path = file_of(tmp_path, written.version)
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(CorpusError, match="damaged") as caught:
            snapshot.load(tmp_path)
        assert str(path) in caught.value.message
        assert "Delete that file" in caught.value.hint
    assert snapshot.write([record("a"), record("b")], tmp_path) == snapshot.load(tmp_path)


def test_no_corpus_says_how_to_build_one(tmp_path: Path) -> None:
    """An empty folder, an empty snapshot and an empty build are refused with the command that helps."""
    with pytest.raises(CorpusError, match="no corpus") as none:
        snapshot.load(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="no records") as empty:
        snapshot.write([], tmp_path)
    written = snapshot.write([record("a")], tmp_path)
    file_of(tmp_path, written.version).write_bytes(b"")
    with pytest.raises(CorpusError, match="empty") as blank:
        snapshot.load(tmp_path)
    file_of(tmp_path, written.version).unlink()
    with pytest.raises(CorpusError, match="is not in") as gone:
        snapshot.load(tmp_path)
    for caught in (none, empty, blank, gone):
        assert "replay corpus build package:celery package:kombu package:redis" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"../../etc/passwd", b"corpus_123", b"\xff\xfe"])
def test_a_pointer_that_names_no_version_is_refused(tmp_path: Path, content: bytes) -> None:
    """The pointer is never used as a path without being a version."""
    snapshot.write([record("a")], tmp_path)
    (tmp_path / "current").write_bytes(content)
    with pytest.raises(CorpusError, match="pointer"):
        snapshot.load(tmp_path)


def test_a_version_that_is_none_is_refused(tmp_path: Path) -> None:
    """A version from a command line is checked before it becomes a path."""
    snapshot.write([record("a")], tmp_path)
    with pytest.raises(CorpusError, match="not a corpus version"):
        snapshot.load(tmp_path, "../current")


def test_add_merges_by_id_and_old_versions_stay(tmp_path: Path) -> None:
    """A record with a known id replaces the old one; the version before can still be loaded."""
    first = snapshot.write([record("a"), record("b")], tmp_path)
    second = snapshot.add([record("b", "new"), record("c")], tmp_path)
    assert [(r.record_id, r.text) for r in second.records] == [("a", "text"), ("b", "new"), ("c", "text")]
    assert snapshot.load(tmp_path) == second
    assert snapshot.load(tmp_path, first.version) == first
    assert snapshot.add([], tmp_path) == second


def test_add_starts_a_corpus(tmp_path: Path) -> None:
    """Adding to nothing is writing."""
    assert snapshot.add([record("a")], tmp_path) == snapshot.load(tmp_path)


def test_replacing_the_sources_keeps_the_playbooks(tmp_path: Path) -> None:
    """A rebuild drops passages that are no longer there, and no playbook record."""
    snapshot.write([record("a"), record("s1", kind=RecordKind.SOURCE)], tmp_path)
    rebuilt = snapshot.replace_sources([record("s2", kind=RecordKind.SOURCE)], tmp_path)
    assert [r.record_id for r in rebuilt.records] == ["a", "s2"]


def test_two_records_with_one_id_are_refused(tmp_path: Path) -> None:
    """An id names one record; which of two was meant cannot be guessed."""
    with pytest.raises(CorpusError, match="'a'"):
        snapshot.write([record("a", "one"), record("a", "two")], tmp_path)


def test_a_crash_before_the_pointer_leaves_the_old_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The snapshot is durable first; until the pointer is swapped, readers see the old version, and no litter stays."""
    old = snapshot.write([record("a")], tmp_path)
    replace = Path.replace

    def crash_at_the_pointer(self: Path, target: Path) -> Path:
        if target.name == snapshot.POINTER:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", crash_at_the_pointer)
    with pytest.raises(CorpusError, match="No space left") as caught:
        snapshot.write([record("b")], tmp_path)
    assert caught.value.hint
    assert snapshot.load(tmp_path) == old
    assert list(tmp_path.rglob(".*")) == []


def test_a_second_writer_waits_and_then_says_who_is_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers cannot interleave; the one that waits too long names the reason."""
    monkeypatch.setattr(snapshot, "LOCK_WAIT_S", 0.05)
    with FileLock(tmp_path / "write.lock"), pytest.raises(CorpusError, match="another process"):
        snapshot.write([record("a")], tmp_path)
    snapshot.write([record("a")], tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error_for_people(tmp_path: Path) -> None:
    """A file where the corpus folder should be is met with a hint, not with a stack trace."""
    (tmp_path / "corpus").write_text("", encoding="utf-8")
    with pytest.raises(CorpusError, match="cannot be written") as caught:
        snapshot.write([record("a")], tmp_path / "corpus")
    assert caught.value.hint
