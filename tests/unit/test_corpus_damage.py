"""Damage: whatever byte of a version is not what was written, it is refused by the name of its file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.errors import CorpusError

STEP = 61  # bytes between two flips: no array of a file is shorter, and each bit starts elsewhere


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def corpus(folder: Path) -> snapshot.Snapshot:
    """A corpus with both groups, so with a file of each kind."""
    return snapshot.write(
        [
            *(Record(record_id=f"n{n}", kind=RecordKind.NOTE, text=f"pool size {n}", tags=("t",)) for n in range(3)),
            *(
                Record(record_id=f"s{n}", kind=RecordKind.SOURCE, text=f"def f{n}():\n    size = {n}", path=f"{n}.py")
                for n in range(3)
            ),
        ],
        folder,
    )


def every_file(folder: Path) -> list[Path]:
    """The files that serving the current version rests on."""
    found = [*sorted((folder / "segments").iterdir()), *(folder / "versions").iterdir(), folder / "current"]
    assert [path.suffix for path in found] == [".index", ".lines", ".records", ".index", ".records", ".json", ""] or [
        path.suffix for path in found
    ] == [".index", ".records", ".index", ".lines", ".records", ".json", ""]
    return found


def refused(folder: Path, path: Path) -> CorpusError:
    """Read everything, and return the refusal, which must name the file and say what to do."""
    with pytest.raises(CorpusError) as caught:
        for _ in snapshot.load(folder).records():
            pass
    assert str(path) in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("bit", range(0, 8, 2))
def test_a_flipped_bit_is_refused_by_the_name_of_the_file(tmp_path: Path, bit: int) -> None:
    """In every file and every region of it: header, arrays, padding, records, line ends, manifest, seal, pointer."""
    corpus(tmp_path)
    for path in every_file(tmp_path):
        good = path.read_bytes()
        for place in range(bit * STEP // 8, len(good), STEP if len(good) > STEP else 1):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
            refused(tmp_path, path)
        path.write_bytes(good)
    assert len([*snapshot.load(tmp_path).records()]) == 6


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, good: path.write_bytes(good[:-1]),
        lambda path, good: path.write_bytes(good[: len(good) // 2]),
        lambda path, _: path.write_bytes(b""),
        lambda path, good: path.write_bytes(good + b"\0"),
        lambda path, good: path.write_bytes(good + good),
        lambda path, _: path.unlink(),
    ],
    ids=["one byte less", "half", "empty", "one byte more", "twice", "missing"],
)
def test_a_file_of_another_length_is_refused_by_name(tmp_path: Path, damage: Callable[[Path, bytes], None]) -> None:
    """Cut, grown, emptied or gone: nothing is half-loaded. Versions open by their names without a pointer."""
    written = corpus(tmp_path)
    for path in every_file(tmp_path):
        good = path.read_bytes()
        damage(path, good)
        if path.name == "current":
            assert len(snapshot.load(tmp_path, written.version)) == 6
        if path.name == "current" and path.exists() and path.read_bytes() == good[:-1]:
            assert len(snapshot.load(tmp_path)) == 6  # as an editor may leave it, without a line end
        else:
            refused(tmp_path, path)
        path.write_bytes(good)


@pytest.mark.parametrize(
    "content", [b"", b"../../etc/passwd", b"corpus_123", b"\xff\xfe", b"corpus_0123456789abcdef\n"]
)
def test_a_pointer_that_names_no_version_is_refused(tmp_path: Path, content: bytes) -> None:
    """The pointer is never used as a path without being a version; nor do writers build upon it."""
    corpus(tmp_path)
    pointer = tmp_path / "current"
    pointer.write_bytes(content)
    refused(tmp_path, pointer)
    with pytest.raises(CorpusError, match="pointer"):
        snapshot.add([Record(record_id="x", kind=RecordKind.NOTE, text="x")], tmp_path)


def test_another_version_under_the_name_is_refused(tmp_path: Path) -> None:
    """Intact files in the wrong place are no better: a manifest says whose it is, and the hashes tie the rest to it."""
    first = corpus(tmp_path)
    second = snapshot.add([Record(record_id="x", kind=RecordKind.NOTE, text="x")], tmp_path)
    one, other = (tmp_path / "versions" / f"{made.version}.json" for made in (first, second))
    one.write_bytes(other.read_bytes())
    with pytest.raises(CorpusError, match="damaged") as caught:
        snapshot.load(tmp_path, first.version)
    assert str(one) in caught.value.message


@pytest.mark.parametrize("suffix", [".index", ".records", ".lines", ".json", ""])
def test_writing_again_mends(tmp_path: Path, suffix: str) -> None:
    """The same records written again put back every file that was damaged, under the same version."""
    written = corpus(tmp_path)
    records = [*written.records()]
    for path in [path for path in every_file(tmp_path) if path.suffix == suffix]:
        path.write_bytes(path.read_bytes()[:-1])
    assert snapshot.write(records, tmp_path).version == written.version
    assert [*snapshot.load(tmp_path).records()] == records


@pytest.mark.parametrize("suffix", [".index", ".records", ".lines"])
def test_building_sources_again_mends_them(tmp_path: Path, suffix: str) -> None:
    """A build does not read the old sources, so their damage does not keep anybody from replacing them."""
    written = corpus(tmp_path)
    sources = [*written.sources]
    stored = next(part.stored.name for part in written.segments if part.stored.lines)
    path = tmp_path / "segments" / f"{stored}{suffix}"
    path.write_bytes(path.read_bytes()[:-1])
    rebuilt = snapshot.replace_sources(sources, tmp_path)
    assert rebuilt.version == written.version
    assert len([*snapshot.load(tmp_path).records()]) == 6


def test_a_damaged_playbook_is_not_built_upon(tmp_path: Path) -> None:
    """What a writer needs of the old version it verifies: damage is refused, not carried into a new one."""
    written = corpus(tmp_path)
    stored = next(part.stored.name for part in written.segments if not part.stored.lines)
    path = tmp_path / "segments" / f"{stored}.index"
    path.write_bytes(path.read_bytes()[:-1])
    for change in (snapshot.add, snapshot.replace_sources):
        with pytest.raises(CorpusError) as caught:
            change([Record(record_id="x", kind=RecordKind.NOTE, text="x")], tmp_path)
        assert str(path) in caught.value.message
    assert snapshot.current_version(tmp_path) == written.version
