"""Exact top-K over in-memory postings, with two scorers that share them.

- `jaccard.v1`: shared tokens over all tokens of query and record, each token counting one. For short playbook records,
  which look like the task.
- `containment.v1`: the share of the query's idf mass that a record covers. For source passages, which are long and must
  not be punished for it. Ties go to the lighter record: the one that says less besides.

Both are exact: nothing is pruned approximately, and ties that remain are broken by record id. Sums run over sorted
tokens, so scores are the same floats on every machine and in every process.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

JACCARD = "jaccard.v1"
CONTAINMENT = "containment.v1"


@dataclass(frozen=True)
class Scored:
    """A document that shares at least one token with the query: its place in the index, and its score in (0, 1]."""

    ordinal: int
    score: float


class Index:
    """Postings of token sets. Immutable after construction, so processes forked later share its pages.

    Args:
        documents: Id and token set of each document. Ids are distinct; their order decides ties.
    """

    def __init__(self, documents: Iterable[tuple[str, Collection[str]]]) -> None:
        self._ids: list[str] = []
        self._lengths = array("I")
        self._postings: dict[str, array[int]] = {}
        for ordinal, (identifier, tokens) in enumerate(documents):
            self._ids.append(identifier)
            self._lengths.append(len(tokens))
            for token in sorted(tokens):
                postings = self._postings.get(token)
                if postings is None:
                    postings = self._postings[token] = array("I")
                postings.append(ordinal)
        self._masses = self._weigh()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, token: str) -> bool:
        """Does any document hold this token?"""
        return token in self._postings

    @property
    def vocabulary(self) -> int:
        """Number of distinct tokens."""
        return len(self._postings)

    def frequency(self, token: str) -> int:
        """Number of documents that hold the token."""
        return len(self._postings.get(token, ()))

    def idf(self, token: str) -> float:
        """log(1 + N / df). A token that no document holds weighs as if one did: it still counts in the whole."""
        return math.log(1.0 + len(self._ids) / max(1, self.frequency(token)))

    def jaccard(self, query: Collection[str], k: int) -> list[Scored]:
        """The `k` documents that share the largest part of all tokens of query and document, best first."""
        shared: dict[int, int] = {}
        for token in query:
            for ordinal in self._postings.get(token, ()):
                shared[ordinal] = shared.get(ordinal, 0) + 1
        size = len(query)
        scores = {ordinal: count / (size + self._lengths[ordinal] - count) for ordinal, count in shared.items()}
        return self._best(k, scores, weights=None)

    def containment(self, query: Collection[str], k: int) -> list[Scored]:
        """The `k` documents that cover most of the query's idf mass, best first; ties to the lighter document."""
        weights = {token: self.idf(token) for token in sorted(query)}
        whole = math.fsum(weights.values())
        covered: dict[int, float] = {}
        for token, weight in weights.items():
            for ordinal in self._postings.get(token, ()):
                covered[ordinal] = covered.get(ordinal, 0.0) + weight
        scores = {ordinal: mass / whole for ordinal, mass in covered.items()}
        return self._best(k, scores, weights=self._masses)

    def _best(self, k: int, scores: Mapping[int, float], *, weights: Sequence[float] | None) -> list[Scored]:
        def rank(ordinal: int) -> tuple[float, float, str]:
            return (-scores[ordinal], weights[ordinal] if weights is not None else 0.0, self._ids[ordinal])

        return [Scored(ordinal, scores[ordinal]) for ordinal in heapq.nsmallest(k, scores, key=rank)]

    def _weigh(self) -> array[float]:
        """The idf mass of each document, summed in the order of the tokens."""
        masses = array("d", bytes(8 * len(self._ids)))
        for token in sorted(self._postings):
            weight = self.idf(token)
            for ordinal in self._postings[token]:
                masses[ordinal] += weight
        return masses
