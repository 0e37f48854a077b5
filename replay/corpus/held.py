"""The playbook records that a corpus holds, as an import asks for them: by id, and by what nearly equals a new one."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Protocol

import numpy as np

from replay.contracts import Record
from replay.corpus import matching
from replay.corpus.group import Group
from replay.corpus.index import hash_tokens
from replay.corpus.index.encoding import Encoded


class Lookup(Protocol):
    """Playbook records that are there already."""

    def find(self, record_ids: Sequence[str]) -> Iterator[Record]:
        """Those with one of these ids, in any order."""

    def crediting(self, record_ids: Container[str]) -> Iterator[Record]:
        """Those that are credited with one of these ids (`Record.also`), in any order."""

    def near(self, sets: Encoded, but: Container[str]) -> Iterator[tuple[int, Record, float]]:
        """Of each token set its number, those whose Jaccard similarity to it is 0.9 or more, and that; in any order.

        Args:
            sets: What is looked for.
            but: Ids of records that are not wanted.
        """


class Nothing:
    """What a corpus holds that is not there yet."""

    def find(self, record_ids: Sequence[str]) -> Iterator[Record]:  # noqa: ARG002  the protocol's
        """None."""
        return iter(())

    def crediting(self, record_ids: Container[str]) -> Iterator[Record]:  # noqa: ARG002  as above
        """None."""
        return iter(())

    def near(self, sets: Encoded, but: Container[str]) -> Iterator[tuple[int, Record, float]]:  # noqa: ARG002  as above
        """None."""
        return iter(())


NOTHING = Nothing()


class Held:
    """The playbook records of an opened version.

    Args:
        group: Its playbook records.
    """

    def __init__(self, group: Group) -> None:
        self._group = group

    def find(self, record_ids: Sequence[str]) -> Iterator[Record]:
        """Those with one of these ids.

        Raises:
            CorpusError: The bytes of one are not what was written; names the file.
        """
        hashes = hash_tokens(record_ids)
        for number, segment in enumerate(self._group.segments):
            ordinals = segment.index.find(hashes)
            for place in np.flatnonzero(ordinals >= 0).tolist():
                record = self._group.record(number, int(ordinals[place]))
                if record.record_id == record_ids[place]:
                    yield record

    def crediting(self, record_ids: Container[str]) -> Iterator[Record]:
        """Those that are credited with one of these ids.

        Raises:
            CorpusError: As `find`.
        """
        for number, segment in enumerate(self._group.segments):
            for ordinal in segment.records.credited():
                record = self._group.record(number, ordinal)
                if any(name.partition("/")[2] in record_ids for name in record.also):
                    yield record

    def near(self, sets: Encoded, but: Container[str]) -> Iterator[tuple[int, Record, float]]:
        """As `Lookup` says; exact as the index is, whose tokens are 8-byte hashes.

        Raises:
            CorpusError: The bytes of one are not what was written; names the file.
        """
        for number, segment in enumerate(self._group.segments):
            for asked, ordinal, score in matching.near(segment.index, sets):
                if self._group.record_id(number, ordinal) not in but:
                    yield asked, self._group.record(number, ordinal), score
