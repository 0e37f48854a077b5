from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from evidence import scan, segments
from evidence.checkpoints import checkpoints_path
from evidence.commit import Outcome
from evidence.index import index_path
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from evidence.scan import pieces
from evidence.verify import IndexState, verify
from replay.errors import AppendFailed, EvidenceDamaged

Make = Callable[..., dict[str, Any]]
SMALL = 700  # bytes: a segment takes three records of about 300


def _filled(path: Path, records: list[dict[str, Any]], segment_bytes: int = SMALL) -> None:
    with EvidenceLog.open(path, segment_bytes=segment_bytes) as log:
        for record in records:
            log.append([record])


def _ids(path: Path) -> list[str]:
    return [entry.record["id"] for entry in EvidenceReader(path).iterate()]


@pytest.mark.usefixtures("unsynced_index")
@pytest.mark.parametrize("indexed", [True, False])
def test_a_log_of_segments_is_one_log(path: Path, run_record: Make, *, indexed: bool) -> None:
    """Chain, numbers and positions run on across closed segments, and every question is answered as before."""
    _filled(path, [run_record(n) for n in range(10)])
    manifest = segments.load(path)
    assert [(s.number, s.first_seq, s.last_seq) for s in manifest.segments] == [(1, 1, 3), (2, 4, 6), (3, 7, 9)]
    files = [segments.folder(path) / segment.file for segment in manifest.segments]
    assert files[1].name == "0000000002-4.jsonl"
    for segment, file in zip(manifest.segments, files, strict=True):
        data = file.read_bytes()
        assert (segment.bytes, segment.sha256) == (len(data), "sha256:" + hashlib.sha256(data).hexdigest())
    whole = b"".join(file.read_bytes() for file in files) + path.read_bytes()
    if not indexed:
        index_path(path).unlink()
    reader = EvidenceReader(path)
    assert [entry.chain.seq for entry in reader.iterate()] == list(range(1, 11))
    for row in reader.tail(10):
        assert whole[row.offset : row.offset + row.length].startswith(b'{"batch_id"')
        entry = reader.get(row.id)
        assert entry is not None
        assert [e.chain.seq for e in reader.iterate(entry.end)] == list(range(row.seq + 1, 11))
    with EvidenceLog.open(path, segment_bytes=SMALL) as log:
        assert log.recovered is None
        assert {p.outcome for p in log.append([run_record(n) for n in range(10)])} == {Outcome.DUPLICATE}
        log.append([run_record(10)])
    report = verify(path)
    assert (report.ok, report.records, report.index) == (True, 11, IndexState.AGREES)


def test_a_log_of_one_file_opens_unchanged(path: Path, run_record: Make) -> None:
    """A log that was never rotated has no segments, and gets its first when it has grown to the size."""
    _filled(path, [run_record(n) for n in range(5)], 1 << 20)
    before = path.read_bytes()
    with EvidenceLog.open(path, segment_bytes=SMALL) as log:
        assert path.read_bytes() == before
        assert not segments.folder(path).exists()
        log.append([run_record(5)])
    assert (segments.folder(path) / "0000000001-1.jsonl").read_bytes() == before
    assert _ids(path) == [f"att_{n}" for n in range(6)]


def _dies(how: str, number: int, make: Any) -> Any:
    """A kernel that ends the process before, after or within one system call, once it is armed."""

    def fault(name: str, at: int, call: Callable[[], Any], data: bytes) -> Any:
        if kernel.armed is None or at - kernel.armed != number:
            return call()
        if how == "half" and name == "write":
            os.write(kernel.fd, data[: len(data) // 2])
        elif how == "after":
            call()
        elif how == "error":
            raise OSError(errno.EIO, "Input/output error")
        raise kernel.died

    kernel = make(fault)
    kernel.armed = None
    return kernel


@pytest.mark.usefixtures("unsynced_index")
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("how", ["before", "after", "half", "error"])
def test_each_step_of_a_rotation(  # noqa: PLR0917  fixtures
    in_memory: Path,
    run_record: Make,
    kernel: Any,
    abandon: Callable[[EvidenceLog], None],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    *,
    links: bool,
) -> None:
    """Whichever system call a rotation dies of, readers see each record once, and the next writer finishes it."""
    if not links:

        def refused(*_: Any) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    path = in_memory / "kb" / "runs.jsonl"
    records = [run_record(n) for n in range(5)]
    finished_at = 0
    for number in range(1, 60):
        shutil.rmtree(path.parent, ignore_errors=True)
        dying = _dies(how, number, kernel)
        log = EvidenceLog.open(path, segment_bytes=SMALL, testing_only_seam=dying.seam)
        log.append(records[:3])
        dying.armed = len(dying.calls)
        try:
            log.append(records[3:4])
        except (kernel.died, AppendFailed):
            with pytest.raises(AppendFailed):
                log.append(records[3:4])
        if len(dying.calls) - dying.armed < number:
            finished_at = number
        abandon(log)
        seen = _ids(path)
        assert seen in ([f"att_{n}" for n in range(3)], [f"att_{n}" for n in range(4)]), number
        with EvidenceLog.open(path, segment_bytes=SMALL, testing_only_seam=kernel().seam) as log:
            log.append(records)
        runs = [name for name in _ids(path) if name.startswith("att_")]
        assert runs == [f"att_{n}" for n in range(5)], number
        report = verify(path)
        assert (report.ok, report.index) == (True, IndexState.AGREES), number
        assert len(segments.load(path).segments) == 1
        assert sorted(f.name for f in segments.folder(path).glob("*.jsonl")) == ["0000000001-1.jsonl"]
        if finished_at:
            break
    assert finished_at > 12


def test_readers_beside_a_rotation(path: Path, run_record: Make) -> None:
    """Whatever a reader holds while the file is closed under it, it loses no record and shows none twice."""
    records = [run_record(n) for n in range(8)]
    with EvidenceLog.open(path, segment_bytes=SMALL) as log:
        log.append(records[:3])
        held = pieces(path)
        lines = [next(held), next(held)]
        log.append(records[3:7])  # closes the file that is held
        log.append(records[7:])  # and one more
        lines += list(held)
    assert len(segments.load(path).segments) == 2
    whole = b"".join(line for _, line in lines)
    assert [json.loads(line)["id"] for _, line in lines] == [f"att_{n}" for n in range(8)]
    assert all(whole[at : at + len(line)] == line for at, line in lines)


def test_a_rotation_between_two_looks(path: Path, run_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation at each of the moments at which a reader looks at the manifest changes nothing of what it reads."""
    for moment in range(1, 6):
        shutil.rmtree(path.parent, ignore_errors=True)
        with EvidenceLog.open(path, segment_bytes=SMALL) as log:
            log.append([run_record(n) for n in range(3)])
            looks = 0

            def load(of: Path, log: EvidenceLog = log, moment: int = moment) -> segments.Manifest:
                nonlocal looks
                looks += 1
                if looks == moment:
                    log.append([run_record(3)])
                return segments.load(of)

            monkeypatch.setattr(scan, "load", load)
            at, entries = 0, []
            for _ in range(3):
                for entry in EvidenceReader(path).iterate(at):
                    entries.append(entry.record["id"])
                    at = entry.end
            monkeypatch.setattr(scan, "load", segments.load)
            assert looks >= moment
        assert entries == [f"att_{n}" for n in range(4)], moment


def test_following_a_log_that_rotates(path: Path, run_record: Make) -> None:
    """Following goes on across segments while another thread writes and rotates."""
    stop = Event()
    followed: list[int] = []

    def follow() -> None:
        followed.extend(entry.chain.seq for entry in EvidenceReader(path).follow(0, poll_s=0.001, stop=stop))

    thread = Thread(target=follow)
    thread.start()
    try:
        _filled(path, [run_record(n) for n in range(60)])
    finally:
        stop.set()
        thread.join()
    assert followed == list(range(1, 61))


@pytest.mark.parametrize(("number", "kept"), [(0, 1.0), (1, 1.0), (0, 0.5), (1, 0.5)])
def test_a_copy_that_was_made_while_the_log_rotated(path: Path, run_record: Make, number: int, kept: float) -> None:
    """A backup whose active file is, whole or in part, a segment that was closed meanwhile is read once and goes on."""
    _filled(path, [run_record(n) for n in range(7)])
    closed = (segments.folder(path) / segments.load(path).segments[number].file).read_bytes()
    path.write_bytes(closed[: int(len(closed) * kept)])
    index_path(path).unlink()
    checkpoints_path(path).unlink()
    assert _ids(path) == [f"att_{n}" for n in range(6)]
    assert verify(path).ok
    with EvidenceLog.open(path, segment_bytes=SMALL) as log:
        assert log.recovered is None
        log.append([run_record(n) for n in range(8)])
    assert _ids(path) == [f"att_{n}" for n in range(8)]
    assert verify(path).ok


def test_a_file_that_only_begins_like_a_closed_one(path: Path, run_record: Make) -> None:
    """An active file that goes on otherwise than the closed segment it begins like is not thrown away."""
    _filled(path, [run_record(n) for n in range(4)])
    closed = segments.folder(path) / segments.load(path).segments[0].file
    path.write_bytes(closed.read_bytes() + path.read_bytes())
    checkpoints_path(path).unlink()
    before = path.read_bytes()
    with pytest.raises(EvidenceDamaged, match="goes on otherwise"):
        EvidenceLog.open(path)
    assert path.read_bytes() == before


def test_the_index_catches_up_across_segments(path: Path, run_record: Make, tmp_path: Path) -> None:
    """An old index, as after a restored copy of it, is brought up to the end through closed segments."""
    _filled(path, [run_record(n) for n in range(2)])
    kept = tmp_path / "old.sqlite"
    shutil.copy(index_path(path), kept)
    _filled(path, [run_record(n) for n in range(2, 9)])
    shutil.copy(kept, index_path(path))
    with EvidenceLog.open(path) as log:
        assert log.recovered is None
        assert log.append([run_record(7)])[0].outcome is Outcome.DUPLICATE
    assert verify(path).index is IndexState.AGREES


def _missing(path: Path) -> None:
    next(segments.folder(path).glob("*2-*")).unlink()


def _shorter(path: Path) -> None:
    file = next(segments.folder(path).glob("*2-*"))
    file.write_bytes(file.read_bytes()[:-10])


def _unlisted(path: Path) -> None:
    segments.manifest_path(path).unlink()


def _no_manifest(path: Path) -> None:
    segments.manifest_path(path).write_bytes(b"{}")


def _gap(path: Path) -> None:
    manifest = segments.load(path)
    segments.manifest_path(path).write_bytes(segments.encode(segments.Manifest(segments=manifest.segments[1:])))


@pytest.mark.parametrize("change", [_missing, _shorter, _unlisted, _no_manifest, _gap])
def test_segments_that_are_not_what_was_closed(path: Path, run_record: Make, change: Callable[[Path], None]) -> None:
    """A writer refuses a log whose closed segments or manifest are not what it left, and changes nothing."""
    _filled(path, [run_record(n) for n in range(7)])
    change(path)
    before = {file: file.read_bytes() for file in path.parent.rglob("*.json*")}
    with pytest.raises(EvidenceDamaged) as raised:
        EvidenceLog.open(path)
    assert raised.value.hint
    assert {file: file.read_bytes() for file in path.parent.rglob("*.json*")} == before


def test_damage_in_a_closed_segment_names_its_file(path: Path, run_record: Make) -> None:
    """A reader that meets damage in a closed segment names that file and the line in it."""
    _filled(path, [run_record(n) for n in range(7)])
    file = segments.folder(path) / "0000000002-4.jsonl"
    data = file.read_bytes()
    at = data.index(b"att_4")
    file.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with pytest.raises(EvidenceDamaged, match=rf"0000000002-4.jsonl is damaged at byte {at} \(line 2\)"):
        EvidenceReader(path).get("att_4")
    with pytest.raises(EvidenceDamaged, match=rf"0000000002-4.jsonl is damaged at byte {at} \(line 2\)"):
        list(EvidenceReader(path).iterate())
