"""What the index is measured against: Python sets, bm25s and tantivy over the same token sets, on one core."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import bm25s  # type: ignore[import-untyped]
import numpy as np
import tantivy
from numpy.typing import NDArray

from replay.corpus.index import Segment, hash_tokens

Words = list[str]
"""A query as the numbers of its tokens in the segment, as text: what both peers look up by themselves."""


@dataclass(frozen=True)
class Forward:
    """The tokens of each record of a segment, in order of the ordinals."""

    vocabulary: NDArray[np.uint64]
    starts: NDArray[np.int64]
    tokens: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lists(self, first: int = 0, end: int | None = None) -> Iterator[list[int]]:
        """The tokens of some records."""
        bounds = self.starts[first : None if end is None else end + 1].tolist()
        flat = self.tokens[bounds[0] : bounds[-1]].tolist()
        for start, stop in pairwise(bounds):
            yield flat[start - bounds[0] : stop - bounds[0]]

    def numbers(self, query: Collection[str]) -> dict[str, int]:
        """The number of each token of a query; tokens that no record holds get some of their own."""
        tokens = sorted(query)
        hashes = hash_tokens(tokens)
        places = np.searchsorted(self.vocabulary, hashes)
        known = places < len(self.vocabulary)
        known[known] = self.vocabulary[places[known]] == hashes[known]
        unknown = len(self.vocabulary) + np.arange(len(hashes))
        return dict(zip(tokens, np.where(known, places, unknown).tolist(), strict=True))

    def words(self, query: Collection[str]) -> Words:
        """A query by the numbers of its tokens, as text."""
        return list(map(str, self.numbers(query).values()))


def forward(segment: Segment) -> Forward:
    """Turn the postings of a segment around."""
    listed = np.repeat(
        np.arange(len(segment.vocabulary), dtype=np.uint64), np.diff(segment.pointers.astype(np.int64)).astype(np.int64)
    )
    pairs = [segment.postings.astype(np.uint64) << np.uint64(32) | listed]
    for bit, token in enumerate(segment.common.tolist()):
        holding = np.flatnonzero(segment.bitmaps >> np.uint64(bit) & np.uint64(1)).astype(np.uint64)
        pairs.append(holding << np.uint64(32) | np.uint64(token))
    joined = np.concatenate(pairs)
    joined.sort()
    starts = np.concatenate(([0], np.cumsum(segment.lengths, dtype=np.int64)))
    return Forward(segment.vocabulary, starts, (joined & np.uint64((1 << 32) - 1)).astype(np.uint32))


class Sets:
    """The plain way: the query's set against each record's, sorted by similarity and id."""

    def __init__(self, held: Sequence[frozenset[int]], ids: Sequence[str]) -> None:
        self._held = held
        self._ids = ids

    def jaccard(self, query: frozenset[int], k: int = 8) -> list[tuple[str, float]]:
        """The best by Jaccard."""
        size = len(query)
        ranked = []
        for name, held in zip(self._ids, self._held, strict=True):
            if shared := len(query & held):
                ranked.append((-shared / (size + len(held) - shared), name))
        ranked.sort()
        return [(name, -score) for score, name in ranked[:k]]

    def containment(self, weights: Mapping[int, int], k: int = 8) -> list[tuple[int, int, str]]:
        """The best by weight: what they cover (negative), their tokens, and their ids."""
        query = frozenset(weights)
        ranked = []
        for name, held in zip(self._ids, self._held, strict=True):
            if shared := query & held:
                ranked.append((-sum(map(weights.__getitem__, shared)), len(held), name))
        ranked.sort()
        return ranked[:k]


class Bm25s:
    """bm25s with its numba backend, one thread.

    Its arrays are filled here by numpy with the numbers that its own builder gives, which takes minutes for a million.
    """

    def __init__(self, records: Forward) -> None:
        self._index = bm25s.BM25(backend="numba")
        lengths = np.diff(records.starts).astype(np.int64)
        pairs = records.tokens.astype(np.uint64) << np.uint64(32)
        pairs |= np.repeat(np.arange(len(records), dtype=np.uint64), lengths)
        pairs.sort()
        ordinals = (pairs & np.uint64((1 << 32) - 1)).astype(np.int32)
        pairs >>= np.uint64(32)
        frequencies = np.bincount(pairs.astype(np.int64), minlength=len(records.vocabulary))
        idf = np.log(1 + (len(records) - frequencies + 0.5) / (frequencies + 0.5)).astype(np.float32)
        norms = 1 + self._index.k1 * (1 - self._index.b + self._index.b * lengths / lengths.mean())
        self._index.nonoccurrence_array = None
        self._index.scores = {
            "data": np.repeat(idf, frequencies) / norms.astype(np.float32)[ordinals],
            "indices": ordinals,
            "indptr": np.concatenate(([0], np.cumsum(frequencies))),
            "num_docs": len(records),
        }
        self._index.vocab_dict = {str(number): number for number in range(len(frequencies))} | {"": len(frequencies)}
        self._index.unique_token_ids_set = set(self._index.vocab_dict.values())

    def search(self, query: Words, k: int = 8) -> Any:
        """The best by BM25."""
        return self._index.retrieve([query], k=k, n_threads=1, show_progress=False)


class Tantivy:
    """tantivy, any token of the query, one segment, one thread."""

    def __init__(self, records: Forward, folder: Path) -> None:
        schema = (
            tantivy.SchemaBuilder().add_text_field("body", tokenizer_name="whitespace", index_option="freq").build()
        )
        index = tantivy.Index(schema, path=str(folder))
        writer = index.writer(heap_size=1 << 29, num_threads=1)
        for tokens in records.lists():
            writer.add_document(tantivy.Document(body=" ".join(map(str, tokens))))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._index = index
        self._searcher = index.searcher()

    def search(self, query: Words, k: int = 8) -> Any:
        """The best by BM25."""
        return self._searcher.search(self._index.parse_query(" ".join(query), ["body"]), k, count=False)
