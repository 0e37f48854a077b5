"""Texts as sets of token hashes, in bulk: exactly the sets of `replay.corpus.tokens.tokens`, many times faster.

A text is cut into words as there, each word known already costs one lookup, and the rest is done by numpy over all
texts at once: words are replaced by their tokens, and each text's tokens are sorted and made distinct.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from replay.corpus.tokens import forms, words

MAX_WORDS = 1 << 21
"""Words remembered at a time; beyond it they are forgotten and expanded anew, which bounds the memory."""
CHUNK = 1 << 22
"""Words of texts that numpy takes at a time."""

MAX_KEPT = 1 << 18
"""Words kept for the next encoder, since small segments are made one after the other. The first words stay: they are
the commonest."""

_HALF = np.uint64(32)
_LOW = np.uint64((1 << 32) - 1)


@dataclass(frozen=True)
class Encoded:
    """Token sets of texts.

    Attributes:
        vocabulary: Sorted hashes of all tokens.
        lengths: Number of distinct tokens of each text.
        flat: Tokens of all texts, one text after the other, as places in `vocabulary`.
    """

    vocabulary: NDArray[np.uint64]
    lengths: NDArray[np.uint32]
    flat: NDArray[np.uint32]

    def pairs(self, ordinals: NDArray[np.int64]) -> NDArray[np.uint64]:
        """`token << 32 | ordinals[text]` for each token of each text."""
        pairs = self.flat.astype(np.uint64)
        pairs <<= _HALF
        pairs |= np.repeat(ordinals.astype(np.uint32), self.lengths)
        return pairs


class Encoder:
    """Takes texts one by one, then gives the token sets of all."""

    def __init__(self) -> None:
        self._words = _KEPT.pop() if _KEPT else _Words()
        self._flat = array("I")
        self._counts = array("I")

    def add(self, text: str) -> None:
        """Note the words of a text."""
        if len(self._words) > MAX_WORDS:
            self._words.clear()
        found = set(words(text))
        self._flat.extend(map(self._words.__getitem__, found))
        self._counts.append(len(found))

    def finish(self) -> Encoded:
        """The token sets of all texts. The encoder is used up."""
        flat = np.frombuffer(self._flat, dtype=np.uint32)
        pointers, hashes = self._words.tables()
        used = np.zeros(len(pointers) - 1, dtype=np.bool_)
        used[flat] = True
        of_used = np.repeat(used, np.diff(pointers))
        tokens = np.zeros(len(hashes), dtype=np.uint32)
        vocabulary, tokens[of_used] = np.unique(hashes[of_used], return_inverse=True)
        self._words.trim()
        _KEPT[:] = [self._words]
        counts = np.frombuffer(self._counts, dtype=np.uint32)
        lengths = np.zeros(len(counts), dtype=np.uint32)
        parts = [np.zeros(0, dtype=np.uint32)]
        for first, last, start, end in _chunks(counts):
            texts = np.repeat(np.arange(last - first, dtype=np.uint64) << _HALF, counts[first:last])
            pairs = _distinct(_expand(flat[start:end], texts, pointers, tokens))
            lengths[first:last] = np.bincount((pairs >> _HALF).astype(np.int64), minlength=last - first)
            parts.append((pairs & _LOW).astype(np.uint32))
        return Encoded(vocabulary, lengths, np.concatenate(parts))


class _Words(dict[str, int]):
    """Numbers of words, given as they come; for each number the hashes of the word's tokens.

    After `clear`, which bounds the memory, a word gets a new number: it costs time, and changes nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._hashes = bytearray()
        self._widths = array("I")

    def __missing__(self, word: str) -> int:
        hashes = b"".join([blake2b(form.encode(), digest_size=8).digest() for form in forms(word)])
        self._hashes += hashes
        number = self[word] = len(self._widths)
        self._widths.append(len(hashes) // 8)
        return number

    def tables(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Where the hashes of each word begin, with one more for the end, and the hashes: copies of what there is."""
        pointers = np.zeros(len(self._widths) + 1, dtype=np.int64)
        np.cumsum(np.array(self._widths, dtype=np.uint32), out=pointers[1:])
        return pointers, np.frombuffer(self._hashes, dtype="<u8").copy()

    def trim(self) -> None:
        """Forget all but the first words."""
        if len(self._widths) <= MAX_KEPT:
            return
        first = {word: number for word, number in self.items() if number < MAX_KEPT}
        kept = MAX_KEPT if first else 0
        self.clear()
        self.update(first)
        del self._hashes[8 * sum(self._widths[:kept]) :]
        del self._widths[kept:]


_KEPT: list[_Words] = []
"""The words of the encoder that finished last; whoever begins takes them."""


def _chunks(counts: NDArray[np.uint32]) -> Iterator[tuple[int, int, int, int]]:
    """Runs of texts with about `CHUNK` words: first text, end, and where their words start and end."""
    ends = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    first = 0
    while first < len(counts):
        last = max(first + 1, int(np.searchsorted(ends, ends[first] + CHUNK, side="right")) - 1)
        yield first, last, int(ends[first]), int(ends[last])
        first = last


def _expand(
    numbers: NDArray[np.uint32], texts: NDArray[np.uint64], pointers: NDArray[np.int64], tokens: NDArray[np.uint32]
) -> NDArray[np.uint64]:
    """`text << 32 | token` for each token of each word, given each word's text."""
    starts = pointers[numbers]
    widths = pointers[numbers + np.uint32(1)] - starts
    starts[1:] -= np.cumsum(widths)[:-1]
    places = np.repeat(starts, widths)
    places += np.arange(len(places))
    pairs = np.repeat(texts, widths)
    pairs |= tokens[places]
    return pairs


def _distinct(pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    pairs.sort()
    kept = np.ones(len(pairs), dtype=np.bool_)
    np.not_equal(pairs[1:], pairs[:-1], out=kept[1:])
    return pairs[kept]
