from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from evidence.checkpoints import Policy, checkpoints_path
from evidence.index import index_path
from evidence.keys import SigningKey
from evidence.log import EvidenceLog
from evidence.note import NotANoteError, read
from evidence.proof import Included, Proof, check, prove
from replay.errors import EvidenceError

Make = Callable[..., dict[str, Any]]
RECORDS = 600  # two tiles and a rest


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    """A signing key."""
    return SigningKey.generate(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def log(path: Path, run_record: Make, key: SigningKey) -> Path:
    """A log in several segments whose only checkpoint is the one at its end."""
    with EvidenceLog.open(
        path, segment_bytes=50_000, checkpoints=Policy(records=10**6, interval_s=1e9, key=key)
    ) as log:
        for start in range(0, RECORDS, 50):
            log.append([run_record(n) for n in range(start, start + 50)])
    return path


@pytest.mark.parametrize("indexed", [True, False])
def test_any_record_can_be_proved(log: Path, key: SigningKey, *, indexed: bool) -> None:
    """A record's proof holds without the log, has its bytes, and is a dozen hashes long."""
    if not indexed:
        index_path(log).unlink()
    seqs = [1, 2, 255, 256, 257, 513, RECORDS]
    proof = Proof.model_validate_json(json.dumps(prove(log, seqs).wire()))
    checked = check(proof, key.public)
    assert checked.signed is True
    assert checked.checkpoint.size == RECORDS
    assert [line.chain.seq for line in checked.lines] == seqs
    assert [line.record["id"] for line in checked.lines] == [f"att_{seq - 1}" for seq in seqs]
    assert all(0 < len(one.path) <= 10 for one in proof.records)
    assert check(proof).signed is None


def test_an_index_that_leads_elsewhere_gives_no_proof(log: Path) -> None:
    """A wrong hash in the index is noticed before the proof is handed out; the log is asked instead."""
    with closing(sqlite3.connect(index_path(log))) as db, db:
        db.execute("UPDATE tiles SET hash = zeroblob(32)")
    assert len(check(prove(log, [RECORDS])).lines) == 1


def test_a_proof_reaches_to_a_checkpoint(log: Path, run_record: Make) -> None:
    """A record that no checkpoint covers yet cannot be proved; the hint says when it can."""
    kept = checkpoints_path(log).read_bytes()
    with EvidenceLog.open(log) as writer:
        writer.append([run_record(RECORDS)])
    later = checkpoints_path(log).read_bytes()
    checkpoints_path(log).write_bytes(kept)
    with pytest.raises(EvidenceError, match=f"the last one covers {RECORDS}") as raised:
        prove(log, [RECORDS + 1])
    assert raised.value.hint
    assert len(check(prove(log, [RECORDS])).lines) == 1
    checkpoints_path(log).write_bytes(later)
    assert check(prove(log, [RECORDS + 1])).checkpoint.size == RECORDS + 1
    checkpoints_path(log).unlink()
    with pytest.raises(EvidenceError, match="there is none"):
        prove(log, [1])


def _record(**changed: Any) -> Callable[[Proof], Proof]:
    return lambda proof: proof.model_copy(update={"records": (proof.records[0].model_copy(update=changed),)})


def _with(change: Callable[[Included], dict[str, Any]]) -> Callable[[Proof], Proof]:
    return lambda proof: _record(**change(proof.records[0]))(proof)


@pytest.mark.parametrize(
    ("change", "about"),
    [
        (_with(lambda one: {"line": one.line.replace("accepted", "rejected")}), "at byte"),
        (_with(lambda one: {"line": one.line[:-1]}), "a line end"),
        (_record(index=5), "says of itself that it is number 10"),
        (_with(lambda one: {"path": one.path[:-1]}), "does not lead"),
        (_with(lambda one: {"path": one.path[::-1]}), "does not lead"),
        (_record(path=("zz",)), "not in hex"),
        (lambda proof: proof.model_copy(update={"checkpoint": proof.checkpoint.replace("600\n", "599\n")}), "signed"),
        (lambda proof: proof.model_copy(update={"checkpoint": proof.checkpoint.partition("—")[0]}), "not signed"),
        (lambda proof: proof.model_copy(update={"checkpoint": "nothing"}), "is not a checkpoint"),
    ],
)
def test_a_proof_that_was_changed(log: Path, key: SigningKey, change: Callable[[Proof], Proof], about: str) -> None:
    """Whatever is changed in a proof, checking it says where it breaks."""
    with pytest.raises(EvidenceError, match=about) as raised:
        check(change(prove(log, [10])), key.public)
    assert raised.value.hint
    assert raised.value.exit_code == 4


def test_a_checkpoint_of_endless_digits_is_no_checkpoint() -> None:
    """A size that no log can have is refused by its form, before anybody counts with it."""
    with pytest.raises(NotANoteError):
        read(f"replay\n{'9' * 5000}\n{'A' * 43}=\nhead sha256:{'0' * 64}\nline 0 1\ntime now\n\n")
