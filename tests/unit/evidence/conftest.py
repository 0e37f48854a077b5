from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evidence import index
from evidence.durable import SyscallSeam
from evidence.log import EvidenceLog

Record = dict[str, Any]


class Died(BaseException):
    """The process is gone at this point: nothing may catch it as an error."""


class Kernel:
    """System calls that end, fail or fall short at a chosen call, and count how many there were."""

    died = Died

    def __init__(self, fault: Callable[[str, int, Callable[[], Any], bytes], Any] | None = None) -> None:
        self.calls: list[str] = []
        self._fault = fault
        self.seam = SyscallSeam(
            write=lambda fd, data: self._call("write", lambda: os.write(fd, data), data, fd),
            fsync=lambda fd: self._call(
                "fsync", lambda: None, b"", fd
            ),  # durability is the disk's affair, not this test's
            ftruncate=lambda fd, size: self._call("ftruncate", lambda: os.ftruncate(fd, size), b"", fd),
            rename=lambda old, new: self._call("rename", lambda: old.rename(new), b"", -1),
            link=lambda old, new: self._call("link", lambda: os.link(old, new), b"", -1),
        )

    def _call(self, name: str, call: Callable[[], Any], data: bytes, fd: int) -> Any:
        self.calls.append(name)
        self.fd = fd
        return self._fault(name, len(self.calls), call, data) if self._fault else call()


@pytest.fixture
def kernel() -> type[Kernel]:
    """Makes system calls that fail as told."""
    return Kernel


@pytest.fixture
def unsynced_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite does not wait for the disk, for tests that open a log a thousand times."""
    monkeypatch.setattr(index, "SYNCHRONOUS", "OFF")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a log can be made."""
    return tmp_path / "kb" / "runs.jsonl"


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one, for tests that make and remove a log hundreds of times."""
    shared = Path("/dev/shm")  # noqa: S108  a temporary folder in it
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def run_record() -> Callable[..., Record]:
    """Makes run records that are as small as the log accepts and the index understands."""

    def make(number: int, state: str = "accepted", **fields: Any) -> Record:
        return {
            "schema": "replay_run.v1",
            "id": f"att_{number}",
            "run_id": f"run_{number}",
            "batch_id": "batch_1",
            "custom_id": f"task-{number}",
            "state": state,
        } | fields

    return make


@pytest.fixture
def abandon() -> Callable[[EvidenceLog], None]:
    """Drops a log as the death of its process does: the kernel closes its files, nobody says goodbye."""
    return lambda log: log._owned.close()
