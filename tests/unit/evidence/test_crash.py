from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.commit import Outcome
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.verify import IndexState, verify
from replay.errors import AppendFailed

Make = Callable[..., dict[str, Any]]


def _partly(share: float) -> Callable[[Any, Any, bytes], int]:
    def write(kernel: Any, _: Any, data: bytes) -> int:
        os.write(kernel.fd, data[: int(len(data) * share)])
        raise kernel.died

    return write


def _short(kernel: Any, _: Any, data: bytes) -> int:
    return os.write(kernel.fd, data[: len(data) // 2])


def _dies_before(kernel: Any, _: Any, __: bytes) -> Any:
    raise kernel.died


def _dies_after(kernel: Any, call: Callable[[], Any], _: bytes) -> Any:
    call()
    raise kernel.died


def _fails(number: int) -> Callable[[Any, Any, bytes], Any]:
    def call(_: Any, __: Any, ___: bytes) -> Any:
        raise OSError(number, os.strerror(number))

    return call


# What happens at which system call of the append; how many of its three lines then stand; is it an error to the caller.
STEPS = {
    "the write is lost": ("write", _dies_before, 0, False),
    "nothing is written, disk full": ("write", _fails(errno.ENOSPC), 0, True),
    "written partly, within the first line": ("write", _partly(0.2), 0, False),
    "written partly, within the second line": ("write", _partly(0.5), 1, False),
    "written partly, within the last line": ("write", _partly(0.99), 2, False),
    "a short write": ("write", _short, 1, True),
    "written whole, not synced": ("write", _dies_after, 3, False),
    "the fsync fails": ("fsync", _fails(errno.EIO), 3, True),
    "synced, index not updated": ("fsync", _dies_after, 3, False),
    "index updated, not acknowledged": (None, None, 3, False),
}


@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_an_append(
    path: Path, run_record: Make, kernel: Any, abandon: Callable[[EvidenceLog], None], step: str
) -> None:
    """Whatever an append dies of, the acknowledged stands, the redelivered is there once, and the log proves itself."""
    call_name, effect, standing, is_error = STEPS[step]
    armed = False

    def fault(name: str, _: int, call: Callable[[], Any], data: bytes) -> Any:
        if armed and name == call_name and effect is not None:
            return effect(calls, call, data)
        return call()

    calls = kernel(fault)
    log = EvidenceLog.open(path, testing_only_seam=calls.seam)
    acknowledged = [run_record(n) for n in range(3)]
    log.append(acknowledged)
    before = path.read_bytes()
    batch = [run_record(n) for n in range(3, 6)]
    armed = True
    if call_name is None:
        log.append(batch)
    else:
        with pytest.raises(AppendFailed if is_error else kernel.died):
            log.append(batch)
        with pytest.raises(AppendFailed):
            log.append(batch)
    abandon(log)

    with EvidenceLog.open(path) as log:
        assert path.read_bytes().startswith(before)
        outcomes = [placed.outcome for placed in log.append(acknowledged + batch)]
    assert outcomes == [Outcome.DUPLICATE] * (3 + standing) + [Outcome.APPENDED] * (3 - standing)
    report = verify(path)
    assert (report.ok, report.index) == (True, IndexState.AGREES)
    runs = [e.record for e in EvidenceReader(path).iterate() if e.record["schema"] == "replay_run.v1"]
    assert sorted(r["id"] for r in runs) == [f"att_{n}" for n in range(6)]
    assert report.records - len(runs) == len(list(path.parent.glob("*.torn-*")))
