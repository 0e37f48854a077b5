from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence import segments
from evidence.checkpoints import Policy, checkpoints_path
from evidence.index import index_path
from evidence.keys import SigningKey
from evidence.log import EvidenceLog
from evidence.verify import IndexState, Report, verify
from replay.errors import InputError

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """A signing key."""
    return SigningKey.generate(tmp_path / "key.pem")


@pytest.fixture
def log(path: Path, run_record: Make, key: SigningKey) -> Path:
    """A log of three closed segments and an active file, with signed checkpoints after records 2, 4, 6, 8 and 10."""
    with EvidenceLog.open(path, segment_bytes=700, checkpoints=Policy(records=2, key=key)) as log:
        for n in range(10):
            log.append([run_record(n)])
    return path


def _told(report: Report) -> tuple[str, int, int]:
    assert report.fault is not None
    return Path(report.fault.file).name, report.fault.offset, report.fault.line


def test_everything_is_proved(log: Path, key: SigningKey) -> None:
    """A whole log is proved with its segments, checkpoints, signatures and index, and says how far each goes."""
    read: list[int] = []
    report = verify(log, key=key.public, progress=read.append)
    assert (report.ok, report.fault, report.index) == (True, None, IndexState.AGREES)
    assert (report.records, report.segments, report.checkpoints, report.signed) == (10, 3, 5, 5)
    assert (report.covered, report.signed_to) == (10, 10)
    assert sum(read) == report.bytes == sum(f.stat().st_size for f in [log, *segments.folder(log).glob("0*")])
    assert verify(log, strict=True) == report
    assert verify(log, key=SigningKey.generate(log.parent / "other").public).ok is False


@pytest.mark.parametrize("file", ["0000000001-1.jsonl", "0000000003-7.jsonl", "runs.jsonl"])
def test_every_flipped_byte_of_any_file(log: Path, file: str) -> None:
    """A changed byte is named with its file and line, in closed segments as in the active file."""
    place = log if file == log.name else segments.folder(log) / file
    data = place.read_bytes()
    for at in range(0, len(data) - 1, 7):
        place.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        name, offset, line = _told(verify(log))
        assert (name, line) == (file, data[:at].count(b"\n") + 1), at
        begins = data.rfind(b"\n", 0, at) + 1
        assert begins <= offset < begins + 300
    place.write_bytes(data)
    assert verify(log).ok


def _segment(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(log: Path) -> None:
        file = segments.folder(log) / name
        file.write_bytes(change(file.read_bytes()))

    return apply


def _manifest(change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(log: Path) -> None:
        file = segments.manifest_path(log)
        file.write_text(change(file.read_text()))

    return apply


def _sha_of_second(text: str) -> str:
    value = json.loads(text)["segments"][1]["sha256"]
    return text.replace(value, value[:-1] + ("0" if value[-1] != "0" else "1"))


def _last_hash_of_third(text: str) -> str:
    value = json.loads(text)["segments"][2]["last_hash"]
    return text.replace(value, value[:-1] + ("0" if value[-1] != "0" else "1"))


SECOND = "0000000002-4.jsonl"


@pytest.mark.parametrize(
    ("change", "file", "line"),
    [
        (lambda log: (segments.folder(log) / SECOND).unlink(), SECOND, 1),
        (_segment(SECOND, lambda data: data[: data.rfind(b"\n", 0, -1) + 1]), SECOND, 2),
        (_segment(SECOND, lambda data: data[:-5]), SECOND, 3),
        (_segment(SECOND, lambda data: data + b"{}\n"), SECOND, 4),
        (_manifest(_sha_of_second), "manifest.json", 24),
        (_manifest(_last_hash_of_third), "manifest.json", 34),
        (_manifest(lambda text: text[:50]), "manifest.json", 1),
        (lambda log: segments.manifest_path(log).unlink(), "runs.jsonl", 1),
    ],
)
def test_segments_and_manifest(log: Path, change: Callable[[Path], None], file: str, line: int) -> None:
    """A closed segment or a manifest that is not what was closed is told with its file and line."""
    change(log)
    report = verify(log)
    name, _, told = _told(report)
    assert (name, told, report.ok) == (file, line, False)


def _noted(log: Path, line: int, old: str, new: str) -> None:
    lines = checkpoints_path(log).read_text().splitlines(keepends=True)
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    checkpoints_path(log).write_text("".join(lines))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("\\n4\\n", "\\n3\\n", "head sha256:"),
        ("\\n4\\n", "\\n1\\n", "at least 2 records"),
        ("head sha256:", "head sha256:0", "a checkpoint: origin"),
        ("replay-evidence/", "replay-evidence/0", "origin replay-evidence/"),
        ("time 2", "time 1", "a signature that holds"),
        ('"note"', '"nope"', "a note"),
    ],
)
def test_a_forged_checkpoint(log: Path, key: SigningKey, old: str, new: str, expected: str) -> None:
    """Each part of a checkpoint is compared; the first wrong one is told with its line in the file."""
    _noted(log, 2, old, new)
    report = verify(log, key=key.public)
    name, _, line = _told(report)
    assert (name, line) == ("runs.checkpoints.jsonl", 2)
    assert report.fault is not None
    assert expected in report.fault.expected


def test_a_wrong_root(log: Path) -> None:
    """A root that is not the tree's is noticed even where the head fits and nothing is signed."""
    note = json.loads(checkpoints_path(log).read_text().splitlines()[2])["note"].split("\n")
    _noted(log, 3, note[2], "A" * 43 + "=")
    report = verify(log)
    assert report.fault is not None
    assert report.fault.line == 3
    assert "the root over the log's first 6 records" in report.fault.expected
    assert checkpoints_path(log).read_bytes()[report.fault.offset :].startswith(b"AAAA")


def test_a_log_that_was_made_anew(log: Path, run_record: Make, key: SigningKey, tmp_path: Path) -> None:
    """A log rewritten with its index and checkpoints is sound by itself; an old checkpoint, or the key, tell."""
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(checkpoints_path(log).read_bytes())
    note = tmp_path / "note.txt"
    note.write_text(json.loads(kept.read_text().splitlines()[1])["note"])
    assert verify(log, since=kept, key=key.public).ok
    assert verify(log, since=note, key=key.public).ok
    for file in (log, index_path(log), checkpoints_path(log)):
        file.unlink()
    for file in segments.folder(log).iterdir():
        file.unlink()
    with EvidenceLog.open(log) as made:
        made.append([run_record(n, state="rejected") for n in range(12)])
    assert verify(log).ok
    for told in (verify(log, since=kept), verify(log, since=note)):
        assert told.fault is not None
        assert "origin" in told.fault.expected
    assert verify(log, key=key.public).fault is not None


def test_a_checkpoint_ahead_of_the_log(log: Path, tmp_path: Path) -> None:
    """A log that is shorter than a checkpoint says so, whichever file says it was longer."""
    kept = tmp_path / "elsewhere" / checkpoints_path(log).name
    kept.parent.mkdir()
    kept.write_bytes(checkpoints_path(log).read_bytes())
    log.write_bytes(b"")
    index_path(log).unlink()
    for report in (verify(log), verify(log, since=kept), verify(log, checkpoint_dir=kept.parent)):
        assert report.fault is not None
        assert report.fault.expected == "a checkpoint that the log reaches: it has 9 records only"
        assert report.records == 9
    with pytest.raises(InputError, match="holds no checkpoint"):
        verify(log, since=log)


def test_an_altered_tree_of_the_index(path: Path, run_record: Make) -> None:
    """Frontier and tiles of the index are compared with the tree over the log."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(n) for n in range(300)])
    assert verify(path).index is IndexState.AGREES
    for sql in ("UPDATE tiles SET hash = zeroblob(32)", "UPDATE tree SET peaks = zeroblob(length(peaks))"):
        db = sqlite3.connect(index_path(path), isolation_level=None)
        db.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT number, hash FROM tiles")
        db.execute(sql)
        report = verify(path)
        assert report.index is IndexState.DISAGREES
        assert report.fault is not None
        assert "tree" in report.fault.expected
        db.execute("UPDATE tiles SET hash = (SELECT hash FROM kept)")
        db.close()
