"""The records of a version that are found in the same way, over all their segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from replay.contracts import Record
from replay.corpus.index import Index, hash_tokens
from replay.corpus.linetable import LineTable
from replay.corpus.segment import Segment


class Group:
    """Playbook records, or sources. Immutable.

    Args:
        segments: Opened; their records have distinct ids.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = tuple(segments)

    def __len__(self) -> int:
        return sum(map(len, self.segments))

    @cached_property
    def index(self) -> Index:
        """Searches all segments as if they were one; its hits go to `record`."""
        return Index([segment.index for segment in self.segments], self.record_id)

    def record(self, segment: int, ordinal: int) -> Record:
        """A record by the place of its segment and its ordinal in it.

        Raises:
            CorpusError: Its bytes are not what was written; names the file.
        """
        return self.segments[segment].records.read(ordinal)

    def record_id(self, segment: int, ordinal: int) -> str:
        """The id of a record.

        Raises:
            CorpusError: As `record`.
        """
        return self.segments[segment].records.record_id(ordinal)

    def lines(self, segment: int) -> LineTable | None:
        """The line table of a segment; None for playbooks.

        Raises:
            CorpusError: It is not what was written; names the file. Never after `load`, which has opened it.
        """
        return self.segments[segment].lines

    def find(self, record_id: str) -> Record | None:
        """The record of an id; None where there is none.

        Raises:
            CorpusError: As `record`.
        """
        hashed = hash_tokens([record_id])
        for segment in self.segments:
            ordinal = int(segment.index.find(hashed)[0])
            if ordinal >= 0 and segment.records.record_id(ordinal) == record_id:
                return segment.records.read(ordinal)
        return None

    def places(self) -> Iterator[tuple[int, int]]:
        """Segment and ordinal of every record, in the order of the hashes of their ids.

        The order is the same however the records are cut into segments, and takes no reading of them.
        """
        hashes = np.concatenate([np.empty(0, np.uint64), *(segment.id_hashes for segment in self.segments)])
        ends = np.cumsum([len(segment) for segment in self.segments], dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        numbers = np.searchsorted(ends, order, side="right")
        starts = np.concatenate([[0], ends])[numbers]
        yield from zip(numbers.tolist(), (order - starts).tolist(), strict=True)

    def __iter__(self) -> Iterator[Record]:
        """Every record, in the order of `places`.

        Raises:
            CorpusError: As `record`.
        """
        return (self.record(segment, ordinal) for segment, ordinal in self.places())
