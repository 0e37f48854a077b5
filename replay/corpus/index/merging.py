"""Making one segment of several, without their texts.

Postings and bitmaps say everything that tokenizing again would, and are many times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index.building import identify, invert_tags, ordered
from replay.corpus.index.built import Built
from replay.corpus.index.inverting import invert
from replay.corpus.index.segment import Segment


def merge(
    segments: Sequence[Segment],
    record_id: Callable[[int, int], str],
    keep: Sequence[NDArray[np.bool_]] | None = None,
) -> Built:
    """Make one segment of the records of several. It is what `build` makes of the same records, byte for byte.

    Args:
        segments: Their records have distinct ids.
        record_id: The id of a record, by segment and ordinal; asked once for each record that is kept.
        keep: For each segment whether a record goes into the new one, by ordinal; by default all do.

    Returns:
        The new segment. `order` counts through all records of the segments, one segment after the other, the dropped
        ones too: `order[new ordinal]` is the number of records in the segments before, plus the ordinal there.

    Raises:
        CorpusError: Two records have one id.
    """
    parts = []
    ids: list[str] = []
    base = 0
    for number, segment in enumerate(segments):
        kept = np.flatnonzero(keep[number]) if keep is not None else np.arange(len(segment))
        ids += [record_id(number, ordinal) for ordinal in kept.tolist()]
        parts.append(_Part(segment, base, kept))
        base += len(segment)
    lengths = _joined(np.uint32, [part.segment.lengths[part.kept] for part in parts])
    places = ordered(ids, lengths)
    ranks = np.empty(len(places), dtype=np.int64)
    ranks[places] = np.arange(len(places))
    ends = np.cumsum([len(part.kept) for part in parts], dtype=np.int64)
    for part, end in zip(parts, ends.tolist(), strict=True):
        part.ordinals[part.kept] = ranks[end - len(part.kept) : end]

    names = tuple(sorted(set().union(*(part.kinds() for part in parts))))
    vocabulary = np.unique(_joined(np.uint64, [part.segment.vocabulary for part in parts]))
    pairs = _joined(np.uint64, [part.pairs(vocabulary) for part in parts])
    vocabulary, pairs = _without_unused(vocabulary, pairs)
    tags, tagged = zip(*(part.tags() for part in parts), strict=True) if parts else ((), ())
    return Built(
        order=_joined(np.int64, [part.base + part.kept for part in parts])[places],
        arrays={
            **invert(vocabulary, pairs, lengths[places]),
            **invert_tags(_joined(np.uint64, tags), _joined(np.int64, tagged)),
            **identify(_joined(np.uint64, [part.segment.id_hashes[part.kept] for part in parts])[places]),
            "kinds": _joined(np.uint8, [part.codes(names) for part in parts])[places],
            "digests": _joined(np.uint64, [part.segment.digests[part.kept].reshape(-1) for part in parts])
            .reshape(-1, 2)[places]
            .astype("<u8", copy=False),
        },
        kinds=names,
    )


@dataclass
class _Part:
    """What goes into the new segment from an old one: its records `kept`, which get new `ordinals` (-1: none)."""

    segment: Segment
    base: int
    kept: NDArray[np.int64]

    def __post_init__(self) -> None:
        self.ordinals = np.full(len(self.segment), -1, dtype=np.int64)

    def kinds(self) -> set[str]:
        return {self.segment.kind_names[code] for code in np.unique(self.segment.kinds[self.kept]).tolist()}

    def codes(self, names: tuple[str, ...]) -> NDArray[np.uint8]:
        places = {name: code for code, name in enumerate(names)}
        table = np.array([places.get(name, 0) for name in self.segment.kind_names], dtype=np.uint8)
        codes: NDArray[np.uint8] = table[self.segment.kinds[self.kept]]
        return codes

    def tags(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """The hash and the new ordinal of each tag of each record."""
        segment = self.segment
        ordinals = self.ordinals[segment.tag_postings]
        return np.repeat(segment.tags, np.diff(segment.tag_pointers))[ordinals >= 0], ordinals[ordinals >= 0]

    def pairs(self, vocabulary: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """`token << 32 | new ordinal` for each token of each record, tokens as places in the vocabulary."""
        segment = self.segment
        tokens = np.searchsorted(vocabulary, segment.vocabulary).astype(np.uint64) << np.uint64(32)
        parts = [
            _paired(
                np.repeat(tokens, np.diff(segment.pointers.astype(np.int64)).astype(np.int64)),
                self.ordinals[segment.postings],
            )
        ]
        for bit, token in enumerate(segment.common.tolist()):
            holding = np.flatnonzero(segment.bitmaps >> np.uint64(bit) & np.uint64(1))
            parts.append(_paired(tokens[token], self.ordinals[holding]))
        return np.concatenate(parts)


def _paired(tokens: Any, ordinals: NDArray[np.int64]) -> NDArray[np.uint64]:
    pairs: NDArray[np.uint64] = (tokens | ordinals.astype(np.uint64))[ordinals >= 0]
    return pairs


def _without_unused(
    vocabulary: NDArray[np.uint64], pairs: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The tokens that a record still holds, and the pairs with these tokens' places."""
    tokens = (pairs >> np.uint64(32)).astype(np.int64)
    used = np.zeros(len(vocabulary), dtype=np.bool_)
    used[tokens] = True
    if used.all():
        return vocabulary, pairs
    places = np.cumsum(used, dtype=np.uint64) - np.uint64(1)
    return vocabulary[used], places[tokens] << np.uint64(32) | pairs & np.uint64((1 << 32) - 1)


def _joined(dtype: type[np.generic], arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype=dtype), *arrays], dtype=dtype, casting="unsafe")
