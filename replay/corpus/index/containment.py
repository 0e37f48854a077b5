"""The best records by idf-weighted containment, exactly, looking at few of them.

A record is ranked by the weight of the query's tokens that it holds, in integers. The search

1. sums, for each record, the weights of the query's tokens that have postings, which are the rarer and heavier ones;
2. takes the highest sum of each block of records: the k-th best of these, and of the full sums of records that have
   it, is a bound that the final k reach;
3. looks only at records that reach the bound with all of the query's common tokens added;
4. where common tokens alone could reach it, looks also at records that hold none of the rarer ones, as many common
   ones as the bound needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index.ranking import Pool, Scored
from replay.corpus.index.segment import Segment, places
from replay.corpus.index.terms import Part, Scratch, Wanted, parts

SMALL = 1 << 14
"""Records of a segment that is summed up in one pass, without bounds."""
CHUNK = 1 << 15
"""Records whose bitmaps are looked at in one go."""


def search(
    segments: Sequence[Segment], ids: Sequence[NDArray[np.int64]], weights: NDArray[np.int64], wanted: Wanted
) -> list[Scored]:
    """The best records of all segments.

    Args:
        segments: Of one group.
        ids: For each segment, the ids there of the query's distinct tokens, -1 where it has none.
        weights: Of these tokens.
        wanted: How many records, and which.
    """
    pool = Pool(wanted.k, by_length=True)
    for part in parts(segments, ids, wanted.only):
        _Scan(part, weights, pool, wanted.scratch).run()
    whole = int(weights.sum())
    return pool.best(wanted.record_id, lambda covered: covered / whole)


class _Scan:
    """One query over one segment.

    Attributes:
        bound: What the last of the best covers at least.
        common: Weight and bit of the query's common tokens, heaviest first.
        sums: For each record the weight of its tokens among the listed ones of the query; 0 for one that may not be
            found.
        grid: The same in blocks.
    """

    def __init__(self, part: Part, weights: NDArray[np.int64], pool: Pool, scratch: Scratch) -> None:
        self.segment = segment = part.segment
        self.number = part.number
        self.allowed = part.allowed
        self.pool = pool
        self.mask = part.terms.mask
        bits = zip(weights[part.terms.bits_at].tolist(), part.terms.bits, strict=True)
        self.common = sorted(bits, key=lambda one: (-one[0], one[1]))
        self.common_weight = sum(weight for weight, _ in self.common)
        self.bound = self._pool_bound()
        dtype = np.uint32 if int(weights.sum()) < 1 << 32 else np.uint64
        blocks = len(segment.first_lengths)
        self.sums = scratch.zeros(blocks * segment.width, dtype)
        if part.terms.listed:
            heavy = np.repeat(weights[part.terms.listed_at].astype(dtype), [len(one) for one in part.terms.listed])
            np.add.at(self.sums, part.terms.ordinals(), heavy)
            if part.allowed is not None:
                self.sums[: len(segment)] *= part.allowed
        self.grid = self.sums.reshape(blocks, segment.width)

    def run(self) -> None:
        """Add to the pool what may be among the best."""
        if len(self.segment) <= SMALL:
            self._everything()
            return
        highest = self.grid.max(axis=1).astype(np.int64)
        self._raise_bound(highest)
        # With the highest sums of blocks as a bound, there are at least k records to score in full.
        likely = np.flatnonzero(highest >= self.bound) if self.bound else np.arange(0)
        if len(likely) > self.pool.k:
            likely = likely[np.argpartition(highest[likely], -self.pool.k)[-self.pool.k :]]
        if self.bound:
            self._raise_bound(self._covered(places(self.grid[likely] >= self._limit(self.bound), likely)))
        least = max(1, self.bound - self.common_weight)
        blocks = np.flatnonzero(highest >= least)
        if len(blocks):
            ordinals = places(self.grid[blocks] >= self._limit(least), blocks)
            self._add(ordinals, self._covered(ordinals))
        if self.common:
            self._without_listed()

    def _everything(self) -> None:
        """Add records of a small segment, all in one pass."""
        covered = self.sums[: len(self.segment)].astype(np.int64)
        if self.common:
            found = self._common_sums(self.segment.bitmaps & self.mask)
            if self.allowed is not None:
                found *= self.allowed
            covered += found
        ordinals = np.flatnonzero(covered >= max(1, self.bound))
        self._add(ordinals, covered[ordinals])

    def _without_listed(self) -> None:
        """Add records that hold only common tokens, as far as these can reach the bound."""
        for start in range(0, len(self.segment), CHUNK):
            stop = min(start + CHUNK, len(self.segment))
            least = self._common_needed(start)
            if least > len(self.common):
                return
            found = self.segment.bitmaps[start:stop] & self.mask
            kept = np.bitwise_count(found) >= least
            kept &= self.sums[start:stop] == 0
            if self.allowed is not None:
                kept &= self.allowed[start:stop]
            chosen = np.flatnonzero(kept)
            self._add(chosen + start, self._common_sums(found[chosen]))

    def _common_needed(self, start: int) -> int:
        """How many common tokens a record from here on needs to be among the best with nothing else: at least one."""
        # Where enough records before this one have the bound, a tie with them is lost: they have no more tokens.
        better = sum(
            -rank >= self.bound and segment == self.number and ordinal < start
            for rank, _, segment, _, ordinal, _ in self.pool.entries
        )
        bound = self.bound + (better >= self.pool.k)
        reached = 0
        for count, (weight, _) in enumerate(self.common, 1):
            reached += weight
            if reached >= bound:
                return count
        return len(self.common) + 1

    def _add(self, ordinals: NDArray[np.intp], covered: NDArray[np.int64]) -> None:
        if self.bound:
            kept = np.flatnonzero(covered >= self.bound)
            ordinals, covered = ordinals[kept], covered[kept]
        if len(ordinals):
            self.pool.add(self.number, covered, self.segment.lengths[ordinals], ordinals, covered)
            self.bound = max(self.bound, self._pool_bound())

    def _covered(self, ordinals: NDArray[np.intp]) -> NDArray[np.int64]:
        """The weight of the query's tokens that records hold."""
        covered = self.sums[ordinals].astype(np.int64)
        if self.common:
            covered += self._common_sums(self.segment.bitmaps[ordinals] & self.mask)
        return covered

    def _common_sums(self, found: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The weight of common tokens, by the bits of them that records have."""
        sums = np.zeros(len(found), dtype=np.int64)
        for weight, bit in self.common:
            sums += (found >> np.uint64(bit) & np.uint64(1)).view(np.int64) * weight
        return sums

    def _limit(self, least: int) -> Any:
        """A bound in the type of the sums. No sum reaches one that does not fit."""
        return self.grid.dtype.type(min(least, np.iinfo(self.grid.dtype).max))

    def _raise_bound(self, covered: NDArray[np.int64]) -> None:
        """Take the k-th best of what different records cover, if it is better."""
        k = self.pool.k
        if len(covered) >= k:
            self.bound = max(self.bound, int(np.partition(covered, len(covered) - k)[len(covered) - k]))

    def _pool_bound(self) -> int:
        """What the last of the best covers; 0 where there are too few."""
        last = self.pool.last()
        return -int(last[0]) if last else 0
