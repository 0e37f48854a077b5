"""Records on their way into a segment: written to a file as they come, so that a million of them never lie in memory.

What stays in memory of each is its id, a hash of it, the digest of its line and where the line ends: about 150 bytes.
The first few stay whole, so that a small change does not read again what it has just written.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from replay.contracts import Record, RecordKind
from replay.corpus import sharing, store
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
        if len(self._first) < _KEPT_WHOLE:
            self._first.append(record)
        self._write(self._file, record)

    def _write(self, file: BinaryIO, record: Record) -> None:
        line = store.encode(record)
        file.write(line)
        self._ids.append(record.record_id)
        self._digests += store.digest(line)
        self._ends.append(self._ends[-1] + len(line))

    def close(self) -> None:
        """End the filling."""
        self._file.close()

    def settle(self) -> None:
        """Keep one record of each id: of a passage that several sources share the one that names them all.

        Raises:
            CorpusError: Two different records have the same id.
        """
        if not self._ids:
            return
        self._content = store.map_file(self._path, self._ends[-1])
        self.id_hashes = hash_tokens(self._ids)
        self.kept = np.ones(len(self._ids), np.bool_)
        order = np.argsort(self.id_hashes, kind="stable")
        hashes = self.id_hashes[order]
        again = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
        if not len(again):
            return
        self.kept[order[again]] = False
        differs = (self.digests[order[again]] != self.digests[order[again - 1]]).any(axis=1)
        several = np.unique(hashes[again[differs]])
        runs = zip(np.searchsorted(hashes, several), np.searchsorted(hashes, several, side="right"), strict=True)
        self.amend(self._joined(order[first:end].tolist()) for first, end in runs)

    def _joined(self, positions: list[int]) -> Record:
        """The passage that these records with one id all are.

        Raises:
            CorpusError: They are not the same passage.
        """
        first, *others = map(self.record, positions)
        if first.kind is not RecordKind.SOURCE or not all(sharing.is_same(first, other) for other in others):
            raise two_of(first.record_id)
        return sharing.with_origins(first, frozenset().union(*map(sharing.origins_of, (first, *others))))

    def amend(self, records: Iterable[Record]) -> None:
        """Take records that come after `settle`: each takes the place of the one of its id."""
        before = len(self)
        with self._path.open("ab", buffering=1 << 20) as file:
            for record in records:
                self._write(file, record)
        if len(self) == before:
            return
        self._content = store.map_file(self._path, self._ends[-1])
        hashes = hash_tokens(self._ids[before:])
        self.kept = np.concatenate([self.kept & ~np.isin(self.id_hashes, hashes), np.ones(len(hashes), np.bool_)])
        self.id_hashes = np.concatenate([self.id_hashes, hashes])

    def record_id(self, position: int) -> str:
        """The id of a record."""
        return self._ids[position]

    def record(self, position: int) -> Record:
        """A record."""
        return self._first[position] if position < len(self._first) else store.decode(self.line(position), self._path)

    def line(self, position: int) -> bytes:
        """The bytes of a record, its line end included."""
        return self._content[self._ends[position] : self._ends[position + 1]]

    def entries(self) -> Iterator[Entry]:
        """The kept records as the index takes them."""
        digests = bytes(self._digests)
        for position in np.flatnonzero(self.kept).tolist():
            record = self.record(position)
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
