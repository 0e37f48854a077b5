"""What differs between two sets of records, told by the hashes of their ids and their digests.

Only the ids of records that differ are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from replay.corpus import manifest
from replay.corpus.opening import SEGMENTS
from replay.corpus.segment import Segment


class Identified(Protocol):
    """Records in their order, known by id and content."""

    @property
    def id_hashes(self) -> NDArray[np.uint64]:
        """The hash of each record's id."""
        ...

    @property
    def digests(self) -> NDArray[np.uint64]:
        """The digest of each record, as two words."""
        ...


@dataclass(frozen=True)
class Difference:
    """Places of records, counted through all segments of a side.

    Attributes:
        added: On the new side: their ids are not on the old one.
        removed: On the old side: their ids are not on the new one.
        changed: On the new side: the old one has another record of that id.
    """

    added: NDArray[np.int64]
    removed: NDArray[np.int64]
    changed: NDArray[np.int64]


def compare(old: Sequence[Identified], new: Sequence[Identified]) -> Difference:
    """Compare two sets of records, each with distinct ids."""
    old_ids, old_digests = _joined(old)
    new_ids, new_digests = _joined(new)
    _, in_old, in_new = np.intersect1d(old_ids, new_ids, assume_unique=True, return_indices=True)
    differs = (old_digests[in_old] != new_digests[in_new]).any(axis=1)
    return Difference(
        added=_others(len(new_ids), in_new),
        removed=_others(len(old_ids), in_old),
        changed=np.sort(in_new[differs]).astype(np.int64),
    )


@dataclass(frozen=True)
class Diff:
    """What a version has that another has not, as ids in their order."""

    old: str
    new: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


def diff(corpus_dir: Path, old: str, new: str) -> Diff:
    """Compare two versions; segments that both have are not opened.

    Raises:
        CorpusError: One of them is not there, or is damaged.
    """
    before, after = (manifest.read(corpus_dir, version).segments for version in (old, new))
    shared = {one.name for one in before} & {one.name for one in after}
    olds, news = (
        [Segment(corpus_dir / SEGMENTS, one) for one in side if one.name not in shared] for side in (before, after)
    )
    found = compare(olds, news)
    return Diff(old, new, _ids(news, found.added), _ids(olds, found.removed), _ids(news, found.changed))


def _ids(segments: Sequence[Segment], places: NDArray[np.int64]) -> tuple[str, ...]:
    ends = np.cumsum([len(one) for one in segments], dtype=np.int64)
    numbers = np.searchsorted(ends, places, side="right")
    ordinals = places - np.concatenate([[0], ends])[numbers]
    found = zip(numbers.tolist(), ordinals.tolist(), strict=True)
    return tuple(sorted(segments[number].records.record_id(ordinal) for number, ordinal in found))


def _joined(side: Sequence[Identified]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    ids = np.concatenate([np.empty(0, np.uint64), *(one.id_hashes for one in side)])
    digests = np.concatenate([np.empty((0, 2), np.uint64), *(one.digests for one in side)])
    return ids, digests


def _others(count: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    rest = np.ones(count, np.bool_)
    rest[places] = False
    return np.flatnonzero(rest)
