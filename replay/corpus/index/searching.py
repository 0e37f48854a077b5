"""Searching the segments of one group as if they were one."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import numpy as np

from replay.corpus.index import containment, jaccard
from replay.corpus.index.hashing import hash_tokens
from replay.corpus.index.ranking import Scored
from replay.corpus.index.segment import Filter, Segment
from replay.corpus.index.terms import Scratch, Wanted

JACCARD = "jaccard.v1"
CONTAINMENT = "containment.v2"
WEIGHT_UNIT = 1 << 16


class Index:
    """Exact top-K over segments. Immutable, and may be used by several threads at once.

    Args:
        segments: Of one group; their records have distinct ids.
        record_id: The id of a record, by the place of its segment in `segments` and its ordinal. Asked to break ties.
    """

    def __init__(self, segments: Sequence[Segment], record_id: Callable[[int, int], str]) -> None:
        self.segments = tuple(segments)
        self._record_id = record_id
        self._size = sum(map(len, self.segments))
        self._scratch = Scratch()

    def __len__(self) -> int:
        return self._size

    def frequency(self, token: str) -> int:
        """Number of records that hold the token."""
        hashes = hash_tokens([token])
        return sum(int(segment.frequency(hashes)[0]) for segment in self.segments)

    def weights(self, tokens: Collection[str]) -> dict[str, int]:
        """The weight of each token in `containment.v2`, in order of the tokens. One that no record holds has df 1."""
        wanted = sorted(set(tokens))
        hashes = hash_tokens(wanted)
        found = np.zeros(len(wanted), dtype=np.int64)
        for segment in self.segments:
            found += segment.frequency(hashes)
        return {token: self._weight(df) for token, df in zip(wanted, found.tolist(), strict=True)}

    def idf(self, token: str) -> float:
        """The weight of a token over `WEIGHT_UNIT`: about log(1 + N / df)."""
        return self._weight(self.frequency(token)) / WEIGHT_UNIT

    def jaccard(self, query: Collection[str], k: int, only: Filter | None = None) -> list[Scored]:
        """The `k` records that share the largest part of all tokens of query and record, best first."""
        distinct = set(query)
        if k < 1 or not distinct:
            return []
        return jaccard.search(self.segments, hash_tokens(distinct), self._wanted(k, only))

    def containment(self, query: Collection[str], k: int, only: Filter | None = None) -> list[Scored]:
        """The `k` records that cover most of the query's weight, best first; ties to the lighter record."""
        distinct = set(query)
        if k < 1 or not distinct:
            return []
        hashes = hash_tokens(distinct)
        ids = [segment.token_ids(hashes) for segment in self.segments]
        frequencies = sum(
            (segment.frequencies(found) for segment, found in zip(self.segments, ids, strict=True)),
            start=np.zeros(len(hashes), dtype=np.int64),
        )
        weights = np.array([self._weight(df) for df in frequencies.tolist()], dtype=np.int64)
        return containment.search(self.segments, ids, weights, self._wanted(k, only))

    def _wanted(self, k: int, only: Filter | None) -> Wanted:
        return Wanted(k, only, self._record_id, self._scratch)

    def _weight(self, frequency: int) -> int:
        return round(math.log(1.0 + self._size / max(1, frequency)) * WEIGHT_UNIT)
