"""Holding a pass over the log against the checkpoints of a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from replay.errors import InputError

from . import note
from .checkpoints import Noted, decode_line, read_lines
from .fault import Fault
from .format import Flaw, Head
from .keys import PublicKey
from .merkle import Tree


@dataclass
class Tally:
    """What was found of checkpoints: how many, how many with a signature that counts, and how far each kind reaches.

    A signature counts where it holds under the key that was given; without a key, where there is one at all.
    """

    checkpoints: int = 0
    signed: int = 0
    covered: int = 0
    signed_to: int = 0

    def count(self, size: int, *, signed: bool) -> None:
        """One more."""
        self.checkpoints += 1
        self.covered = max(self.covered, size)
        if signed:
            self.signed += 1
            self.signed_to = max(self.signed_to, size)


class NotesCheck:
    """One file of checkpoints, read as far as it went when this was made.

    Args:
        path: The file.
        key: Whose signatures must hold; None looks at none.
        tally: Counts what is found.
    """

    def __init__(self, path: Path, key: PublicKey | None, tally: Tally) -> None:
        self._path = path
        self._key = key
        self._tally = tally
        self._origin = ""
        self._size = path.stat().st_size if path.exists() else 0
        self._lines = read_lines(path)
        self._number = 0
        self._next: Noted | None = None
        self._fault: Fault | None = None
        self._advance(0)

    def at(self, head: Head, tree: Tree) -> Fault | None:
        """Compare with the checkpoints that were taken here, where the log's first record gave it this name."""
        if head.seq == 1:
            self._origin = note.origin(head.hash)
        while self._fault is None and self._next is not None and self._next.checkpoint.size <= head.seq:
            stands = self._next
            self._fault = self._compared(stands, head, tree)
            if self._fault is None:
                self._advance(stands.checkpoint.size)
        return self._fault

    def end(self, head: Head) -> Fault | None:
        """What the log should have had, and has not."""
        if self._fault is None and self._next is not None:
            stands = self._next.checkpoint
            self._fault = self._wrong(
                self._next, str(stands.size), f"a checkpoint that the log reaches: it has {head.seq} records only"
            )
        return self._fault

    def _compared(self, noted: Noted, head: Head, tree: Tree) -> Fault | None:
        stands = noted.checkpoint
        if stands.origin != self._origin:
            return self._wrong(noted, stands.origin, f"origin {self._origin}, after the log's first record")
        if stands.head != head.hash:
            return self._wrong(noted, stands.head, f"head {head.hash}, which the log has as record {head.seq}")
        if stands.root != tree.root():
            return self._wrong(noted, stands.root_base64, f"the root over the log's first {head.seq} records")
        if (stands.at, stands.at + stands.length) != (head.last, head.end):
            return self._wrong(noted, "line ", f"line {head.last} {head.end - head.last}")
        signed = bool(noted.signatures)
        if self._key is not None:
            holds = note.signed_by(stands, noted.signatures, self._key)
            if holds is False:
                return self._wrong(noted, "— ", "a signature that holds")
            signed = holds is True
        self._tally.count(stands.size, signed=signed)
        return None

    def _advance(self, size: int) -> None:
        """Read the next line; a last one without its end was not there yet."""
        self._next = None
        for offset, data in self._lines:
            self._number += 1
            if offset >= self._size or not data.endswith(b"\n"):
                return
            noted = decode_line(data, offset, self._number)
            if isinstance(noted, Flaw):
                self._fault = Fault(str(self._path), offset + noted.position, self._number, noted.expected)
            elif noted.checkpoint.size < size:
                self._fault = self._wrong(noted, str(noted.checkpoint.size), f"at least {size} records, as before")
            else:
                self._next = noted
            return

    def _wrong(self, noted: Noted, what: str, expected: str) -> Fault:
        with self._path.open("rb") as file:
            file.seek(noted.offset)
            place = max(file.readline().find(what.encode()), 0)
        return Fault(str(self._path), noted.offset + place, noted.line, expected)


class Given(NotesCheck):
    """A file that somebody kept: one checkpoint, as a note or as a line of a checkpoint file; of several the last.

    Raises:
        InputError: It holds none.
    """

    def __init__(self, path: Path, key: PublicKey | None) -> None:
        self.noted = _given(path)
        super().__init__(path, key, Tally())

    def _advance(self, size: int) -> None:
        self._next = self.noted if size == 0 else None


def _given(path: Path) -> Noted:
    hint = "Give a note, or a copy of a line of the log's checkpoints file."
    try:
        data = path.read_bytes()
        text = data.decode()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint=hint) from error
    try:
        return Noted(0, 1, text, *note.read(text))
    except note.NotANoteError:
        pass
    found: list[Noted] = [noted for noted in _lines(data) if isinstance(noted, Noted)]
    if not found:
        raise InputError(f"{path} holds no checkpoint", hint=hint)
    return found[-1]


def _lines(data: bytes) -> Iterator[Noted | Flaw]:
    offset = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        yield decode_line(line.rstrip(b"\n") + b"\n", offset, number)
        offset += len(line)
