"""Scoring lines: how much each line of some passages says of what a task asks, over the line table alone.

The score of a line is made of idf masses that it shares with the task:

- its own tokens, in full;
- seven eighths of what only its *frame* adds: the title and path of its record, the record's first line, and the lines
  that it belongs to (`worker=Namespace(` above `prefetch_multiplier=Option(4)`, see `anatomy`);
- a quarter of what only its *neighbours* add: two lines above and two below;
- where it defines a name, the mass of that name's parts that the task asks for, times their share of the name.

The sum is multiplied by how much a line of its kind can decide such a task (`asking.FACTORS`), and divided by
1 + 0.02 for each of its tokens, which keeps prose from winning by length. A line that shares no token with the task has
no score.

A token and its other forms are one concept, with one weight. Masses are whole numbers, so that no order of summing
changes a score. With weights in units of 1/65536 nat it is, in double precision and in this order,

    ((8 own + 7 frame + 2 near) / 8 + asked mass * asked parts / parts) * factor / (1 + 0.02 tokens) / 65536

The factors are round numbers, chosen by measuring; docs/decisions.md says on which claims, and which were kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from replay.corpus.asking import FACTORS, Asked
from replay.corpus.index import Index, hash_tokens
from replay.corpus.linetable import NAME_PART, TOKEN_NUMBER, LineTable
from replay.corpus.naming import LineKind

WEIGHT_UNIT = 65536
OWN, FRAME, NEAR, SHARES = 8, 7, 2, 8
NEIGHBOURS = 2
TOKEN_COST = 0.02

_BITS = 64  # concepts of a task that are looked at together: one bit each
_ONE = np.uint64(1)

Masks = NDArray[np.uint64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class LineScores:
    """The lines that share a token with a task, in the order of the records asked for and of their lines.

    Attributes:
        record: For each line, the place of its record among those asked for.
        offset: Its place in the record, counted from 0.
        score: Its score, above 0.
    """

    record: Whole
    offset: Whole
    score: NDArray[np.float64]


class LineQuery:
    """What a task asks of lines.

    Args:
        concepts: Tokens that mean the same, and what each such set weighs, in units of 1/65536 nat.
        factors: How much a line of each kind can decide; 1 where nothing is said.

    Attributes:
        whole: The summed weight of all concepts.
    """

    def __init__(self, concepts: Mapping[tuple[str, ...], int], factors: Mapping[LineKind, float]) -> None:
        self.hashes = hash_tokens([token for tokens in concepts for token in tokens])
        self.concepts = np.repeat(np.arange(len(concepts)), [len(tokens) for tokens in concepts])
        self.weights = np.fromiter(concepts.values(), np.int64, len(concepts))
        self.factors = np.array([factors.get(kind, 1.0) for kind in LineKind])
        self.whole = sum(concepts.values())


def line_query(asked: Asked, index: Index) -> LineQuery:
    """What a task asks of the lines of a group.

    A concept weighs as much as the token that was asked, an implied one as much as the commonest of its tokens.
    """
    weights = index.weights([*(concept[0] for concept in asked.concepts), *chain.from_iterable(asked.implied)])
    concepts = {concept: weights[concept[0]] for concept in asked.concepts}
    concepts |= {concept: min(weights[token] for token in concept) for concept in asked.implied}
    return LineQuery(concepts, FACTORS[asked.kind])


def score(table: LineTable, ordinals: Whole, query: LineQuery) -> LineScores:
    """Score the lines of these records of one segment."""
    rows = _Rows(table, ordinals)
    entry, concept = rows.matches(query)
    scored = rows.sharing(entry)
    shares = np.zeros(len(scored), np.int64)
    asked_mass = np.zeros(len(scored), np.int64)
    asked_parts = np.zeros(len(scored), np.int64)
    for first in range(0, len(query.weights), _BITS):
        here = slice(None) if len(query.weights) <= _BITS else (concept >= first) & (concept < first + _BITS)
        mass = _Mass(query.weights[first : first + _BITS])
        masks = rows.masks(entry[here], _ONE << (concept[here] - first).astype(np.uint64), scored)
        shares += OWN * mass(masks.own) + FRAME * mass(masks.frame) + NEAR * mass(masks.near)
        asked_mass += mass(masks.named)
        asked_parts += np.bitwise_count(masks.named)
    bonus = asked_mass * asked_parts / np.maximum(rows.name_parts[scored], 1)
    factor = query.factors[rows.kinds[scored]]
    cost = 1.0 + TOKEN_COST * rows.counts[scored]
    return LineScores(
        record=rows.record[scored],
        offset=rows.offset[scored],
        score=(shares / SHARES + bonus) * factor / cost / WEIGHT_UNIT,
    )


@dataclass(frozen=True)
class _Masks:
    """For each scored row the concepts that are its own, only in its frame, only in its neighbours, and in its name."""

    own: Masks
    frame: Masks
    near: Masks
    named: Masks


class _Rows:
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
        self._head = head
        self._last = head + lengths - 1
        self._outer = here - table.enclosing[taken]
        self._of_entry = np.repeat(here, self.counts)
        ends = zip(table.first_entry[ordinals].tolist(), table.first_entry[ordinals + 1].tolist(), strict=True)
        runs = [table.entries[first:end] for first, end in ends]
        self._entries = np.concatenate(runs) if runs else table.entries[:0]

    def matches(self, query: LineQuery) -> tuple[Whole, Whole]:
        """The entries that are tokens of the query, in order, and the concept of each."""
        numbers = self._table.token_numbers(query.hashes)
        known = numbers >= 0
        concept_after = np.zeros(len(self._table.vocabulary), np.uint32)  # untouched pages of it cost nothing
        concept_after[numbers[known]] = query.concepts[known] + 1
        found = concept_after[self._entries & TOKEN_NUMBER]
        entry = np.flatnonzero(found)
        return entry, found[entry].astype(np.int64) - 1

    def sharing(self, entry: Whole) -> Whole:
        """The rows that hold these ascending entries and are no head."""
        rows = self._of_entry[entry]
        rows = rows[_starts(rows)]
        kept: Whole = rows[self.offset[rows] >= 0]
        return kept

    def masks(self, entry: Whole, bits: Masks, scored: Whole) -> _Masks:
        """Tell where the scored rows have the concepts of these entries."""
        shared = self._joined(entry, bits)
        part = self._entries[entry] >= NAME_PART
        own = shared[scored]
        record = self.record[scored]
        head, last = self._head[record], self._last[record]
        frame = (self._enclosed(shared)[scored] | shared[head] | shared[head + 1]) & ~own
        near = np.zeros_like(own)
        for away in range(1, NEIGHBOURS + 1):
            near |= shared[np.maximum(scored - away, head + 1)] | shared[np.minimum(scored + away, last)]
        return _Masks(own, frame, near & ~own & ~frame, self._joined(entry[part], bits[part])[scored])

    def _joined(self, entry: Whole, bits: Masks) -> Masks:
        """The bits of each row's entries, joined."""
        joined = np.zeros(len(self.record), np.uint64)
        if len(entry):
            rows = self._of_entry[entry]
            starts = _starts(rows)
            joined[rows[starts]] = np.bitwise_or.reduceat(bits, starts)
        return joined

    def _enclosed(self, shared: Masks) -> Masks:
        """Each row's bits joined with those of all rows that it belongs to: twice as far up with each step."""
        outer = self._outer
        while True:
            shared = shared | shared[outer]
            further = outer[outer]
            if np.array_equal(further, outer):
                return shared
            outer = further


class _Mass:
    """The summed weights of the tokens of a mask, looked up byte by byte."""

    def __init__(self, weights: Whole) -> None:
        self._tables = []
        for first in range(0, len(weights), 8):
            table = np.zeros(1, np.int64)
            for weight in weights[first : first + 8]:
                table = np.concatenate((table, table + weight))
            self._tables.append(table)

    def __call__(self, masks: Masks) -> Whole:
        octets = masks.astype("<u8").view(np.uint8).reshape(-1, 8)
        mass = np.zeros(len(masks), np.int64)
        for place, table in enumerate(self._tables):
            mass += table[octets[:, place]]
        return mass


def _starts(ascending: Whole) -> Whole:
    """Where each run of equal numbers starts."""
    differs = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=differs[1:])
    return np.flatnonzero(differs)


def _ranges(first: Whole, lengths: Whole) -> Whole:
    """The numbers `first[i]`, `first[i] + 1`, … of each range, one range after the other."""
    places: Whole = np.arange(lengths.sum()) + np.repeat(first - (np.cumsum(lengths) - lengths), lengths)
    return places
