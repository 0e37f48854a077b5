"""Crashes: at every commit point of every change, the old version is current, or the new one, and the rest goes on.

A crash test is a table: the process ends before each system call that commits something, and everything is looked at.
(To end after one is to end before the next.) The same with real processes and a real SIGKILL is in
tests/acceptance/test_corpus_processes.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import snapshot
from replay.errors import CorpusError


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Crash:
    """Ends the process at a commit point, counted from 0."""

    at: int
    calls: int = 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A system call that is not made any more once the process has ended."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            number = self.calls
            self.calls += 1
            if number >= self.at:
                raise Killed
            return call(*args, **kwargs)

        return counted


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the order of the calls matters here: a killed process loses nothing that the kernel has."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


COMMITTING = ("fsync", "replace", "pwrite", "ftruncate", "mkdir", "unlink")


def note(record_id: str, text: str = "pool size") -> Record:
    """A playbook record."""
    return Record(record_id=record_id, kind=RecordKind.NOTE, text=text)


def passage(record_id: str, text: str = "x = 1", origin: str = "kombu 5.7.0") -> Record:
    """A source passage."""
    return Record(record_id=record_id, kind=RecordKind.SOURCE, text=text, path="x.py", origin=origin)


def begun(folder: Path) -> None:
    """A corpus with a history: several segments, one of which loses a record to any rewrite."""
    snapshot.write([note("a"), note("b"), passage("s"), passage("t")], folder)
    snapshot.add([note("c")], folder)


Change = Callable[[Path], object]
CHANGES: dict[str, tuple[Change, Change]] = {
    "first write": (lambda _: None, lambda folder: snapshot.write([note("a"), passage("s")], folder)),
    "write": (begun, lambda folder: snapshot.write([note("z"), passage("s")], folder)),
    "add": (begun, lambda folder: snapshot.add([note("d"), passage("u")], folder)),
    "add that replaces": (begun, lambda folder: snapshot.add([note("b", "new"), note("d")], folder)),
    "import": (begun, lambda folder: snapshot.import_playbook([note("b", "new"), note("d", "other")], folder)),
    "build": (begun, lambda folder: snapshot.replace_sources([passage("t"), passage("u")], folder)),
    "replace an origin": (
        begun,
        lambda folder: snapshot.replace_origins([passage("u")], folder, lambda _: True),
    ),
    "add of both": (
        begun,
        lambda folder: snapshot.grow([passage("u"), passage("s", origin="vine")], [note("d")], folder, lambda _: False),
    ),
    "use": (begun, lambda folder: snapshot.use(folder, snapshot.history(folder)[0].version)),
    "compact": (begun, lambda folder: snapshot.compact(folder, whole=True)),
}


def content(folder: Path) -> tuple[str, ...] | None:
    """Everything that is current, read to the last byte; None where nothing is."""
    if snapshot.current_version(folder) is None:
        return None
    opened = snapshot.load(folder)
    return (opened.version, *(one.model_dump_json() for one in opened.records()))


def crashed(change: Change, folder: Path, crash: Crash) -> bool:
    """Make a change that ends at the commit point; False where it has fewer of them."""
    with pytest.MonkeyPatch.context() as patched:
        for name in COMMITTING:
            patched.setattr(os, name, crash.wrap(getattr(os, name)))
        try:
            change(folder)
        except Killed:
            return True
    return False


@pytest.mark.parametrize("name", ["first write", "add that replaces", "add of both", "build", "compact"])
def test_a_crash_at_any_commit_point_leaves_the_old_or_the_new_version(tmp_path: Path, name: str) -> None:
    """Before the pointer is swapped all is as it was, after it all is new; the change, made again, then succeeds."""
    prepare, change = CHANGES[name]
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    prepare(before)
    shutil.copytree(before, after)
    change(after)
    old, new = content(before), content(after)
    is_new = []
    for at in count():
        folder = tmp_path / f"{at}"
        shutil.copytree(before, folder)
        if not crashed(change, folder, Crash(at)):
            break
        found = content(folder)
        assert found in {old, new}
        is_new.append(found == new)
        change(folder)
        assert content(folder) == new
        told = snapshot.history(folder)
        assert told[-1].version == snapshot.current_version(folder)
        assert len({(one.version, one.parent, one.what) for one in told}) == len(told)
    # Each change passes from the old to the new version once, and has commit points on both sides.
    assert len(is_new) >= 12
    assert is_new == sorted(is_new)
    assert set(is_new) == {old == new, True}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_name_leads_to_is_on_the_disk_first(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are synced before they get their names, and folders before the file that speaks of what is in them."""
    prepare, change = CHANGES[name]
    prepare(tmp_path)
    real_replace = os.replace
    synced: set[int] = set()
    renamed_in: set[Path] = set()

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        renamed_in.difference_update({path for path in renamed_in if path.stat().st_ino in synced})

    def replace(from_: Path, to: Path) -> None:
        assert from_.stat().st_ino in synced, f"{from_} is not on the disk"
        assert not {path for path in renamed_in if path != to.parent}, f"{renamed_in} are not, and {to} speaks of them"
        real_replace(from_, to)
        if to.parent.name not in {"work", "merging"}:
            synced.discard(to.parent.stat().st_ino)
            renamed_in.add(to.parent)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    change(tmp_path)
    assert not renamed_in
    assert (tmp_path / "current").stat().st_ino in synced


@pytest.mark.parametrize("name", CHANGES)
def test_a_full_disk_is_an_error_for_people(tmp_path: Path, name: str) -> None:
    """Whichever write the disk refuses, it is said with a hint, no litter stays, and the old version goes on."""
    prepare, change = CHANGES[name]
    prepare(tmp_path)
    old = content(tmp_path)

    def full(*_: object) -> Iterator[None]:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(CorpusError, match="No space left on device") as caught:
            change(tmp_path)
    assert "Make room" in caught.value.hint
    assert content(tmp_path) == old
    assert not [*tmp_path.glob("work*"), *tmp_path.glob("merging*")]
    change(tmp_path)
