"""An opened segment: mapped arrays, and the lookups that searching and the store need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index import blobs
from replay.corpus.index.built import MAGIC
from replay.corpus.index.hashing import hash_tokens


@dataclass(frozen=True)
class Filter:
    """Which records may be found.

    Attributes:
        kinds: Of one of these kinds; empty: of any.
        tags: With at least one of these tags; empty: whatever its tags.
    """

    kinds: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()


class Segment:
    """The index of immutable records, mapped into memory and shared with every process that opens the file.

    Attributes:
        path: The file.
        vocabulary: (v,) u64, sorted hashes of the tokens; a token's id is its place here.
        pointers: (v + 1,), where each token's postings start in `postings`; common tokens have none.
        postings: (p,) i32, ordinals, ascending for each token.
        common: (up to 64,) i32, ids of the commonest tokens: bit i of a record's bitmap is the i-th.
        common_frequencies: as `common`, u32.
        bitmaps: (n,) u64, the common tokens of each record.
        lengths: (n,) u32, distinct tokens of each record; ascending.
        kinds: (n,) u8, codes into `kind_names`.
        digests: (n, 2) u64, the 16-byte digest of each stored record.
        id_hashes: (n,) u64.
        offsets: (n + 1,) i64, where each record starts in the record file, and where the last one ends.
        tags, tag_pointers, tag_postings: postings of the tags, as those of tokens.
        bits: The bit of each common token, by its id.
        width: Records in a block: what search looks at or leaves as one.
        first_lengths, last_lengths: i64, the length of the first and the last record of each block.
    """

    def __init__(self, path: Path, found: blobs.Blobs) -> None:
        self.path = path
        self.kind_names = tuple(found.about["kinds"])
        arrays = found.arrays
        self.vocabulary: NDArray[np.uint64] = arrays["vocabulary"]
        self.pointers: NDArray[Any] = arrays["pointers"]
        self.postings: NDArray[np.int32] = arrays["postings"]
        self.common: NDArray[np.int32] = arrays["common"]
        self.common_frequencies: NDArray[np.uint32] = arrays["common_frequencies"]
        self.bitmaps: NDArray[np.uint64] = arrays["bitmaps"]
        self.lengths: NDArray[np.uint32] = arrays["lengths"]
        self.kinds: NDArray[np.uint8] = arrays["kinds"]
        self.digests: NDArray[np.uint64] = arrays["digests"]
        self.id_hashes: NDArray[np.uint64] = arrays["id_hashes"]
        self.id_order: NDArray[np.int32] = arrays["id_order"]
        self.offsets: NDArray[np.int64] = arrays["offsets"]
        self.tags: NDArray[np.uint64] = arrays["tags"]
        self.tag_pointers: NDArray[np.int64] = arrays["tag_pointers"]
        self.tag_postings: NDArray[np.int32] = arrays["tag_postings"]
        self.bits = {token: bit for bit, token in enumerate(self.common.tolist())}
        # Blocks of about the square root of all: few blocks to look at, and few records in each.
        size = len(self.lengths)
        self.width = 1 << max(4, size.bit_length() // 2)
        starts = np.arange(0, size, self.width)
        self.first_lengths = self.lengths[starts].astype(np.int64)
        self.last_lengths = self.lengths[np.minimum(starts + self.width, size) - 1].astype(np.int64)

    @classmethod
    def open(cls, path: Path, *, sha256: str) -> Segment:
        """Map a segment and verify every byte of it.

        Args:
            path: The file.
            sha256: Hex digest of the whole file, as the manifest says.

        Raises:
            CorpusError: The file is missing, cut or damaged, or another version of Replay wrote it.
        """
        return blobs.open_as(path, MAGIC, lambda found: cls(path, found), sha256=sha256)

    def __len__(self) -> int:
        return len(self.lengths)

    def token_ids(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The id of each token by its hash, -1 where no record holds it."""
        return _places(self.vocabulary, hashes)

    def frequency(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of records that hold each token, by its hash."""
        return self.frequencies(self.token_ids(hashes))

    def frequencies(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of records that hold each token, by its id; 0 for -1."""
        known = np.maximum(ids, 0)
        found = np.zeros(len(ids), dtype=np.int64)
        if len(self.vocabulary):
            found = self.pointers[known + 1].astype(np.int64) - self.pointers[known].astype(np.int64)
            found[ids < 0] = 0
            for place, token in enumerate(ids.tolist()):
                if (bit := self.bits.get(token)) is not None:
                    found[place] = self.common_frequencies[bit]
        return found

    def find(self, id_hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The ordinal of each record by the hash of its id, -1 where there is none. Compare the id that is stored."""
        if not len(self):
            return np.full(len(id_hashes), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.id_hashes, id_hashes, sorter=self.id_order), len(self) - 1)
        ordinals = self.id_order[at].astype(np.int64)
        return np.where(self.id_hashes[ordinals] == id_hashes, ordinals, -1)

    def allowed(self, only: Filter | None) -> NDArray[np.bool_] | None:
        """Whether each record may be found, by ordinal; None where all may."""
        if only is None or not (only.kinds or only.tags):
            return None
        allowed = np.ones(len(self), dtype=np.bool_)
        if only.kinds:
            wanted = np.array([name in only.kinds for name in self.kind_names], dtype=np.bool_)
            allowed = wanted[self.kinds] if len(wanted) else allowed
        if only.tags:
            tagged = np.zeros(len(self), dtype=np.bool_)
            for tag in _places(self.tags, hash_tokens(sorted(only.tags))):
                if tag >= 0:
                    tagged[self.tag_postings[self.tag_pointers[tag] : self.tag_pointers[tag + 1]]] = True
            allowed &= tagged
        return allowed


def places(grid: NDArray[np.bool_], blocks: NDArray[Any]) -> NDArray[np.intp]:
    """The ordinals at which a grid is true that has one row for each of some blocks."""
    found = grid.reshape(-1).nonzero()[0]
    # The width is a power of two, and numpy divides slowly.
    bits = grid.shape[1].bit_length() - 1
    ordinals: NDArray[np.intp] = (blocks[found >> bits] << bits) + (found & grid.shape[1] - 1)
    return ordinals


def _places(found: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The place of each wanted value among sorted ones, -1 where it is not."""
    if not len(found):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(found.searchsorted(wanted), len(found) - 1)
    return np.where(found[places] == wanted, places, -1)
