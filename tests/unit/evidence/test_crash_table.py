"""Append, rotation and checkpoint together: every system call of them x {lost, kept, torn}; every cut of the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evidence import segments
from evidence.checkpoints import Policy, checkpoints_path, last
from evidence.keys import SigningKey
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.verify import IndexState, verify
from replay.errors import AppendFailed, EvidenceDamaged

Make = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.usefixtures("unsynced_index")

RECORDS = [{"schema": "replay_run.v1", "id": f"a{n}", "run_id": f"r{n}", "state": "failed"} for n in range(8)]
SMALL = 900  # bytes: a segment takes four of them


def _runs(path: Path) -> list[str]:
    return [str(e.record["id"]) for e in EvidenceReader(path).iterate() if e.record["schema"] == "replay_run.v1"]


def _faulty(make: Any, how: str, number: int) -> Any:
    """A kernel in which the call of this number is lost, kept or torn, and the process is gone with it."""

    def fault(name: str, at: int, call: Callable[[], Any], data: bytes) -> Any:
        if at != number:
            return call()
        if how == "torn" and name == "write":
            os.write(kernel.fd, data[: len(data) // 2])
        elif how == "kept":
            call()
        raise kernel.died

    kernel = make(fault)
    return kernel


@pytest.mark.parametrize("how", ["lost", "kept", "torn"])
def test_every_call(in_memory: Path, kernel: Any, abandon: Callable[[EvidenceLog], None], how: str) -> None:
    """Whatever a writer dies of: no crash looks like damage, what was acknowledged stands, and all of it is proved."""
    key = SigningKey.generate(in_memory / "key.pem")
    policy = Policy(records=2, interval_s=0.0, key=key, folder=in_memory / "elsewhere")
    calls: list[str] = []
    for number in count(1):
        shutil.rmtree(in_memory / "kb", ignore_errors=True)
        shutil.rmtree(in_memory / "elsewhere", ignore_errors=True)
        path = in_memory / "kb" / "runs.jsonl"
        dying = _faulty(kernel, how, number)
        acknowledged = 0
        log = None
        try:
            log = EvidenceLog.open(path, segment_bytes=SMALL, checkpoints=policy, testing_only_seam=dying.seam)
            for record in RECORDS[:6]:
                log.append([record])
                acknowledged += 1
            log.close()
        except (kernel.died, AppendFailed):
            if log is not None:
                abandon(log)
        finished = len(dying.calls) < number
        report = verify(path, checkpoint_dir=policy.folder)
        assert report.fault is None, (number, report.fault)
        assert report.records >= acknowledged
        with EvidenceLog.open(path, segment_bytes=SMALL, checkpoints=policy, testing_only_seam=kernel().seam) as log:
            for record in RECORDS[:6]:
                log.append([record])
        assert _runs(path) == [f"a{n}" for n in range(6)], number
        report = verify(path, key=key.public, checkpoint_dir=policy.folder, strict=True)
        assert (report.ok, report.index) == (True, IndexState.AGREES), (number, report.fault)
        assert report.segments >= 1
        assert report.covered == report.signed_to == report.records
        if finished:
            calls = dying.calls
            break
    assert {"write", "fsync", "rename", "link"} <= set(calls)
    assert calls.count("write") == 6 + 1 + 2 * 6  # records, manifest, checkpoints in two places


def _rotated(path: Path, covered: int) -> None:
    """A log of seven records, four of them closed, whose last checkpoint covers some."""
    never = Policy(records=10**9, interval_s=1e9)
    for first, end in ((0, covered), (covered, len(RECORDS) - 1)):
        with EvidenceLog.open(path, segment_bytes=SMALL, checkpoints=never) as log:
            for record in RECORDS[first:end]:
                log.append([record])
            if end != covered:
                kept = checkpoints_path(path).read_bytes() if covered else b""
    checkpoints_path(path).write_bytes(kept)


def test_every_cut_of_the_end(in_memory: Path, kernel: Any) -> None:
    """Cut anywhere in its last three records, a rotated log recovers up to its last checkpoint, and no further back."""
    made = in_memory / "made" / "runs.jsonl"
    covered = 5
    _rotated(made, covered)
    (closed,) = segments.load(made).segments[:1]
    whole = made.read_bytes()
    base = segments.load(made).end
    entries = [entry for entry in EvidenceReader(made).iterate() if entry.offset >= base]
    ends = [0] + [entry.end - base for entry in entries]
    stands = last(checkpoints_path(made))
    assert stands is not None
    assert (closed.last_seq, stands.checkpoint.size, entries[-1].chain.seq) == (4, covered, 7)
    reached = stands.checkpoint.at + stands.checkpoint.length - base
    assert len(entries) == 3
    for cut in range(len(whole)):
        shutil.rmtree(in_memory / "cut", ignore_errors=True)
        shutil.copytree(made.parent, in_memory / "cut")
        path = in_memory / "cut" / "runs.jsonl"
        path.write_bytes(whole[:cut])
        if cut < reached:
            with pytest.raises(EvidenceDamaged, match="does not extend its last checkpoint"):
                EvidenceLog.open(path, testing_only_seam=kernel().seam)
            assert path.read_bytes() == whole[:cut]
            continue
        sound = max(end for end in ends if end <= cut)
        with EvidenceLog.open(path, segment_bytes=SMALL, testing_only_seam=kernel().seam) as log:
            assert log.recovered is not None
            assert (log.recovered.offset, log.recovered.length) == (base + sound, cut - sound)
            log.append(RECORDS)
        report = verify(path)
        assert (report.ok, report.index) == (True, IndexState.AGREES), cut
        assert _runs(path) == [f"a{n}" for n in range(8)]
