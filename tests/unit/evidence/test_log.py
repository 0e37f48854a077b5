from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence.commit import Outcome
from evidence.format import MAX_BODY_BYTES
from evidence.index import index_path
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.verify import IndexState, verify
from replay.errors import AppendFailed, EvidenceDamaged, EvidenceLocked, InputError

Make = Callable[..., dict[str, Any]]


def _ids(path: Path) -> list[str]:
    return [entry.record["id"] for entry in EvidenceReader(path).iterate()]


def test_append_places_records_in_order(path: Path, run_record: Make) -> None:
    """Records lie where the answer says, one line each, and the log proves itself."""
    with EvidenceLog.open(path) as log:
        first = log.append([run_record(1), run_record(2)])
        second = log.append([run_record(3)])
        assert log.append([]) == []
        assert log.head.seq == 3
        assert log.recovered is None
    placed = first + second
    data = path.read_bytes()
    assert [(p.id, p.outcome, p.written, p.seq) for p in placed] == [
        (f"att_{n}", Outcome.APPENDED, True, n) for n in (1, 2, 3)
    ]
    assert b"".join(data[p.offset : p.offset + p.length] for p in placed) == data
    report = verify(path)
    assert (report.ok, report.records, report.bytes, report.index) == (True, 3, len(data), IndexState.AGREES)
    assert report.head == log.head.hash


@pytest.mark.parametrize("reopen", [False, True])
def test_the_same_record_twice_is_one(path: Path, run_record: Make, reopen: bool) -> None:
    """A redelivered record is found where it lies, and nothing is written."""
    log = EvidenceLog.open(path)
    (first,) = log.append([run_record(1)])
    before = path.read_bytes()
    if reopen:
        log.close()
        log = EvidenceLog.open(path)
    (again,) = log.append([run_record(1)])
    log.close()
    assert (again.outcome, again.written) == (Outcome.DUPLICATE, False)
    assert (again.id, again.seq, again.offset, again.length) == (first.id, first.seq, first.offset, first.length)
    assert path.read_bytes() == before


def test_other_content_under_one_id_is_a_conflict(path: Path, run_record: Make) -> None:
    """The first record stands; the other is kept whole as a conflict, once, however often it comes."""
    other = run_record(1, state="rejected", reason="another answer")
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
        (conflict,) = log.append([other])
        (again,) = log.append([other])
        (third,) = log.append([run_record(1, reason="yet another")])
    assert (conflict.outcome, conflict.written, conflict.seq) == (Outcome.CONFLICT, True, 2)
    assert (again.outcome, again.written, again.id, again.seq) == (Outcome.CONFLICT, False, conflict.id, 2)
    assert (third.written, third.seq) == (True, 3)
    reader = EvidenceReader(path)
    stands, kept = reader.get("att_1"), reader.get(conflict.id)
    assert stands is not None
    assert stands.record == run_record(1)
    assert kept is not None
    assert kept.record["schema"] == "replay_conflict.v1"
    assert kept.record["kind"] == "same_id"
    assert kept.record["other"] == other
    assert (kept.record["first_id"], kept.record["first_seq"]) == ("att_1", 1)
    assert verify(path).ok


def test_a_run_ends_once(path: Path, run_record: Make) -> None:
    """A second end of a run under another id is a conflict; an attempt that comes late is still evidence."""
    end = run_record(1, state="cancelled", id="run_1")
    late_end = run_record(1, state="accepted")
    late_attempt = run_record(1, state="escalated", id="att_late")
    with EvidenceLog.open(path) as log:
        outcomes = [placed.outcome for placed in log.append([end, late_end, late_attempt, late_end])]
        assert log.append([late_end])[0].written is False
    assert outcomes == [Outcome.APPENDED, Outcome.CONFLICT, Outcome.APPENDED, Outcome.CONFLICT]
    reader = EvidenceReader(path)
    assert [entry.record["id"] for entry in reader.run("run_1")] == ["run_1", _ids(path)[1], "att_late"]
    assert reader.get("att_1") is None
    assert reader.batch_states("batch_1")["run_1"].state == "cancelled"
    assert verify(path).ok


def test_one_group_commit_may_hold_twins(path: Path, run_record: Make) -> None:
    """Duplicates and conflicts are found within one batch as between two."""
    with EvidenceLog.open(path) as log:
        placed = log.append([run_record(1), run_record(1), run_record(1, reason="x"), run_record(1, reason="x")])
    assert [(p.outcome, p.written, p.seq) for p in placed] == [
        (Outcome.APPENDED, True, 1),
        (Outcome.DUPLICATE, False, 1),
        (Outcome.CONFLICT, True, 2),
        (Outcome.CONFLICT, False, 2),
    ]
    assert verify(path).records == 2


def test_any_schema_has_its_place(path: Path) -> None:
    """Records of other schemas are appended and found, and fields of odd types do not disturb the index."""
    dead = {"schema": "replay_dead.v1", "id": "dead_1", "queue": "q", "state": ["accepted"], "attempt": "none"}
    odd = {
        "schema": "replay_run.v1",
        "id": "odd",
        "run_id": 5,
        "state": "accepted",
        "attempt": {"generation": {"usage": {"prompt_tokens": 1 << 70, "cached_tokens": True}}, "timings": [1]},
    }
    with EvidenceLog.open(path) as log:
        log.append([dead, odd])
    row = EvidenceReader(path).tail(1)[0]
    assert (row.id, row.run_id, row.terminal, row.prompt_tokens, row.cached_tokens) == ("odd", None, False, None, None)
    assert verify(path).ok


def test_an_impossible_record_stops_nothing(path: Path, run_record: Make) -> None:
    """A batch with a record that cannot be stored is refused whole, by name, and the log goes on."""
    with EvidenceLog.open(path) as log:
        with pytest.raises(InputError, match="att_2"):
            log.append([run_record(1), run_record(2, score=float("nan"))])
        assert path.read_bytes() == b""
        log.append([run_record(1)])
    assert _ids(path) == ["att_1"]


def test_the_largest_record_can_still_conflict(path: Path, run_record: Make) -> None:
    """A conflict that wraps a record of the full size is stored and can be read back."""
    room = MAX_BODY_BYTES - 300
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
        (conflict,) = log.append([run_record(1, text="x" * room)])
    assert verify(path).ok
    kept = EvidenceReader(path).get(conflict.id)
    assert kept is not None
    assert len(kept.record["other"]["text"]) == room


def test_a_second_writer_is_told_who_writes(path: Path) -> None:
    """Opening a log that is open names the process and host that hold it."""
    with EvidenceLog.open(path), pytest.raises(EvidenceLocked, match=r"process \d+ on \S+") as raised:
        EvidenceLog.open(path)
    assert raised.value.hint
    EvidenceLog.open(path).close()


def _appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _shortened(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(10)


def _replaced(path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    path.write_bytes(path.with_suffix(".old").read_bytes())


@pytest.mark.parametrize("change", [_appended, _shortened, _replaced, Path.unlink])
def test_somebody_else_wrote(path: Path, run_record: Make, change: Callable[[Path], None]) -> None:
    """A log that changed under its writer is refused before a byte is written, and from then on."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
        change(path)
        before = path.read_bytes() if path.exists() else None
        for _ in range(2):
            with pytest.raises(EvidenceDamaged) as raised:
                log.append([run_record(2)])
            assert raised.value.hint
        assert (path.read_bytes() if path.exists() else None) == before


def test_a_failed_fsync_is_final(path: Path, run_record: Make, kernel: Any) -> None:
    """After a failed fsync the log takes nothing more: a second fsync would succeed without the data."""
    failing = False

    def fault(name: str, _: int, call: Callable[[], Any], __: bytes) -> Any:
        if failing and name == "fsync":
            raise OSError(errno.EIO, "Input/output error")
        return call()

    seam = kernel(fault)
    with EvidenceLog.open(path, testing_only_seam=seam.seam) as log:
        failing = True
        with pytest.raises(AppendFailed, match="fsync"):
            log.append([run_record(1)])
        failing = False
        calls = len(seam.calls)
        with pytest.raises(AppendFailed):
            log.append([run_record(1)])
        assert len(seam.calls) == calls


def test_an_index_that_fails_stops_the_writer(path: Path, run_record: Make, kernel: Any) -> None:
    """The records are durable when the index fails: the writer stops, and the next one indexes them from the log."""

    def fault(name: str, number: int, call: Callable[[], Any], _: bytes) -> Any:
        if name == "fsync" and number == breaks_at:
            db = sqlite3.connect(index_path(path))
            db.execute("DROP TABLE records")
            db.close()
        return call()

    breaks_at = -1
    seam = kernel(fault)
    with EvidenceLog.open(path, testing_only_seam=seam.seam) as log:
        breaks_at = len(seam.calls) + 2
        with pytest.raises(AppendFailed, match="index"):
            log.append([run_record(1)])
    with EvidenceLog.open(path) as log:
        assert log.append([run_record(1)])[0].outcome is Outcome.DUPLICATE
    assert verify(path).index is IndexState.AGREES


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 100])
def test_the_index_is_made_again(path: Path, run_record: Make, content: bytes | None) -> None:
    """An index that is missing, empty or no database is made from the log."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(n) for n in range(5)])
    index_path(path).unlink()
    if content is not None:
        index_path(path).write_bytes(content)
    with EvidenceLog.open(path) as log:
        assert log.recovered is None
        assert log.append([run_record(4)])[0].outcome is Outcome.DUPLICATE
    report = verify(path)
    assert (report.ok, report.records, report.index) == (True, 5, IndexState.AGREES)


def test_an_index_of_another_version_is_made_again(path: Path, run_record: Make) -> None:
    """An index that another version of this code made is not read but made from the log."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
    db = sqlite3.connect(index_path(path))
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert EvidenceReader(path).terminal_ids("batch_1") == {"run_1"}
    EvidenceLog.open(path).close()
    assert verify(path).index is IndexState.AGREES
