"""The pointer: what happens where it is lost, and how a person says which version is to be the current one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.errors import CorpusError


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def note(record_id: str) -> Record:
    """A playbook record."""
    return Record(record_id=record_id, kind=RecordKind.NOTE, text=f"{record_id} pool size")


def passage(record_id: str) -> Record:
    """A source passage."""
    return Record(record_id=record_id, kind=RecordKind.SOURCE, text="x = 1", path=f"{record_id}.py", origin="src")


CHANGES = {
    "add": lambda folder: snapshot.add([note("new")], folder),
    "import": lambda folder: snapshot.import_playbook([note("new")], folder),
    "build": lambda folder: snapshot.replace_sources([passage("new")], folder),
    "replace an origin": lambda folder: snapshot.replace_origins([passage("new")], folder, lambda _: True),
    "compact": snapshot.compact,
    "read": snapshot.load,
    "ask": snapshot.current_version,
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("log", [True, False], ids=["with log", "without"])
def test_a_lost_pointer_never_begins_a_corpus_anew(tmp_path: Path, name: str, log: bool) -> None:
    """Versions are there and nothing says which: it is refused with the command that chooses; nothing is written."""
    snapshot.add([note("a")], tmp_path)
    second = snapshot.add([note("b"), passage("s")], tmp_path)
    (tmp_path / "current").unlink()
    if not log:
        (tmp_path / "log.jsonl").unlink()
    before = sorted((tmp_path / "versions").iterdir())
    with pytest.raises(CorpusError, match=r"pointer .*current is not there") as caught:
        CHANGES[name](tmp_path)
    assert "replay corpus use" in caught.value.hint
    assert sorted((tmp_path / "versions").iterdir()) == before
    snapshot.use(tmp_path, second.version)
    CHANGES[name](tmp_path)
    assert {"a", "b"} <= {one.record_id for one in snapshot.load(tmp_path).records()}


def test_a_first_publish_that_was_killed_before_its_pointer_is_built_upon(tmp_path: Path) -> None:
    """It looks as a copy does that lacks its pointer, and either way nothing is lost."""
    snapshot.write([note("a"), passage("s")], tmp_path)
    (tmp_path / "current").unlink()
    (tmp_path / "log.jsonl").unlink()
    assert snapshot.current_version(tmp_path) is None
    made = snapshot.add([note("b")], tmp_path)
    assert {one.record_id for one in made.records()} == {"a", "b", "s"}


def test_a_lost_pointer_of_the_earlier_layout_is_refused_too(tmp_path: Path) -> None:
    """Its records would be lost as well."""
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "corpus_0123456789abcdef.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(CorpusError, match="earlier layout") as caught:
        snapshot.add([note("a")], tmp_path)
    assert "corpus_0123456789abcdef" in caught.value.hint


def test_any_version_can_be_made_the_current_one(tmp_path: Path) -> None:
    """Back and forth, told in the log with what it changes; the same one again publishes nothing."""
    first = snapshot.add([note("a")], tmp_path)
    second = snapshot.add([note("b")], tmp_path)
    back = snapshot.use(tmp_path, first.version)
    assert back.version == snapshot.current_version(tmp_path) == first.version
    assert back.change is not None
    assert (back.change.added, back.change.changed, back.change.removed) == (0, 0, 1)
    snapshot.use(tmp_path, first.version)
    told = [(one.what, one.version, one.parent) for one in snapshot.history(tmp_path)]
    assert told[2:] == [("use", first.version, second.version)]
    assert len(snapshot.add([note("c")], tmp_path)) == 2


@pytest.mark.parametrize("content", [None, b"", b"corpus_0123456789abcdef\n"], ids=["lost", "empty", "of nothing"])
def test_a_damaged_pointer_is_mended_by_choosing(tmp_path: Path, content: bytes | None) -> None:
    """None of what it says is needed."""
    made = snapshot.add([note("a")], tmp_path)
    pointer = tmp_path / "current"
    pointer.unlink()
    if content is not None:
        pointer.write_bytes(content)
    snapshot.use(tmp_path, made.version)
    assert snapshot.load(tmp_path).version == made.version


def test_a_version_that_is_not_whole_is_not_made_the_current_one(tmp_path: Path) -> None:
    """Every file of it is looked at first."""
    first = snapshot.add([note("a")], tmp_path)
    second = snapshot.write([note("b")], tmp_path)
    path = tmp_path / "segments" / f"{first.segments[0].stored.name}.index"
    path.write_bytes(path.read_bytes()[:-1])
    for version, fault in ((first.version, "damaged"), ("corpus_0123456789abcdef", "is not in")):
        with pytest.raises(CorpusError, match=fault):
            snapshot.use(tmp_path, version)
    assert snapshot.current_version(tmp_path) == second.version
    with pytest.raises(CorpusError, match="is not in"):
        snapshot.use(tmp_path / "nowhere", first.version)
    assert not (tmp_path / "nowhere").exists()
