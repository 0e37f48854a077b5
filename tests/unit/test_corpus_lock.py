"""The writers' lock: one at a time, and the next one knows for whom it waits."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from replay.contracts import Record, RecordKind
from replay.corpus import lock, snapshot
from replay.corpus.watching import Watcher
from replay.errors import CorpusError

NOTE = Record(record_id="a", kind=RecordKind.NOTE, text="pool")


class Listener(Watcher):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.told = threading.Event()

    def say(self, sentence: str) -> None:
        """Hear what the writer waits for."""
        self.heard.append(sentence)
        self.told.set()


def test_a_second_writer_waits_and_says_for_whom(tmp_path: Path) -> None:
    """It is told once who holds the lock, with process, host, command and time, and goes on when that one is done."""
    listener = Listener()
    made: list[snapshot.Snapshot] = []
    second = threading.Thread(target=lambda: made.append(snapshot.write([NOTE], tmp_path, watcher=listener)))
    with lock.held(tmp_path / "write.lock", "the corpus"):
        second.start()
        assert listener.told.wait(30)
        assert not made
    second.join(30)
    assert len(made) == 1
    assert len(listener.heard) == 1
    for part in (f"the corpus in {tmp_path}", f"process {os.getpid()} on {socket.gethostname()}", "since 20", "`"):
        assert part in listener.heard[0]


def test_a_writer_that_waits_too_long_gives_up_with_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the holder and says what to do; afterwards the corpus can be written."""
    monkeypatch.setattr(lock, "WAIT_S", 0.05)
    with (
        lock.held(tmp_path / "write.lock", "the corpus"),
        pytest.raises(CorpusError, match=f"held by process {os.getpid()} on ") as caught,
    ):
        snapshot.write([NOTE], tmp_path)
    assert "Wait until it has finished" in caught.value.hint
    snapshot.write([NOTE], tmp_path)


def test_what_a_dead_holder_wrote_means_nothing(tmp_path: Path) -> None:
    """The file outlives its holder: whatever stands in it, the next writer takes the lock at once."""
    path = tmp_path / "write.lock"
    for content in (b"", b"{", b'{"pid": 1, "host": "x", "command": "replay corpus build", "since": "then"}'):
        path.write_bytes(content)
        with lock.held(path, "the corpus", wait_s=0):
            assert f'"pid": {os.getpid()}' in path.read_text(encoding="utf-8")


def test_a_holder_that_has_not_signed_yet_has_no_name(tmp_path: Path) -> None:
    """Between taking the lock and signing it there is a moment; it is not an error of its own."""
    path = tmp_path / "write.lock"
    with lock.held(path, "the corpus"):
        path.write_bytes(b"")
        with (
            pytest.raises(CorpusError, match="held by a process that is just starting"),
            lock.held(path, "the corpus", wait_s=0),
        ):
            pass
