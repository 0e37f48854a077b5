"""The best records by Jaccard similarity, exactly, looking at few of them.

A query of m tokens and a record of L that share c have J = c / (m + L - c). Records are ordered by L. The search

1. counts, for each record, its tokens among those of the query that have postings;
2. takes the highest count of each block of records, and scores the records that have it in the most promising blocks,
   then those that come near what that bound asks: the k-th best of these is a bound that the final k reach;
3. looks only at records that can reach the bound p / q: c >= p (m + L) / (p + q) is needed, of which the bitmap can
   give at most as many as the query has common tokens, so most blocks fall by their highest count alone;
4. where the bitmap alone could give enough, adds the bitmap's count for all records of those lengths.

A segment of up to `CHUNK` records is searched by the last step alone, and one of up to `SMALL` without blocks: there,
each step costs more than it saves (measured).

Similarities are compared as quotients of integers below 2^26, rounded to float64. That is exact: two different ones
differ by more than 2^-52, four times the rounding, and equal ones round alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index.ranking import Pool, Scored
from replay.corpus.index.segment import Segment, places
from replay.corpus.index.terms import Part, Scratch, Wanted, parts

SMALL = 1 << 12
CHUNK = 1 << 17
"""Records whose bitmaps are looked at in one go; more than the caches hold would be slower."""
_PROMISING = 4
"""Blocks looked at for the first bound, for each record wanted."""

Fraction = tuple[int, int]
"""Shared tokens and all tokens of query and record."""


def search(segments: Sequence[Segment], hashes: NDArray[np.uint64], wanted: Wanted) -> list[Scored]:
    """The best records of all segments, given the hashes of the query's distinct tokens."""
    pool = Pool(wanted.k, by_length=False)
    ids = [segment.token_ids(hashes) for segment in segments]
    for part in parts(segments, ids, wanted.only):
        _Scan(part, len(hashes), pool, wanted.scratch).run()
    return pool.best(wanted.record_id, float)


class _Scan:
    """One query over one segment.

    Attributes:
        bound: Shared tokens and all tokens of a record that the last of the best is not worse than; None: none yet.
        counts: For each record its tokens among the listed ones of the query; 0 for one that may not be found.
        grid: The same in blocks.
    """

    def __init__(self, part: Part, size: int, pool: Pool, scratch: Scratch) -> None:
        self.segment = segment = part.segment
        self.number = part.number
        self.allowed = part.allowed
        self.size = size
        self.pool = pool
        self.mask = part.terms.mask
        self.common = len(part.terms.bits)
        self.known = self.common + len(part.terms.listed)
        self.bound = self._pool_bound()
        dtype = np.uint8 if size <= 0xFF else np.uint16 if size <= 0xFFFF else np.uint32
        blocks = len(segment.first_lengths)
        self.counts = scratch.zeros(blocks * segment.width, dtype)
        if part.terms.listed:
            np.add.at(self.counts, part.terms.ordinals(), dtype(1))
            if part.allowed is not None:
                self.counts[: len(segment)] *= part.allowed
        self.grid = self.counts.reshape(blocks, segment.width)

    def run(self) -> None:
        """Add to the pool what may be among the best."""
        if len(self.segment) <= SMALL:
            self._all()
            return
        if len(self.segment) <= CHUNK:
            self._both(0, len(self.grid))
            return
        highest = self.grid.max(axis=1).astype(np.int64)
        self._raise_bound(self._promising(highest))
        if self.common > 1:
            # Again, now that few records are left that would reach the bound with an ordinary number of common tokens.
            least = np.maximum(self._needed(self.segment.first_lengths) - self.common // 2, 1)
            self._raise_bound(self._with_at_least(least, (highest >= least).nonzero()[0]))
        needed = self._needed(self.segment.first_lengths)
        reachable = int(needed.searchsorted(self.known, side="right"))
        dense = int(needed.searchsorted(self.common, side="right"))
        self._counted(dense, reachable, needed - self.common, highest)
        step = max(1, CHUNK // self.segment.width)
        for block in range(0, dense, step):
            if self._needed(self.segment.first_lengths[block : block + 1])[0] > self.common:
                # The bound has risen: from here on the bitmap alone is not enough.
                self._counted(block, dense, self._needed(self.segment.first_lengths) - self.common, highest)
                break
            self._both(block, min(block + step, dense))

    def _counted(self, first: int, end: int, least: NDArray[np.int64], highest: NDArray[np.int64]) -> None:
        """Add the records of some blocks that have at least so many listed tokens, by block: at least one."""
        blocks = first + (highest[first:end] >= least[first:end]).nonzero()[0]
        if len(blocks):
            ordinals = places(self.grid[blocks] >= least[blocks, None].astype(self.grid.dtype), blocks)
            self._add(ordinals, self._shared(ordinals))

    def _both(self, first: int, end: int) -> None:
        """Add records of some blocks by listed and common tokens together."""
        start = first * self.segment.width
        stop = min(end * self.segment.width, len(self.segment))
        totals = self.grid[first:end]
        if self.common:
            totals = totals.copy()
            totals.reshape(-1)[: stop - start] += self._common(start, stop)
        highest = totals.max(axis=1).astype(np.int64)
        if self.pool.last() is None:
            # Some record of a block has its highest count, and at most as many tokens as its last record.
            self._raise_bound((highest, self.segment.last_lengths[first:end]))
        least = self._needed(self.segment.first_lengths[first:end])
        blocks = (highest >= least).nonzero()[0]
        if len(blocks):
            found = places(totals[blocks] >= least[blocks, None].astype(totals.dtype), blocks)
            self._add(found + start, totals.reshape(-1)[found])

    def _all(self) -> None:
        """Add the records of a small segment, where each step that leaves some out would cost more than it saves."""
        shared = self.counts[: len(self.segment)]
        if self.common:
            shared = shared + self._common(0, len(self.segment))
        ordinals = shared.nonzero()[0]
        self._add(ordinals, shared[ordinals])

    def _common(self, start: int, stop: int) -> NDArray[np.uint8]:
        """How many common tokens of the query records hold, if they may be found."""
        common: NDArray[np.uint8] = np.bitwise_count(self.segment.bitmaps[start:stop] & self.mask)
        if self.allowed is not None:
            common *= self.allowed[start:stop]
        return common

    def _add(self, ordinals: NDArray[np.intp], shared: NDArray[Any]) -> None:
        lengths = self.segment.lengths[ordinals]
        scores = shared / (self.size + lengths - shared)
        if self.bound is not None:
            kept = (scores >= self.bound[0] / self.bound[1]).nonzero()[0]
            scores, lengths, ordinals, shared = scores[kept], lengths[kept], ordinals[kept], shared[kept]
        if len(ordinals):
            self.pool.add(self.number, scores, lengths, ordinals, shared)
            self._raise(self._pool_bound())

    def _shared(self, ordinals: NDArray[np.intp]) -> NDArray[np.int64]:
        """How many tokens records share with the query."""
        shared = self.counts[ordinals].astype(np.int64)
        if self.common:
            shared += np.bitwise_count(self.segment.bitmaps[ordinals] & self.mask)
        return shared

    def _promising(self, highest: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shared tokens and lengths of a few records that are likely among the best."""
        blocks = np.arange(len(highest))
        if len(highest) > _PROMISING * self.pool.k:
            scores = highest / (self.size + self.segment.first_lengths - highest)
            blocks = scores.argpartition(-_PROMISING * self.pool.k)[-_PROMISING * self.pool.k :]
        return self._with_at_least(np.maximum(highest, 1), blocks)

    def _with_at_least(
        self, least: NDArray[np.int64], blocks: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Shared tokens and lengths of the records of some blocks with at least so many listed tokens, by block."""
        ordinals = places(self.grid[blocks] >= least[blocks, None].astype(self.grid.dtype), blocks)
        return self._shared(ordinals), self.segment.lengths[ordinals].astype(np.int64)

    def _needed(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many tokens records of these lengths must share with the query to reach the bound: at least one."""
        if self.bound is None:
            return np.ones(len(lengths), dtype=np.int64)
        shared, union = self.bound
        return -(-shared * (self.size + lengths) // (shared + union))

    def _raise_bound(self, found: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        """Take the k-th best of records, by their shared tokens and lengths, if it is better."""
        shared, lengths = found
        k = self.pool.k
        if len(shared) < k:
            return
        scores = shared / (self.size + lengths - shared)
        at = int(scores.argpartition(len(scores) - k)[len(scores) - k])
        if shared[at]:
            self._raise((int(shared[at]), int(self.size + lengths[at] - shared[at])))

    def _raise(self, bound: Fraction | None) -> None:
        if bound and (self.bound is None or bound[0] * self.bound[1] > self.bound[0] * bound[1]):
            self.bound = bound

    def _pool_bound(self) -> Fraction | None:
        last = self.pool.last()
        if last is None:
            return None
        _, _, _, length, _, shared = last
        return shared, self.size + length - shared
