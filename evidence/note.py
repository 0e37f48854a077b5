"""A checkpoint as a signed note: what the log was, in words that anybody can check (C2SP tlog-checkpoint, signed-note).

::

    replay-evidence/8d1f0c7a2b934e55          which log: from the hash of its first record
    1234                                      how many records
    9yJ3…=                                    root of the Merkle tree over them, base64
    head sha256:…                             chain hash of the last of them
    line 8812345 27511                        where its line begins in the log, and its length
    time 2026-11-24T20:23:46.123456+00:00     by the clock of the writer, which proves nothing

    — replay-evidence 4Fk1…                   key id and signature, base64; absent where no key was configured

The text up to the empty line is what is signed. Root and head say the same twice: the head is checked by a chain of
lines, the root by a proof of a few hashes.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from .format import Head
from .keys import NAME, PublicKey, SigningKey
from .merkle import Tree

_TEXT = re.compile(
    r"(?P<origin>[!-~]+)\n(?P<size>[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"head (?P<head>sha256:[0-9a-f]{64})\nline (?P<at>0|[1-9][0-9]{0,17}) (?P<length>[1-9][0-9]{0,17})\n"
    r"time (?P<time>[!-~]+)\n"
)
_SIGNATURE = re.compile(r"— (?P<name>[^ \n+]+) (?P<encoded>[A-Za-z0-9+/=]+)\n")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log after `size` records. `root` is 32 bytes; `at` and `length` place the last line."""

    origin: str
    size: int
    root: bytes
    head: str
    at: int
    length: int
    time: str

    @property
    def root_base64(self) -> str:
        """The root as the note has it."""
        return base64.b64encode(self.root).decode()

    @property
    def text(self) -> str:
        """What is signed."""
        return (
            f"{self.origin}\n{self.size}\n{self.root_base64}\n"
            f"head {self.head}\nline {self.at} {self.length}\ntime {self.time}\n"
        )

    def note(self, key: SigningKey | None) -> str:
        """The note, signed where there is a key."""
        if key is None:
            return self.text + "\n"
        signed = base64.b64encode(key.public.id + key.sign(self.text.encode())).decode()
        return f"{self.text}\n— {NAME} {signed}\n"


class NotANoteError(ValueError):
    """The text is no checkpoint; says what is wrong with it."""


def take(origin: str, head: Head, tree: Tree) -> Checkpoint:
    """The checkpoint of a log that ends at `head`."""
    now = datetime.now(UTC).isoformat()
    return Checkpoint(origin, head.seq, tree.root(), head.hash, head.last, head.end - head.last, now)


def origin(first_hash: str) -> str:
    """The name of the log whose first record has this chain hash."""
    return f"{NAME}/{first_hash[7:23]}"


def read(note: str) -> tuple[Checkpoint, list[bytes]]:
    """A note's checkpoint, and its signatures: four bytes of key id and 64 of signature each.

    Raises:
        NotANoteError: It is no note of a checkpoint.
    """
    text, empty, rest = note.partition("\n\n")
    match = _TEXT.fullmatch(text + "\n")
    if not empty or match is None:
        raise NotANoteError("a checkpoint: origin, size, root, head, line, time and an empty line")
    signatures = []
    for line in rest.splitlines(keepends=True):
        signature = _SIGNATURE.fullmatch(line)
        try:
            signed = base64.b64decode(signature["encoded"], validate=True) if signature else b""
        except binascii.Error:
            signed = b""
        if signature is None or len(signed) < 5:
            raise NotANoteError("signature lines after the empty line")
        if signature["name"] == NAME:
            signatures.append(signed)
    checkpoint = Checkpoint(
        match["origin"],
        int(match["size"]),
        base64.b64decode(match["root"]),
        match["head"],
        int(match["at"]),
        int(match["length"]),
        match["time"],
    )
    return checkpoint, signatures


def signed_by(checkpoint: Checkpoint, signatures: list[bytes], key: PublicKey) -> bool | None:
    """Is there a signature by this key, and does it hold? None where there is none by it."""
    ours = [signed[4:] for signed in signatures if signed[:4] == key.id]
    if not ours:
        return None
    return all(key.holds(signature, checkpoint.text.encode()) for signature in ours)
