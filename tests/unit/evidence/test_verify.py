from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.checkpoints import checkpoints_path
from evidence.format import NO_HASH, encode
from evidence.index import index_path
from evidence.log import EvidenceLog
from evidence.verify import Fault, IndexState, Report, verify

Make = Callable[..., dict[str, Any]]


def _log(path: Path, records: list[dict[str, Any]]) -> bytes:
    with EvidenceLog.open(path) as log:
        log.append(records)
    return path.read_bytes()


def _chained(records: list[dict[str, Any]]) -> bytes:
    data, prev = b"", NO_HASH
    for seq, record in enumerate(records, start=1):
        line = encode(record, seq, prev)
        data, prev = data + line.data, line.chain.hash
    return data


def test_no_log_is_an_empty_log(path: Path) -> None:
    """A log that does not exist yet is sound and empty."""
    empty = base64.b64encode(hashlib.sha256().digest()).decode()
    assert verify(path) == Report(0, 0, NO_HASH, None, 0, IndexState.MISSING, empty, 0, 0, 0, 0, 0)


def test_every_flipped_byte_is_noticed(path: Path, tmp_path: Path, run_record: Make) -> None:
    """Whichever byte changes, the chain alone notices it, in the line that it is in."""
    data = _log(path, [run_record(n) for n in range(2)])
    flipped = tmp_path / "flipped.jsonl"
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            flipped.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
            report = verify(flipped)
            assert not report.ok, (at, bit)
            if report.fault is None:
                assert at == len(data) - 1
                assert report.torn_bytes > 0
            else:
                assert report.fault.line == data[:at].count(b"\n") + 1, (at, bit)


def test_every_missing_byte_is_noticed(path: Path, tmp_path: Path, run_record: Make) -> None:
    """Whichever byte is left out, the chain alone notices it."""
    data = _log(path, [run_record(n) for n in range(2)])
    shorter = tmp_path / "shorter.jsonl"
    for at in range(len(data)):
        shorter.write_bytes(data[:at] + data[at + 1 :])
        assert not verify(shorter).ok, at


def test_a_torn_tail_is_told_apart(path: Path, run_record: Make) -> None:
    """An incomplete last line is not damage, but not a whole log either."""
    data = _log(path, [run_record(1)])
    path.write_bytes(data + b'{"half')
    report = verify(path)
    assert (report.ok, report.fault, report.torn_bytes, report.bytes) == (False, None, 6, len(data))


def test_a_shorter_log_than_the_index_knows(path: Path, run_record: Make) -> None:
    """Whole lines that are gone from the end are missed by the index, where no chain can miss them."""
    _log(path, [run_record(1), run_record(2)])
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    report = verify(path)
    assert (report.fault is not None, report.index) == (True, IndexState.DISAGREES)
    index_path(path).unlink()
    checkpoints_path(path).unlink()
    assert verify(path).ok


def test_a_rewritten_log_disagrees_with_the_index(path: Path, run_record: Make) -> None:
    """A line changed with all hashes made anew still contradicts the index, which is told at its byte."""
    data = _log(path, [run_record(1), run_record(2), run_record(3)])
    path.write_bytes(_chained([run_record(1), run_record(2, state="rejected"), run_record(3)]))
    report = verify(path)
    assert report.index is IndexState.DISAGREES
    at = data.index(b"\n") + 1
    assert report.fault == Fault(str(path), at, 2, "the record that the index has as number 2, att_2")


def test_an_altered_index_disagrees(path: Path, run_record: Make) -> None:
    """A changed row of the index is noticed, and the log itself is still proved by deleting the index."""
    _log(path, [run_record(1), run_record(2)])
    db = sqlite3.connect(index_path(path), isolation_level=None)
    db.execute("UPDATE records SET state = 'rejected' WHERE seq = 2")
    db.close()
    assert verify(path).index is IndexState.DISAGREES


def test_one_end_for_each_run(path: Path, run_record: Make) -> None:
    """Two ends of one run are a fault although each line is sound."""
    path.parent.mkdir()
    path.write_bytes(_chained([run_record(1), run_record(2, run_id="run_1")]))
    report = verify(path)
    assert report.fault is not None
    assert (report.fault.line, report.fault.expected) == (2, "no second end of run run_1")


def test_an_index_that_lags_is_sound(path: Path, run_record: Make, kernel: Any) -> None:
    """Lines that a crash kept out of the index are proved like the others."""

    def fault(name: str, number: int, call: Callable[[], Any], _: bytes) -> Any:
        if name == "fsync" and number > armed:
            raise kernel.died
        return call()

    armed = 10**9
    calls = kernel(fault)
    with EvidenceLog.open(path, testing_only_seam=calls.seam) as log:
        log.append([run_record(1)])
        armed = len(calls.calls)
        with pytest.raises(kernel.died):
            log.append([run_record(2)])
    report = verify(path)
    assert (report.ok, report.records, report.index) == (True, 2, IndexState.BEHIND)
