"""Sets that are nearly equal: those of many token sets whose Jaccard similarity to a given one is 0.9 or more.

A prefix filter finds candidates: with tokens ordered from the rarest to the commonest, two sets so alike share one of
the first `n // 10 + 1` tokens of each. Sizes and a sketch of 256 parities sort most of them out, and of the rest the
shared tokens are counted. Each token flips one parity, so each parity in which two sketches differ needs a token that
only one of the sets has: nothing is lost, and nothing is approximate.

Sources: S. Chaudhuri, V. Ganti, R. Kaushik, "A primitive operator for similarity joins in data cleaning", ICDE 2006
(prefix filter); C. Xiao, W. Wang, X. Lin, J. X. Yu, "Efficient similarity joins for near duplicate detection",
WWW 2008 (with the size filter, as a self-join in one pass).
"""

from __future__ import annotations

from array import array
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index.encoding import Encoded

NEAR = (9, 10)
"""The least Jaccard similarity of near-duplicates, as a fraction: comparisons are of whole numbers."""

_Count = TypeVar("_Count", int, NDArray[np.int32])

_FEW = 48
"""Candidates up to so many are sorted out one by one; above, numpy's fixed costs are less than theirs."""
_SKETCH_WORDS = 4


def is_near(shared: int, size: int, other: int) -> bool:
    """Is the Jaccard similarity of sets of these sizes with so many shared tokens at least 0.9?

    Two sets without any token have none.
    """
    union = size + other - shared
    return union > 0 and shared * NEAR[1] >= union * NEAR[0]


def _most(both: _Count) -> _Count:
    """How many tokens near sets may have that only one of them has, by the sum of their sizes.

    J = (both - difference) / (both + difference) is at least 0.9.
    """
    return both * (NEAR[1] - NEAR[0]) // (NEAR[1] + NEAR[0])


class Neighbours:
    """Numbered token sets, of which those that were admitted are found by sets that nearly equal them.

    Args:
        sets: All sets; their numbers count from 0.
    """

    def __init__(self, sets: Encoded) -> None:
        self._sizes = sets.lengths.astype(np.int32)
        self._starts = np.concatenate(([0], np.cumsum(self._sizes, dtype=np.int64)))
        frequency = np.bincount(sets.flat, minlength=len(sets.vocabulary))
        rank = np.empty(len(frequency), np.int64)
        rank[np.argsort(frequency, kind="stable")] = np.arange(len(frequency))
        # One sort for all sets: a token's rank is the low part of its key, the number of its set the high one.
        keys = np.repeat(np.arange(len(self._sizes)) << 32, self._sizes) + rank[sets.flat]
        keys.sort()
        self._ranks = (keys & 0xFFFFFFFF).astype(np.int32)
        # Tokens of one set only lead nowhere, and in most texts the rarest are such.
        self._lonely = int(np.count_nonzero(frequency == 1))
        self._sketches = self._sketch()
        self._folded = np.bitwise_xor.reduce(self._sketches, axis=1)
        self._folds: list[int] = self._folded.tolist()
        self._admitted: dict[int, array[int]] = {}

    def admit(self, number: int) -> None:
        """Let a set be found from now on. One without tokens is near to none."""
        for rank in self._prefix(number):
            self._admitted.setdefault(rank, array("i")).append(number)

    def near(self, number: int) -> list[tuple[int, float]]:
        """The admitted sets whose similarity to this one is 0.9 or more, with that similarity, in any order."""
        lists = [found for rank in self._prefix(number) if (found := self._admitted.get(rank))]
        candidates = self._candidates(number, lists) if lists else []
        if not candidates:
            return []
        size = int(self._sizes[number])
        own = set(self._of(number))
        near = []
        for other in candidates:
            length = int(self._sizes[other])
            shared = len(own.intersection(self._of(other)))
            if is_near(shared, size, length):
                near.append((other, shared / (size + length - shared)))
        return near

    def _of(self, number: int) -> list[int]:
        ranks: list[int] = self._ranks[self._starts[number] : self._starts[number + 1]].tolist()
        return ranks

    def _prefix(self, number: int) -> list[int]:
        size = int(self._sizes[number])
        start = int(self._starts[number])
        length = size - -(-size * NEAR[0] // NEAR[1]) + 1 if size else 0
        return [rank for rank in self._ranks[start : start + length].tolist() if rank >= self._lonely]

    def _candidates(self, number: int, lists: list[array[int]]) -> list[int]:
        """What the sizes and the sketches do not exclude: 1 - J = |difference| / |union|."""
        if sum(map(len, lists)) <= _FEW:
            own, size = self._folds[number], int(self._sizes[number])
            return [
                other
                for other in set().union(*lists)
                if (self._folds[other] ^ own).bit_count() <= _most(size + int(self._sizes[other]))
            ]
        # The views must be gone before a list grows again, so nothing of them is kept.
        found = np.concatenate([np.frombuffer(one, dtype=np.int32) for one in lists])
        most = _most(self._sizes[found] + self._sizes[number])
        likely = np.bitwise_count(self._folded[found] ^ self._folded[number]) <= most
        found, most = found[likely], most[likely]
        differing = np.bitwise_count(self._sketches[found] ^ self._sketches[number]).sum(axis=1, dtype=np.int64)
        candidates: list[int] = np.unique(found[differing <= most]).tolist()
        return candidates

    def _sketch(self) -> NDArray[np.uint64]:
        """The parities of each set, in `_SKETCH_WORDS` words: which one a token flips is a hash of its rank."""
        sketches = np.zeros((len(self._sizes), _SKETCH_WORDS), np.uint64)
        filled = np.flatnonzero(self._sizes)
        if not len(filled):
            return sketches
        place = (self._ranks.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(56)
        bit = np.uint64(1) << (place & np.uint64(63))
        for word in range(_SKETCH_WORDS):
            mine = np.where(place >> np.uint64(6) == word, bit, np.uint64(0))
            sketches[filled, word] = np.bitwise_xor.reduceat(mine, self._starts[filled])
        return sketches
