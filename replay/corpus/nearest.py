"""The records nearest to a query by their vectors.

Exact where a file of vectors has no graph: one matrix product. A graph only proposes rows, and their similarities are
then computed exactly; so both ways give the same numbers, and differ at most in what the graph overlooks. The
similarity of a record is that of its nearest piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from replay.corpus.group import Group
from replay.corpus.index import Filter
from replay.corpus.vectors import VectorFile

STEPS = 100_000
"""Similarities are compared in steps of 1/100,000: what is less differs with the order in which a processor adds."""

_ROWS_PER_RECORD = 4  # rows looked at for each record wanted, at first
_NEVER = -2 * STEPS

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Near:
    """A record near a query: its segment and ordinal, and the cosine between the query and its nearest piece."""

    segment: int
    ordinal: int
    similarity: float


class GroupVectors:
    """The vectors of the records of one group of one version. Immutable: make it before a fork, and pages are shared.

    A record of the group is known here by its *place*, counted through the segments.

    Args:
        group: The records.
        files: Files of vectors; rows of other records are passed over.
    """

    def __init__(self, group: Group, files: Sequence[VectorFile]) -> None:
        self._group = group
        self._files = tuple(files)
        self._starts = np.cumsum([0, *map(len, group.segments)])
        first = np.concatenate([np.empty(0, np.uint64), *(segment.digests[:, 0] for segment in group.segments)])
        order = np.argsort(first, kind="stable")
        self._places = [_places(first, order, file.digests[:, 0]) for file in self._files]
        self._covered = np.zeros(len(first), np.bool_)
        for places in self._places:
            self._covered[places[places >= 0]] = True

    @property
    def missing(self) -> list[tuple[int, int]]:
        """Segment and ordinal of each record that has no vector, in their order."""
        return [self._at(place) for place in np.flatnonzero(~self._covered).tolist()]

    @property
    def dimensions(self) -> int | None:
        """Numbers of each vector; None where there are none."""
        return self._files[0].dimensions if self._files else None

    def nearest(self, query: NDArray[np.float32], k: int, only: Filter | None = None) -> list[Near]:
        """The `k` records that are nearest to a query of unit length, nearest first; ties by record id."""
        allowed = self._allowed(only)
        found: dict[int, int] = {}
        for file, places in zip(self._files, self._places, strict=True):
            for place, step in _nearest(file, places, query, k, allowed).items():
                found[place] = max(step, found.get(place, _NEVER))
        return [
            Near(*self._at(place), similarity=found[place] / STEPS)
            for place, _ in zip(_ranked(found, self._record_id), range(k), strict=False)
        ]

    def _allowed(self, only: Filter | None) -> Mask | None:
        if only is None or not (only.kinds or only.tags):
            return None
        masks = []
        for segment in self._group.segments:
            mask = segment.index.allowed(only)
            masks.append(np.ones(len(segment), np.bool_) if mask is None else mask)
        return np.concatenate([np.empty(0, np.bool_), *masks])

    def _at(self, place: int) -> tuple[int, int]:
        segment = int(np.searchsorted(self._starts, place, side="right")) - 1
        return segment, place - int(self._starts[segment])

    def _record_id(self, place: int) -> str:
        return self._group.record_id(*self._at(place))


def _places(first: NDArray[np.uint64], order: Ints, wanted: NDArray[np.uint64]) -> Ints:
    """The place of each row's record in the group, -1 where it is none of it: by 8 bytes of the digest."""
    if not len(first):
        return np.full(len(wanted), -1, np.int64)
    at = order[np.minimum(np.searchsorted(first, wanted, sorter=order), len(first) - 1)]
    return np.where(first[at] == wanted, at, -1)


def _nearest(
    file: VectorFile, places: Ints, query: NDArray[np.float32], k: int, allowed: Mask | None
) -> Mapping[int, int]:
    """At least the `k` nearest records of a file, where it has so many, and their similarities in steps."""
    alive = places >= 0
    if not alive.any():
        return {}
    if allowed is not None:
        alive &= allowed[places]
    elif file.graph is not None:
        rows = file.graph.search(query, k * _ROWS_PER_RECORD, threads=1).keys.astype(np.int64)
        found = _merged(places[rows], _steps(file.matrix[rows] @ query), alive[rows])
        if len(found) >= k:
            return found
        # Rows of records that other versions have lay nearer: the exact way passes over them.
    steps = np.where(alive, _steps(file.matrix @ query), _NEVER)
    count = k * _ROWS_PER_RECORD
    while True:
        rows = _highest(steps, count)
        found = _merged(places[rows], steps[rows], alive[rows])
        if len(found) >= k or len(rows) == len(steps):
            return found
        count *= 4


def _highest(steps: Ints, count: int) -> Ints:
    """The rows with the highest similarities, with all that tie with the last of them."""
    if len(steps) <= count:
        return np.arange(len(steps))
    return np.flatnonzero(steps >= np.partition(steps, -count)[-count])


def _merged(places: Ints, steps: Ints, alive: Mask) -> dict[int, int]:
    """The similarity of each record's nearest piece."""
    found: dict[int, int] = {}
    for place, step in zip(places[alive].tolist(), steps[alive].tolist(), strict=True):
        found[place] = max(step, found.get(place, _NEVER))
    return found


def _steps(similarities: NDArray[np.float32]) -> Ints:
    return np.rint(similarities.astype(np.float64) * STEPS).astype(np.int64)


def _ranked(found: Mapping[int, int], record_id: Callable[[int], str]) -> Iterator[int]:
    """Places by falling similarity; an id is asked for only where records tie."""
    for _, tied in groupby(sorted(found, key=lambda place: -found[place]), key=lambda place: found[place]):
        places = list(tied)
        yield from sorted(places, key=record_id) if len(places) > 1 else places
