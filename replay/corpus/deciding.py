"""Ranking passages by the line in them that would decide the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replay.corpus.group import Group
from replay.corpus.index import Scored
from replay.corpus.linescore import WEIGHT_UNIT, LineQuery, score
from replay.corpus.linetable import LineTable

CONTAINMENT_SHARE = 0.75
OUT_OF_SCOPE = 0.8
"""What counts of a passage and its lines where the task names other origins. Little: a name may be a mere word."""


@dataclass(frozen=True, eq=False)
class Passage:
    """A source passage and its scored lines.

    Attributes:
        segment: Of the group.
        ordinal: In the segment.
        score: What it is ranked by.
        offsets: Lines that share a token with the task, counted from 0 in the record, ascending.
        line_scores: The score of each.
    """

    segment: int
    ordinal: int
    score: float
    offsets: NDArray[np.int64]
    line_scores: NDArray[np.float64]


def decide(
    group: Group, candidates: Sequence[Scored], query: LineQuery, scope: frozenset[str], wanted: int
) -> list[Passage]:
    """Find the best passages, best first.

    A passage counts three quarters of its containment, and its best line's score as a share of the task's mass.

    Args:
        group: Where they are.
        candidates: By containment, best first; what ties in the end keeps this order.
        query: The task.
        scope: The origins that it names; empty where it names none.
        wanted: How many of them.
    """
    segments = np.array([candidate.segment for candidate in candidates], np.int64)
    totals = np.zeros(len(candidates))
    parts = {}
    for segment in sorted({candidate.segment for candidate in candidates}):
        places = np.flatnonzero(segments == segment)
        if (table := group.lines(segment)) is not None:
            parts[segment] = _Part(table, candidates, places, query, scope)
            totals[places] = parts[segment].totals
    order = np.argsort(-totals, kind="stable")[:wanted].tolist()
    return [parts[candidates[place].segment].passage(candidates[place], place) for place in order]


class _Part:
    """The candidates of one segment, by their places among all."""

    def __init__(
        self,
        table: LineTable,
        candidates: Sequence[Scored],
        places: NDArray[np.int64],
        query: LineQuery,
        scope: frozenset[str],
    ) -> None:
        here = [candidates[place] for place in places.tolist()]
        ordinals = np.array([candidate.ordinal for candidate in here])
        counts = np.array([not scope or not scope.isdisjoint(one.split("\n")) for one in table.origins])
        shares = np.where(counts[table.origin[ordinals]], 1.0, OUT_OF_SCOPE)
        scores = score(table, ordinals, query)
        self._places = places
        self._offsets = scores.offset
        self._line_scores = scores.score * shares[scores.record]
        self._ends = np.searchsorted(scores.record, np.arange(len(here) + 1))
        best = np.zeros(len(here))
        np.maximum.at(best, scores.record, self._line_scores)
        containment = np.array([candidate.score for candidate in here])
        self.totals = CONTAINMENT_SHARE * shares * containment + best / (query.whole / WEIGHT_UNIT)

    def passage(self, candidate: Scored, place: int) -> Passage:
        """One of them."""
        at = int(np.searchsorted(self._places, place))
        lines = slice(self._ends[at], self._ends[at + 1])
        return Passage(
            candidate.segment,
            candidate.ordinal,
            float(self.totals[at]),
            self._offsets[lines],
            self._line_scores[lines],
        )
