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
from replay.corpus.linerows import BITS, Bits, Rows, Whole
from replay.corpus.linetable import LineTable
from replay.corpus.naming import LineKind

WEIGHT_UNIT = 65536
OWN, FRAME, NEAR, SHARES = 8, 7, 2, 8
TOKEN_COST = 0.02


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
    rows = Rows(table, ordinals)
    found = rows.matches(query.hashes, query.concepts)
    scored = rows.sharing(found)
    shares = np.zeros(len(scored), np.int64)
    asked_mass = np.zeros(len(scored), np.int64)
    asked_parts = np.zeros(len(scored), np.int64)
    for first in range(0, len(query.weights), BITS):
        mass = _Mass(query.weights[first : first + BITS])
        masks = rows.masks(found.some(first) if len(query.weights) > BITS else found, first, scored)
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


class _Mass:
    """The summed weights of the tokens of a mask, looked up byte by byte."""

    def __init__(self, weights: Whole) -> None:
        self._tables = []
        for first in range(0, len(weights), 8):
            table = np.zeros(1, np.int64)
            for weight in weights[first : first + 8]:
                table = np.concatenate((table, table + weight))
            self._tables.append(table)

    def __call__(self, masks: Bits) -> Whole:
        octets = masks.astype("<u8").view(np.uint8).reshape(-1, 8)
        mass = np.zeros(len(masks), np.int64)
        for place, table in enumerate(self._tables):
            mass += table[octets[:, place]]
        return mass
