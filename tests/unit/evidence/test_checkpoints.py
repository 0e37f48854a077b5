from __future__ import annotations

import base64
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evidence import note
from evidence.checkpoints import Noted, Policy, checkpoints_path, decode_line, read_lines
from evidence.index import index_path
from evidence.keys import PublicKey, SigningKey
from evidence.log import EvidenceLog
from evidence.merkle import Tree
from evidence.reader import EvidenceReader
from replay.errors import AppendFailed, ConfigurationError, EvidenceDamaged, InputError
from replay.settings import Settings

Make = Callable[..., dict[str, Any]]


def _noted(path: Path, folder: Path | None = None) -> list[Noted]:
    lines = read_lines(checkpoints_path(path, folder))
    noted = [decode_line(data, at, number) for number, (at, data) in enumerate(lines, start=1)]
    assert all(isinstance(one, Noted) for one in noted)
    return [one for one in noted if isinstance(one, Noted)]


def _sizes(path: Path, folder: Path | None = None) -> list[int]:
    return [one.checkpoint.size for one in _noted(path, folder)]


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """A signing key."""
    return SigningKey.generate(tmp_path / "key.pem")


def test_what_a_checkpoint_says(path: Path, run_record: Make, key: SigningKey) -> None:
    """A checkpoint has the log's name, size, root, head and the place of its last line, signed."""
    with EvidenceLog.open(path, checkpoints=Policy(key=key)) as log:
        log.append([run_record(n) for n in range(5)])
        head = log.head
    entries = list(EvidenceReader(path).iterate())
    tree = Tree()
    for entry in entries:
        tree.add(entry.chain.hash)
    (noted,) = _noted(path)
    stands = noted.checkpoint
    assert stands.origin == "replay-evidence/" + entries[0].chain.hash[7:23]
    assert (stands.size, stands.root, stands.head) == (5, tree.root(), head.hash)
    assert (stands.at, stands.at + stands.length) == (head.last, head.end)
    assert noted.note.splitlines()[:3] == [stands.origin, "5", base64.b64encode(tree.root()).decode()]
    assert note.signed_by(stands, noted.signatures, key.public) is True
    other = SigningKey.generate(path.parent / "other.pem").public
    assert note.signed_by(stands, noted.signatures, other) is None
    forged = [noted.signatures[0][:-1] + bytes([noted.signatures[0][-1] ^ 1])]
    assert note.signed_by(stands, forged, key.public) is False


def test_a_note_as_other_tools_know_it() -> None:
    """Key ids and signatures are those of signed notes: the example of Go's `sumdb/note` holds."""
    raw = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]
    signed = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    text = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    peter = PublicKey(raw, "PeterNeumann")
    assert peter.line == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert peter.id == signed[:4]
    assert peter.holds(signed[4:], text)
    assert not peter.holds(signed[4:], text + b"\n")


def test_when_there_is_one(path: Path, run_record: Make) -> None:
    """By number of records, by time where something is new, and at the end; never twice for the same state."""
    now = 0.0
    policy = Policy(records=3, interval_s=10)
    with EvidenceLog.open(path, checkpoints=policy, testing_only_clock=lambda: now) as log:
        log.append([run_record(1), run_record(2)])
        assert not checkpoints_path(path).exists()
        log.append([run_record(3)])
        assert _sizes(path) == [3]
        now = 100.0
        log.checkpoint_if_due()
        log.append([run_record(3)])
        assert _sizes(path) == [3]
        log.append([run_record(4)])
        assert _sizes(path) == [3, 4]
        log.append([run_record(5)])
        log.checkpoint_if_due()
        assert _sizes(path) == [3, 4]
        now = 111.0
        log.checkpoint_if_due()
        assert _sizes(path) == [3, 4, 5]
        log.append([run_record(6)])
    assert _sizes(path) == [3, 4, 5, 6]
    EvidenceLog.open(path).close()
    assert _sizes(path) == [3, 4, 5, 6]


def test_the_tree_needs_no_pass_over_the_log(path: Path, run_record: Make) -> None:
    """A writer goes on from the frontier in the index, or without one makes it from the log: the root is the same."""
    for how in ("index", "no index"):
        with EvidenceLog.open(path) as log:
            log.append([run_record(n) for n in range(7)])
        if how == "no index":
            index_path(path).unlink()
        with EvidenceLog.open(path) as log:
            log.append([run_record(f"{how}{n}") for n in range(4)])
    tree = Tree()
    roots = {}
    for entry in EvidenceReader(path).iterate():
        tree.add(entry.chain.hash)
        roots[entry.chain.seq] = tree.root()
    assert [(one.checkpoint.size, one.checkpoint.root) for one in _noted(path)] == [
        (size, roots[size]) for size in (7, 11, 15)
    ]


def _restored(path: Path, kept: Path) -> None:
    shutil.copy(kept, path)


def _rewritten(path: Path, _: Path) -> None:
    checkpoints = checkpoints_path(path).read_bytes()
    records = [entry.record for entry in EvidenceReader(path).iterate()]
    for file in (path, index_path(path), checkpoints_path(path)):
        file.unlink()
    records[0]["state"] = "rejected"
    with EvidenceLog.open(path) as log:
        log.append(records)
    index_path(path).unlink()
    checkpoints_path(path).write_bytes(checkpoints)


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("change", [_restored, _rewritten])
def test_a_log_that_was_put_back(
    path: Path, tmp_path: Path, run_record: Make, change: Callable[[Path, Path], None], *, elsewhere: bool
) -> None:
    """A sound log that does not extend its last checkpoint is refused with a hint, and nothing is changed."""
    policy = Policy(folder=tmp_path / "elsewhere" if elsewhere else None)
    kept = tmp_path / "backup.jsonl"
    with EvidenceLog.open(path, checkpoints=policy) as log:
        log.append([run_record(1)])
        shutil.copy(path, kept)
        log.append([run_record(2)])
    change(path, kept)
    if elsewhere:
        checkpoints_path(path).unlink()
    before = path.read_bytes()
    with pytest.raises(EvidenceDamaged, match="does not extend its last checkpoint") as raised:
        EvidenceLog.open(path, checkpoints=policy)
    assert str(checkpoints_path(path, policy.folder)) in raised.value.message
    assert "`replay evidence accept-loss --yes --reason WHY`" in raised.value.hint
    assert path.read_bytes() == before


def test_a_second_place(path: Path, tmp_path: Path, run_record: Make) -> None:
    """A second place gets each checkpoint too, and what it lacks because it is new or fell behind."""
    folder = tmp_path / "new" / "place"
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
    with EvidenceLog.open(path, checkpoints=Policy(folder=folder)):
        pass
    assert (_sizes(path), _sizes(path, folder)) == ([1, 1], [1])


def test_another_logs_checkpoints(path: Path, tmp_path: Path, run_record: Make, key: SigningKey) -> None:
    """A forged last checkpoint, whether by its signature or its log, is refused."""
    with EvidenceLog.open(path, checkpoints=Policy(key=key)) as log:
        log.append([run_record(1)])
    good = checkpoints_path(path).read_text()
    checkpoints_path(path).write_text(good.replace("replay-evidence/", "replay-evidence/0"))
    with pytest.raises(EvidenceDamaged, match="not this log's"):
        EvidenceLog.open(path)
    checkpoints_path(path).write_text(good.replace("time 20", "time 19"))
    with pytest.raises(EvidenceDamaged, match="signature does not hold"):
        EvidenceLog.open(path, checkpoints=Policy(key=key))
    checkpoints_path(path).write_text(good.replace("head", "tail"))
    with pytest.raises(EvidenceDamaged, match="at byte 0: expected a checkpoint"):
        EvidenceLog.open(path)
    checkpoints_path(path).write_text(good)
    EvidenceLog.open(path, checkpoints=Policy(key=key)).close()


def test_half_a_checkpoint_is_cut(path: Path, run_record: Make) -> None:
    """Half a line, which a crash leaves at the end, is no checkpoint and gives way to the next one."""
    with EvidenceLog.open(path) as log:
        log.append([run_record(1)])
        whole = checkpoints_path(path)
        log.append([run_record(2)])
    line = whole.read_bytes()
    for cut in (0, 1, len(line) // 2, len(line) - 1):
        whole.write_bytes(line[:cut])
        EvidenceLog.open(path).close()
        assert _sizes(path) == [2]
    whole.write_bytes(line + line[:20])
    with EvidenceLog.open(path) as log:
        log.append([run_record(3)])
    assert _sizes(path) == [2, 3]


def test_a_checkpoint_that_fails_stops_the_writer(path: Path, run_record: Make, kernel: Any) -> None:
    """A disk that refuses a checkpoint stops the writer; the records are in the log, and come back as known."""

    def fault(name: str, number: int, call: Callable[[], Any], _: bytes) -> Any:
        if name == "write" and number > armed:
            raise OSError(28, "No space left on device")
        return call()

    armed = 10**9
    calls = kernel(fault)
    log = EvidenceLog.open(path, checkpoints=Policy(records=1), testing_only_seam=calls.seam)
    log.append([run_record(1)])
    armed = len(calls.calls) + 1
    with pytest.raises(AppendFailed, match="checkpoints"):
        log.append([run_record(2)])
    with pytest.raises(AppendFailed):
        log.append([run_record(2)])
    log.close()
    with EvidenceLog.open(path, checkpoints=Policy(records=1)) as log:
        assert [placed.written for placed in log.append([run_record(2), run_record(3)])] == [False, True]
    assert _sizes(path) == [1, 3]


def test_keys(tmp_path: Path) -> None:
    """A key is made for its owner alone, never written over, and its public half is read from line, file or PEM."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  as in the code it checks

    file = tmp_path / "key.pem"
    made = SigningKey.generate(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(InputError, match="exists already"):
        SigningKey.generate(file)
    loaded = SigningKey.load(file)
    assert loaded.public.line == made.public.line
    key = serialization.load_pem_private_key(file.read_bytes(), None)
    (tmp_path / "public.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "line").write_text(made.public.line + "\n")
    for given in (made.public.line, str(tmp_path / "line"), str(tmp_path / "public.pem")):
        assert PublicKey.read(given).raw == made.public.raw
    damaged = made.public.line[:-5] + ("A" if made.public.line[-5] != "A" else "B") + made.public.line[-4:]
    for given in ("nowhere", str(file), damaged, made.public.line + "x", "replay-evidence+", "replay-evidence+a+b"):
        with pytest.raises(InputError, match="public key") as raised:
            PublicKey.read(given)
        assert raised.value.hint
    for bad in (tmp_path / "missing.pem", tmp_path / "line", tmp_path / "public.pem"):
        with pytest.raises(ConfigurationError) as refused:
            SigningKey.load(bad)
        assert "keygen" in refused.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n\n", "\n"),
        ("head ", "head  "),
        ("5\n", "05\n"),
        ("=\n", "\n"),
        ("time ", "when "),
        ("— r", "- r"),
        ("— r", "— r r"),
    ],
)
def test_what_is_no_note(path: Path, run_record: Make, key: SigningKey, old: str, new: str) -> None:
    """A note that is put together otherwise is none."""
    with EvidenceLog.open(path, checkpoints=Policy(key=key)) as log:
        log.append([run_record(n) for n in range(5)])
    (noted,) = _noted(path)
    assert old in noted.note
    with pytest.raises(note.NotANoteError):
        note.read(noted.note.replace(old, new))
    line = json.dumps({"schema": "replay_checkpoint.v1", "note": noted.note}).encode() + b"\n"
    assert isinstance(decode_line(line, 0, 1), Noted)
    for bad in (b"{}\n", b"[]\n", b"\xff\n", line[:-1], line.replace(b"v1", b"v2"), b"[" * 50_000 + b"\n"):
        assert not isinstance(decode_line(bad, 0, 1), Noted)


def test_the_settings_say_how(tmp_path: Path, run_record: Make) -> None:
    """A log of the settings rotates, and is signed, as they say."""
    SigningKey.generate(tmp_path / "key.pem")
    settings = Settings(
        data_dir=tmp_path, evidence_segment_bytes=4096, checkpoint_records=2, evidence_key=tmp_path / "key.pem"
    )
    with EvidenceLog.of(settings) as log:
        for n in range(20):
            log.append([run_record(n, text="x" * 200)])
    assert _sizes(settings.evidence_log) == list(range(2, 21, 2))
    assert all(one.signatures for one in _noted(settings.evidence_log))
    assert (settings.evidence_log.parent / "replay_runs.segments" / "0000000001-1.jsonl").exists()


def test_the_settings_name_a_second_place(tmp_path: Path, run_record: Make) -> None:
    """What a writer signs lies in both places, the same to the byte."""
    settings = Settings(data_dir=tmp_path / "data", checkpoint_dir=tmp_path / "elsewhere")
    with EvidenceLog.of(settings) as log:
        log.append([run_record(0)])
    copies = [
        checkpoints_path(settings.evidence_log, folder).read_bytes() for folder in (None, settings.checkpoint_dir)
    ]
    assert copies[0] == copies[1] != b""
