"""Records on their way into a segment: written to a file as they come, so that a million of them never lie in memory.

What stays in memory of each is its id, a hash of it, the digest of its line and where the line ends: about 150 bytes.
The first few stay whole, so that a small change does not read again what it has just written.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replay.contracts import Record
from replay.corpus import store
from replay.corpus.index import Entry, hash_tokens
from replay.errors import CorpusError

_KEPT_WHOLE = 4096


class Spool:
    """Records of one group, in the order in which they came. Filled by `add`, closed, settled once, then read.

    Args:
        path: A file of its own, which nobody else knows and whose folder is swept.

    Attributes:
        kept: After `settle`, which records are to be written; the caller may take more away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=1 << 20)
        self._first: list[Record] = []
        self._ids: list[str] = []
        self._digests = bytearray()
        self._ends = array("q", [0])
        self._content: mmap.mmap | bytes = b""
        self.id_hashes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self.kept: NDArray[np.bool_] = np.empty(0, np.bool_)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def digests(self) -> NDArray[np.uint64]:
        """The digest of each record, as two words."""
        return np.frombuffer(self._digests, "<u8").reshape(-1, 2)

    def add(self, record: Record) -> None:
        """Take a record."""
        line = store.encode(record)
        self._file.write(line)
        if len(self._first) < _KEPT_WHOLE:
            self._first.append(record)
        self._ids.append(record.record_id)
        self._digests += store.digest(line)
        self._ends.append(self._ends[-1] + len(line))

    def close(self) -> None:
        """End the filling."""
        self._file.close()

    def settle(self, *, first_of_an_id: bool) -> None:
        """Keep one record of each id.

        Args:
            first_of_an_id: Of different records with one id keep the first: for sources, whose ids are made of what
                they say, so that two of them differ only in where they were found. Else they are refused.

        Raises:
            CorpusError: Two different records have the same id.
        """
        if not self._ids:
            return
        self._content = store.map_file(self._path, self._ends[-1])
        self.id_hashes = hash_tokens(self._ids)
        self.kept = np.ones(len(self._ids), np.bool_)
        order = np.argsort(self.id_hashes, kind="stable")
        again = np.flatnonzero(self.id_hashes[order[1:]] == self.id_hashes[order[:-1]]) + 1
        for place in again.tolist():
            one, other = int(order[place - 1]), int(order[place])
            if not first_of_an_id and bool((self.digests[one] != self.digests[other]).any()):
                raise two_of(self._ids[other])
            self.kept[other] = False

    def record_id(self, position: int) -> str:
        """The id of a record."""
        return self._ids[position]

    def line(self, position: int) -> bytes:
        """The bytes of a record, its line end included."""
        return self._content[self._ends[position] : self._ends[position + 1]]

    def entries(self) -> Iterator[Entry]:
        """The kept records as the index takes them."""
        digests = bytes(self._digests)
        for position in np.flatnonzero(self.kept).tolist():
            whole = position < len(self._first)
            record = self._first[position] if whole else store.decode(self.line(position), self._path)
            yield Entry(
                record.record_id,
                store.searched_text(record),
                record.kind.value,
                record.tags,
                digests[store.DIGEST_BYTES * position : store.DIGEST_BYTES * (position + 1)],
            )


def two_of(record_id: str) -> CorpusError:
    """The error for an id that names two records; which of them was meant cannot be guessed."""
    return CorpusError(f"two different records have the id {record_id!r}", hint="Give one of them another id.")
