"""A proof that records are in a log, for somebody who has not got the log (RFC 6962 inclusion proofs).

Who checks it needs the document, and the public key or a checkpoint of his own. What it proves: these very bytes were
in the log when the checkpoint was made.
"""

from __future__ import annotations

import binascii
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from replay.contracts import Message
from replay.errors import EvidenceError

from . import merkle, note
from .checkpoints import checkpoints_path, last
from .format import Flaw, Line, decode, parse
from .index import indexed_tree, open_read_only
from .keys import PublicKey
from .merkle import TILE
from .note import Checkpoint
from .scan import damaged, pieces, read_at


class Included(Message):
    """A record and its way up the tree."""

    line: str = Field(description="The record's exact bytes in the log, with its chain and line end, as UTF-8.")
    index: int = Field(ge=0, description="Its place among the tree's leaves, from 0: one less than its seq.")
    path: tuple[str, ...] = Field(description="The hashes beside the way from the leaf to the root, in hex.")


class Proof(Message):
    """What a third party needs."""

    schema_: Literal["replay_proof.v1"] = Field("replay_proof.v1", alias="schema")
    checkpoint: str = Field(description="The signed note that names size and root of the tree.")
    records: tuple[Included, ...] = Field(min_length=1)

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Checked:
    """A proof that holds. `signed` is None where no key was asked about."""

    lines: tuple[Line, ...]
    checkpoint: Checkpoint
    signed: bool | None


def prove(log: Path, seqs: Sequence[int]) -> Proof:
    """Prove records to the last checkpoint, with what the index keeps, or else by a pass over the log.

    Args:
        log: The log.
        seqs: The records, by their numbers.

    Raises:
        EvidenceError: No checkpoint covers them yet.
        EvidenceDamaged: The log or its checkpoints cannot be read.
    """
    log = log.absolute()
    noted = last(checkpoints_path(log))
    if noted is None or noted.checkpoint.size < max(seqs):
        reach = f"the last one covers {noted.checkpoint.size} records" if noted else "there is none"
        raise EvidenceError(
            f"no checkpoint covers record {max(seqs)} yet: {reach}",
            hint="A running writer makes the next one within REPLAY_CHECKPOINT_INTERVAL_S, a stopping one at its end.",
        )
    size = noted.checkpoint.size
    db = open_read_only(log)
    if db is None:
        return _proved(_proof(noted.note, size, seqs, _Scanned(log)))
    with closing(db):
        if indexed_tree(db).size >= size:
            with suppress(EvidenceError):
                return _proved(_proof(noted.note, size, seqs, _Indexed(log, db)))
        # The index does not reach so far, or what it keeps leads elsewhere: the log itself is asked.
        return _proved(_proof(noted.note, size, seqs, _Scanned(log)))


def _proved(proof: Proof) -> Proof:
    """A proof that holds: nobody is handed one that fails where it arrives."""
    check(proof)
    return proof


def check(proof: Proof, key: PublicKey | None = None) -> Checked:
    """Check a proof, without the log.

    Args:
        proof: The document.
        key: Who must have signed the checkpoint; None looks at no signature.

    Raises:
        EvidenceError: It does not hold; says where it breaks.
    """
    try:
        checkpoint, signatures = note.read(proof.checkpoint)
    except note.NotANoteError as error:
        raise _broken(f"its checkpoint is not {error}") from error
    if key is not None and note.signed_by(checkpoint, signatures, key) is not True:
        raise _broken(f"its checkpoint is not signed with {key.line}")
    lines = tuple(_checked(included, checkpoint) for included in proof.records)
    return Checked(lines, checkpoint, None if key is None else True)


def _checked(included: Included, checkpoint: Checkpoint) -> Line:
    line = decode(included.line.encode())
    name = f"record {included.index + 1}"
    if isinstance(line, Flaw):
        raise _broken(f"at byte {line.position} of {name}: expected {line.expected}")
    if line.chain.seq != included.index + 1:
        raise _broken(f"{name} says of itself that it is number {line.chain.seq}")
    try:
        path = [binascii.unhexlify(hashed) for hashed in included.path]
    except ValueError as error:
        raise _broken(f"the path of {name} is not in hex") from error
    if merkle.root_by_path(included.index, checkpoint.size, merkle.leaf(line.chain.hash), path) != checkpoint.root:
        raise _broken(f"the path of {name} does not lead to the checkpoint's root")
    return line


def _proof(text: str, size: int, seqs: Sequence[int], hashes: _Indexed | _Scanned) -> Proof:
    def node(start: int, count: int) -> bytes:
        return merkle.subtree(start, count, hashes.tile, hashes.leaves)

    records = tuple(
        Included(
            line=hashes.line(seq).decode(),
            index=seq - 1,
            path=tuple(hashed.hex() for hashed in merkle.path(seq - 1, size, node)),
        )
        for seq in seqs
    )
    return Proof(checkpoint=text, records=records)


class _Indexed:
    """Hashes from the tiles of the index, and from the few lines beside a record."""

    def __init__(self, log: Path, db: sqlite3.Connection) -> None:
        self._log = log
        self._db = db

    def tile(self, number: int) -> bytes:
        return bytes(self._db.execute("SELECT hash FROM tiles WHERE number = ?", (number,)).fetchone()[0])

    def leaves(self, start: int, count: int) -> list[bytes]:
        return [_leaf(self._log, at, seq, self.line(seq)) for at, seq in self._places(start + 1, count)]

    def line(self, seq: int) -> bytes:
        ((at, length),) = self._db.execute("SELECT offset, length FROM records WHERE seq = ?", (seq,)).fetchall()
        return read_at(self._log, at, length)

    def _places(self, first: int, count: int) -> list[tuple[int, int]]:
        sql = "SELECT offset, seq FROM records WHERE seq >= ? AND seq < ? ORDER BY seq"
        return self._db.execute(sql, (first, first + count)).fetchall()


class _Scanned:
    """Hashes from a pass over the whole log, where there is no index."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._places: list[tuple[int, int]] = []
        self._leaves: list[bytes] = []
        for seq, (at, piece) in enumerate(pieces(log), start=1):
            if not piece.endswith(b"\n"):
                break
            self._places.append((at, len(piece)))
            self._leaves.append(_leaf(log, at, seq, piece))

    def tile(self, number: int) -> bytes:
        tree = merkle.Tree()
        for node in self._leaves[number * TILE : (number + 1) * TILE]:
            tree.grow(node)
        return tree.root()

    def leaves(self, start: int, count: int) -> list[bytes]:
        return self._leaves[start : start + count]

    def line(self, seq: int) -> bytes:
        return read_at(self._log, *self._places[seq - 1])


def _leaf(log: Path, position: int, seq: int, data: bytes) -> bytes:
    parsed = parse(data)
    if isinstance(parsed, Flaw):
        raise damaged(log, position, seq, parsed)
    return merkle.leaf(parsed[1].hash)


def _broken(what: str) -> EvidenceError:
    return EvidenceError(f"the proof does not hold: {what}", hint="Ask for it again, from who has the log.")
