"""The rows of the line table that belong to some records, and where a task's concepts stand in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.linetable import NAME_PART, TOKEN_NUMBER, LineTable

BITS = 64
"""Concepts of a task that are looked at together: one bit each."""
NEIGHBOURS = 2

_AT_ONCE = 8_192  # entries; above 128 kB, memory comes from the kernel page by page, which takes longer than the work
_ONE = np.uint64(1)

Bits = NDArray[np.uint64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """The entries that are tokens of the query, in the order of their rows.

    Attributes:
        row: Of each.
        concept: Of each.
        named: Is it part of the name that its line defines?
    """

    row: Whole
    concept: Whole
    named: NDArray[np.bool_]

    def some(self, first: int) -> Matches:
        """Those of the concepts that are looked at together from this one on."""
        here = (self.concept >= first) & (self.concept < first + BITS)
        return Matches(self.row[here], self.concept[here], self.named[here])


@dataclass(frozen=True)
class Masks:
    """For each scored row the concepts that are its own, only in its frame, only in its neighbours, and in its name."""

    own: Bits
    frame: Bits
    near: Bits
    named: Bits


class Rows:
    """The rows of some records, copied together one record after the other; a record's first row is its head."""

    def __init__(self, table: LineTable, ordinals: Whole) -> None:
        first, last = table.first_row[ordinals], table.first_row[ordinals + 1]
        lengths = last - first
        taken = _ranges(first, lengths)
        head = np.cumsum(lengths) - lengths
        here = np.arange(len(taken))
        self.record = np.repeat(np.arange(len(ordinals)), lengths)
        self.offset = here - head[self.record] - 1
        self.counts = table.counts[taken]
        self.name_parts = table.name_parts[taken]
        self.kinds = table.kinds[taken]
        self._table = table
        self._ordinals = ordinals
        self._head = head
        self._last = head + lengths - 1
        self._outer = here - table.enclosing[taken]

    def matches(self, hashes: NDArray[np.uint64], concepts: Whole) -> Matches:
        """Find tokens in the rows, by their hashes; the concept of each is given."""
        numbers = self._table.token_numbers(hashes)
        known = numbers >= 0
        concept_after = np.zeros(len(self._table.vocabulary), np.min_scalar_type(len(concepts)))
        concept_after[numbers[known]] = concepts[known] + 1
        places, told, named = [], [], []
        start = 0
        for entries in self._entries():
            found = concept_after[entries & TOKEN_NUMBER]
            at = np.flatnonzero(found)
            places.append(at + start)
            told.append(found[at].astype(np.int64) - 1)
            named.append(entries[at] >= NAME_PART)
            start += len(entries)
        ends = np.cumsum(self.counts, dtype=np.int64)
        return Matches(
            np.searchsorted(ends, _joined(places, np.int64), side="right"),
            _joined(told, np.int64),
            _joined(named, np.bool_),
        )

    def sharing(self, found: Matches) -> Whole:
        """The rows that hold one of these and are no head."""
        rows = found.row[_starts(found.row)]
        kept: Whole = rows[self.offset[rows] >= 0]
        return kept

    def masks(self, found: Matches, first: int, scored: Whole) -> Masks:
        """Tell where the scored rows have these concepts; the bits count from the first."""
        bits = _ONE << (found.concept - first).astype(np.uint64)
        shared = self._of_rows(found.row, bits)
        own = shared[scored]
        record = self.record[scored]
        head, last = self._head[record], self._last[record]
        frame = (self._enclosed(shared)[scored] | shared[head] | shared[head + 1]) & ~own
        near = np.zeros_like(own)
        for away in range(1, NEIGHBOURS + 1):
            near |= shared[np.maximum(scored - away, head + 1)] | shared[np.minimum(scored + away, last)]
        named = self._of_rows(found.row[found.named], bits[found.named])
        return Masks(own, frame, near & ~own & ~frame, named[scored])

    def _entries(self) -> Iterator[NDArray[np.uint32]]:
        """The entries of the records, some thousands at a time: arrays so small that their memory is used again."""
        starts = self._table.first_entry[self._ordinals].tolist()
        ends = self._table.first_entry[self._ordinals + 1].tolist()
        runs, size = [], 0
        for start, end in zip(starts, ends, strict=True):
            runs.append(self._table.entries[start:end])
            size += end - start
            if size >= _AT_ONCE:
                yield np.concatenate(runs)
                runs, size = [], 0
        if runs:
            yield np.concatenate(runs)

    def _of_rows(self, rows: Whole, bits: Bits) -> Bits:
        """The bits of each row, joined; they are given in the order of their rows."""
        joined = np.zeros(len(self.record), np.uint64)
        if len(rows):
            starts = _starts(rows)
            joined[rows[starts]] = np.bitwise_or.reduceat(bits, starts)
        return joined

    def _enclosed(self, shared: Bits) -> Bits:
        """Each row's bits joined with those of all rows that it belongs to: twice as far up with each step."""
        outer = self._outer
        while True:
            shared = shared | shared[outer]
            further = outer[outer]
            if np.array_equal(further, outer):
                return shared
            outer = further


def _joined(parts: list[NDArray[Any]], dtype: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _starts(ascending: Whole) -> Whole:
    """Where each run of equal numbers starts."""
    differs = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=differs[1:])
    return np.flatnonzero(differs)


def _ranges(first: Whole, lengths: Whole) -> Whole:
    """The numbers `first[i]`, `first[i] + 1`, … of each range, one range after the other."""
    places: Whole = np.arange(lengths.sum()) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    return places
