"""The best of what scoring finds, with ties broken as the scorer says."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import groupby, islice
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Scored(NamedTuple):
    """A record that shares at least one token with the query: its segment and ordinal, and its score in (0, 1]."""

    segment: int
    ordinal: int
    score: float


Entry = tuple[Any, int, int, int, int, int]
"""A record of a pool: rank, tie, segment, length, ordinal, shared; in the order of entries as far as ids do not matter.

Rank is the negative score; tie the number of tokens where that breaks ties, and 0 elsewhere. Records of one segment and
number of tokens lie in the order of their ids. (A plain tuple: hundreds are made for each query.)
"""

_SAME = itemgetter(0, 1)
_RUN = itemgetter(2, 3)


class Pool:
    """The best records so far, and all that tie with the last of them as far as ids may matter.

    Args:
        k: How many are wanted.
        by_length: Do ties go to fewer tokens, before the id? They go by id alone otherwise.

    Attributes:
        entries: In order of their ranks.
    """

    def __init__(self, k: int, *, by_length: bool) -> None:
        self.k = k
        self.by_length = by_length
        self.entries: list[Entry] = []

    def last(self) -> Entry | None:
        """The last of the best, when there are enough."""
        return self.entries[self.k - 1] if len(self.entries) >= self.k else None

    def add(
        self,
        segment: int,
        scores: NDArray[Any],
        lengths: NDArray[Any],
        ordinals: NDArray[np.intp],
        shared: NDArray[Any],
    ) -> None:
        """Add records of a segment that are not here yet. The higher the score the better; it is compared exactly."""
        if len(scores) > self.k:
            kept = self._kept(scores, lengths)
            scores, lengths, ordinals, shared = scores[kept], lengths[kept], ordinals[kept], shared[kept]
        counts = lengths.tolist()
        ties = counts if self.by_length else [0] * len(counts)
        ranks, places, held = (-scores).tolist(), ordinals.tolist(), shared.tolist()
        new = zip(ranks, ties, [segment] * len(counts), counts, places, held, strict=True)
        self.entries = sorted([*self.entries, *new])
        if len(self.entries) > self.k:
            self._cut()

    def best(self, record_id: Callable[[int, int], str], score: Callable[[Any], float]) -> list[Scored]:
        """The first k by score, number of tokens where that counts, and id.

        Ids are asked for only where records tie that differ in length or segment, and only as many as decide: such
        runs are each in order already, and are merged until there are enough.

        Args:
            record_id: The id of a record, by segment and ordinal.
            score: What is told of a record, from what it is ranked by.
        """
        ranked: list[Entry] = []
        start = 0
        while start < len(self.entries) and len(ranked) < self.k:
            end = start + 1
            while end < len(self.entries) and _SAME(self.entries[end]) == _SAME(self.entries[start]):
                end += 1
            same = self.entries[start:end]
            if end - start > 1 and _RUN(same[0]) != _RUN(same[-1]):
                runs = [list(run) for _, run in groupby(same, key=_RUN)]
                merged = heapq.merge(*runs, key=lambda one: record_id(one[2], one[4]))
                same = list(islice(merged, self.k - len(ranked)))
            ranked += same
            start = end
        return [Scored(segment, ordinal, score(-rank)) for rank, _, segment, _, ordinal, _ in ranked[: self.k]]

    def _kept(self, scores: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.intp]:
        """The places of the best of new records and of what ties with the last of them."""
        bound = np.partition(scores, len(scores) - self.k)[len(scores) - self.k]
        kept: NDArray[np.intp] = (scores >= bound).nonzero()[0]
        if len(kept) <= 2 * self.k:
            return kept
        # Of those that tie with the last, only the first k of a run can be among the best; they come in its order.
        tied = np.flatnonzero(scores == bound)
        starts = np.zeros(len(tied), dtype=np.intp)
        if not self.by_length:
            changes = np.flatnonzero(np.diff(lengths[tied])) + 1
            starts[changes] = changes
            np.maximum.accumulate(starts, out=starts)
        return np.concatenate((np.flatnonzero(scores > bound), tied[np.arange(len(tied)) - starts < self.k]))

    def _cut(self) -> None:
        """Leave the first k, and of those that tie with the last of them the first k of each run."""
        last = _SAME(self.entries[self.k - 1])
        better = [one for one in self.entries[: self.k] if _SAME(one) < last]
        tied = [one for one in self.entries[len(better) :] if _SAME(one) == last]
        if len(tied) > self.k:
            tied = [one for _, run in groupby(tied, key=_RUN) for one in islice(run, self.k)]
        self.entries = better + tied
