from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evidence.checkpoints import checkpoints_path
from evidence.commit import Outcome
from evidence.format import encode
from evidence.index import Index, index_path
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.verify import IndexState, verify
from replay.errors import EvidenceDamaged

Make = Callable[..., dict[str, Any]]


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _recoveries(path: Path) -> list[dict[str, Any]]:
    return [e.record for e in EvidenceReader(path).iterate() if e.record["schema"] == "replay_recovery.v1"]


def _written(path: Path, records: list[dict[str, Any]]) -> list[int]:
    """Write a log; the offsets at which its lines end, 0 first."""
    with EvidenceLog.open(path) as log:
        return [0] + [placed.offset + placed.length for placed in log.append(records)]


@pytest.mark.usefixtures("unsynced_index")
@pytest.mark.parametrize("indexed", [True, False])
def test_cut_at_every_byte(in_memory: Path, kernel: Any, *, indexed: bool) -> None:
    """Wherever the log is cut, whole lines stand, the torn one is kept aside and told of, and the lost come again."""
    path = in_memory / "runs.jsonl"
    records = [{"schema": "replay_run.v1", "id": f"a{n}", "run_id": f"r{n}", "state": "failed"} for n in range(5)]
    ends = _written(path, records)
    whole = path.read_bytes()
    knows_nothing = in_memory / "empty.jsonl"
    Index(knows_nothing).close()
    for cut in range(ends[2], ends[5] + 1):
        there = in_memory / "cut"
        there.mkdir()
        log_path = there / path.name
        log_path.write_bytes(whole[:cut])
        shutil.copy(index_path(path if indexed else knows_nothing), index_path(log_path))
        sound = max(end for end in ends if end <= cut)
        torn = whole[sound:cut]
        with EvidenceLog.open(log_path, testing_only_seam=kernel().seam) as log:
            told = log.recovered
            if torn or (indexed and cut < ends[5]):
                assert told is not None
                assert (told.offset, told.length, told.sha256) == (sound, len(torn), _sha256(torn))
                assert [(there / name).read_bytes() for name in told.files] == ([torn] if torn else [])
                assert (told.indexed.seq if told.indexed else None) == (5 if indexed else None)
                assert _recoveries(log_path) == [told.wire()]
            else:
                assert told is None
            outcomes = [placed.outcome for placed in log.append(records)]
        stood = ends.index(sound)
        assert outcomes == [Outcome.DUPLICATE] * stood + [Outcome.APPENDED] * (5 - stood)
        assert log_path.read_bytes().startswith(whole[:sound])
        report = verify(log_path)
        assert (report.ok, report.index, report.records) == (True, IndexState.AGREES, 5 + (told is not None))
        with EvidenceLog.open(log_path, testing_only_seam=kernel().seam) as log:
            assert log.recovered is None
        shutil.rmtree(there)


def _change(at: int, to: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + to + data[at + len(to) :]


@pytest.mark.parametrize(
    ("change", "line", "offset"),
    [
        (lambda lines: lines[0] + b"{}\n" + lines[2], 2, None),
        (lambda lines: lines[0] + lines[2], 2, None),
        (lambda lines: lines[0] + lines[0] + lines[1], 2, None),
        (lambda lines: lines[0] + lines[1] + b"\n", 3, None),
        (lambda lines: lines[0] + lines[1] + lines[2][:-9] + b"\n", 3, None),
        (lambda lines: lines[0] + bytes(len(lines[1])) + lines[2], 2, 0),
        (lambda lines: lines[0] + lines[1].replace(b"att_1", b"att_9") + lines[2], 2, None),
    ],
)
def test_any_other_damage_is_refused(
    path: Path, run_record: Make, change: Callable[[list[bytes]], bytes], line: int, offset: int | None
) -> None:
    """Damage that no crash leaves is refused with byte, line and hint, and nothing is changed."""
    ends = _written(path, [run_record(n) for n in range(3)])
    data = path.read_bytes()
    lines = [data[a:b] for a, b in pairwise(ends)]
    path.write_bytes(change(lines))
    index_path(path).unlink()
    changed = path.read_bytes()
    with pytest.raises(EvidenceDamaged, match=rf"at byte \d+ \(line {line}\)") as raised:
        EvidenceLog.open(path)
    assert raised.value.hint
    if offset is not None:
        assert f"at byte {ends[line - 1] + offset} " in raised.value.message
    assert path.read_bytes() == changed
    assert not verify(path).ok


def test_two_records_with_one_id_are_refused(path: Path, run_record: Make) -> None:
    """A log whose chain is sound but whose records exclude each other is not this writer's work."""
    path.parent.mkdir()
    first = encode(run_record(1), 1, "sha256:" + "0" * 64)
    second = encode(run_record(1, reason="again"), 2, first.chain.hash)
    path.write_bytes(first.data + second.data)
    with pytest.raises(EvidenceDamaged, match="two records"):
        EvidenceLog.open(path)
    report = verify(path)
    assert report.fault is not None
    assert (report.fault.line, report.fault.offset) == (2, len(first.data))


def test_another_log_in_the_place_of_the_indexed_one(path: Path, tmp_path: Path, run_record: Make) -> None:
    """A sound log that is not the indexed one is indexed anew, and says itself what the index had known.

    It is refused first, as it does not extend the checkpoint; whoever moves that away has decided.
    """
    _written(path, [run_record(n) for n in range(3)])
    known = verify(path).head
    other = tmp_path / "other.jsonl"
    _written(other, [run_record(n) for n in range(10, 19)])
    shutil.copy(other, path)
    with pytest.raises(EvidenceDamaged, match="does not extend its last checkpoint"):
        EvidenceLog.open(path)
    checkpoints_path(path).unlink()
    with EvidenceLog.open(path) as log:
        assert log.recovered is not None
        assert log.recovered.indexed is not None
        assert log.recovered.indexed.hash == known
    assert verify(path).ok


def test_a_log_that_was_removed(path: Path, run_record: Make) -> None:
    """A log that is gone is missed; without its checkpoints it begins anew, and says first what the index had known."""
    _written(path, [run_record(n) for n in range(3)])
    path.unlink()
    with pytest.raises(EvidenceDamaged, match="it had 3 records") as raised:
        EvidenceLog.open(path)
    assert raised.value.hint
    assert not path.exists()
    checkpoints_path(path).unlink()
    with EvidenceLog.open(path) as log:
        assert log.recovered is not None
        assert log.recovered.offset == 0
        assert log.recovered.indexed is not None
        assert log.recovered.indexed.seq == 3
        assert log.append([run_record(1)])[0].seq == 2
    assert verify(path).ok


@pytest.mark.usefixtures("unsynced_index")
@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("how", ["before", "after", "half"])
def test_recovery_survives_its_own_death(
    path: Path, tmp_path: Path, run_record: Make, kernel: Any, *, how: str, indexed: bool
) -> None:
    """Recovery that dies before, after or within any of its system calls is finished by the next one, and told once."""
    _written(path, [run_record(n) for n in range(3)])
    torn = path.read_bytes()[:-20]
    finished_at = 0
    for dies_at in range(1, 100):
        there = tmp_path / "again"
        there.mkdir()
        log_path = there / path.name
        log_path.write_bytes(torn)
        if indexed:
            shutil.copy(index_path(path), index_path(log_path))
        if _opens(log_path, kernel, dies_at, how):
            finished_at = dies_at
        left = log_path.read_bytes()
        with EvidenceLog.open(log_path, testing_only_seam=kernel().seam) as log:
            log.append([run_record(n) for n in range(3)])
        report = verify(log_path)
        assert (report.ok, report.records, report.index) == (True, 4, IndexState.AGREES), dies_at
        (told,) = _recoveries(log_path)
        kept = b"".join((there / name).read_bytes() for name in told["files"])
        assert kept.startswith(torn[told["offset"] :])
        if not left.endswith(b"\n"):
            assert kept.endswith(left[told["offset"] :])  # torn again, within the record of the first recovery
        assert (told["length"], told["sha256"]) == (len(kept), _sha256(kept))
        shutil.rmtree(there)
        if finished_at:
            break
    assert finished_at > 10


def _opens(path: Path, kernel: Any, dies_at: int, how: str) -> bool:
    """Open and close a log; False where the opening died at its system call of this number."""

    def fault(name: str, number: int, call: Callable[[], Any], data: bytes) -> Any:
        if number != dies_at:
            return call()
        if how == "half" and name == "write":
            os.write(dying.fd, data[: len(data) // 2])
        elif how == "after":
            call()
        raise kernel.died

    dying = kernel(fault)
    try:
        EvidenceLog.open(path, testing_only_seam=dying.seam).close()
    except kernel.died:
        return False
    return True


def test_what_the_index_does_not_know_is_written_again(path: Path, run_record: Make) -> None:
    """Lines behind the index are written again with the same bytes: they may be in memory only."""
    _written(path, [run_record(n) for n in range(3)])
    index_path(path).unlink()
    before = path.read_bytes()
    os.utime(path, (0, 0))
    EvidenceLog.open(path).close()
    assert path.read_bytes() == before
    assert path.stat().st_mtime > 0
    os.utime(path, (0, 0))
    EvidenceLog.open(path).close()
    assert path.stat().st_mtime == 0
