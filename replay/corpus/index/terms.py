"""What a query's tokens are in one segment, and the buffers that sums over its records need."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index.segment import Filter, Segment


@dataclass(frozen=True)
class Terms:
    """The tokens of a query that a segment knows.

    Attributes:
        listed: Postings of each token that has a list.
        listed_at: The place in the query of each of these.
        bits: Bits of the others in the records' bitmaps.
        bits_at: The place in the query of each of these.
    """

    listed: list[NDArray[np.int32]]
    listed_at: list[int]
    bits: list[int]
    bits_at: list[int]

    @property
    def mask(self) -> np.uint64:
        """All bits at once."""
        mask = 0
        for bit in self.bits:
            mask |= 1 << bit
        return np.uint64(mask)

    def ordinals(self) -> NDArray[np.intp]:
        """The postings of all listed tokens, one list after the other, as numpy indexes fastest."""
        return np.concatenate(self.listed, dtype=np.intp) if self.listed else np.zeros(0, dtype=np.intp)


class Scratch(threading.local):
    """One buffer of zeros for each thread and type of number, so that a query allocates nothing of a segment's size."""

    def __init__(self) -> None:
        self._buffers: dict[type[np.unsignedinteger[Any]], NDArray[Any]] = {}

    def zeros(self, size: int, dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
        """So many zeros, valid until the next call in this thread."""
        buffer = self._buffers.get(dtype)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[dtype] = np.empty(size, dtype=dtype)
        # Cleared here and not after use: a query may be ended by an exception at any point.
        taken = buffer[:size]
        taken.fill(0)
        return taken


@dataclass(frozen=True)
class Wanted:
    """What is asked besides the query.

    Attributes:
        k: How many records.
        only: Which may be found.
        record_id: The id of a record, by segment and ordinal; asked to break ties.
        scratch: The buffers of the index.
    """

    k: int
    only: Filter | None
    record_id: Callable[[int, int], str]
    scratch: Scratch


@dataclass(frozen=True)
class Part:
    """One query in one segment.

    Attributes:
        number: The place of the segment among those of the index.
        segment: The segment.
        terms: The query's tokens there; at least one.
        allowed: Which records may be found; None where all may.
    """

    number: int
    segment: Segment
    terms: Terms
    allowed: NDArray[np.bool_] | None


def parts(segments: Sequence[Segment], ids: Sequence[NDArray[np.int64]], only: Filter | None) -> Iterator[Part]:
    """The segments that know a token of the query, given its ids there (-1 where it has none), the largest first.

    What the largest holds is the best bound for the others.
    """
    for number in sorted(range(len(segments)), key=lambda number: -len(segments[number])):
        segment = segments[number]
        found = terms(segment, ids[number])
        if found.listed or found.bits:
            yield Part(number, segment, found, segment.allowed(only))


def terms(segment: Segment, ids: NDArray[np.int64]) -> Terms:
    """Look up the tokens of a query by their ids in this segment; -1 is no token of it."""
    found = Terms([], [], [], [])
    if not len(segment.vocabulary):
        return found
    starts, ends = segment.pointers[ids].tolist(), segment.pointers[ids + 1].tolist()
    for place, (token, start, end) in enumerate(zip(ids.tolist(), starts, ends, strict=True)):
        if token < 0:
            continue
        if start < end:
            found.listed.append(segment.postings[start:end])
            found.listed_at.append(place)
        else:
            found.bits.append(segment.bits[token])
            found.bits_at.append(place)
    return found
