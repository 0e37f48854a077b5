"""Near-duplicates of many token sets among the records of a segment, by its postings: all sets at once, exactly.

A prefix filter, as in `neighbours`: a record with similarity 0.9 lacks at most every tenth token of a set, so it holds
one of the `n - ceil(0.9 n) + 1` rarest. Their postings, within the lengths that are possible, give pairs of set and
record. Then the set's tokens are looked up for all pairs together, the rarest first; a pair goes as soon as it lacks
too many, so most pairs cost a few lookups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replay.corpus import index
from replay.corpus.index.encoding import Encoded
from replay.corpus.neighbours import NEAR

Ints = NDArray[np.int64]

_POSTINGS = 1 << 20
"""Postings that are looked through at a time, which bounds the memory to some 100 MB."""


@dataclass(frozen=True)
class _Asked:
    """The sets as the segment knows them, without those of which it knows too few tokens.

    Attributes:
        sizes: Tokens of each set.
        least: The shortest record that can be near, for each set; also how many tokens must be shared at least.
        tokens: Ids of the tokens that have postings, set by set, the rarest of each first.
        pointers: Where each set starts in `tokens`, and where the last one ends.
        masks: The common tokens of each set, as bits.
        prefix: How many of the rarest tokens lead to every near record, for each set; 0: there is none.
    """

    sizes: Ints
    least: Ints
    tokens: Ints
    pointers: Ints
    masks: NDArray[np.uint64]
    prefix: Ints


def near(segment: index.Segment, sets: Encoded) -> Iterator[tuple[int, int, float]]:
    """Number of the set, ordinal of the record and their Jaccard similarity, for each pair of 0.9 or more."""
    if not len(segment) or not len(sets.flat):
        return
    asked = _asked(segment, sets)
    for numbers, ordinals in _pairs(segment, asked):
        yield from _confirmed(segment, asked, numbers, ordinals)


def _asked(segment: index.Segment, sets: Encoded) -> _Asked:
    sizes = sets.lengths.astype(np.int64)
    least = -(-sizes * NEAR[0] // NEAR[1])
    ids = segment.token_ids(sets.vocabulary)[sets.flat]
    owners = np.repeat(np.arange(len(sizes)), sizes)
    known = np.bincount(owners[ids >= 0], minlength=len(sizes))
    prefix = np.where((sizes > 0) & (known >= least), known - least + 1, 0)
    kept = (ids >= 0) & (prefix[owners] > 0)
    ids, owners = ids[kept], owners[kept]
    counts = _counts(segment, ids)
    # A token without postings is one of the commonest, which have a bit each.
    common = counts == 0
    bits = np.array([segment.bits[token] for token in ids[common].tolist()], dtype=np.uint64)
    masks = np.zeros(len(sizes), np.uint64)
    np.bitwise_or.at(masks, owners[common], np.uint64(1) << bits)
    ids, owners, counts = ids[~common], owners[~common], counts[~common]
    order = np.lexsort((counts, owners))
    pointers = np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=len(sizes)))))
    return _Asked(sizes, least, ids[order], pointers, masks, prefix)


def _pairs(segment: index.Segment, asked: _Asked) -> Iterator[tuple[Ints, Ints]]:
    """Sets and the records that hold a token of their prefix, each pair once."""
    listed = np.minimum(asked.prefix, np.diff(asked.pointers))
    places = _ranges(asked.pointers[:-1], listed)
    owners = np.repeat(np.arange(len(listed)), listed)
    counts = _counts(segment, asked.tokens[places])
    ends = np.cumsum(counts)
    start = 0
    while start < len(places):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + _POSTINGS, side="right")))
        # The tokens of a set stay together, or a pair could come twice.
        end += int(np.searchsorted(owners[end:], owners[end - 1], side="right"))
        part = slice(start, end)
        ordinals = segment.postings[
            _ranges(segment.pointers[asked.tokens[places[part]]].astype(np.int64), counts[part])
        ]
        yield _fitting(segment, asked, np.repeat(owners[part], counts[part]), ordinals.astype(np.int64))
        start = end
    # Where the prefix reaches into the common tokens, the bitmaps tell the records that hold one.
    for number in np.flatnonzero(asked.prefix > listed).tolist():
        most = asked.sizes[number] * NEAR[1] // NEAR[0]
        first, last = np.searchsorted(segment.lengths, [asked.least[number], most + 1])
        mask = _rarest(int(asked.masks[number]), int(asked.prefix[number] - listed[number]))
        found = first + np.flatnonzero(segment.bitmaps[first:last] & mask)
        held = np.concatenate(
            [segment.postings[slice(*segment.pointers[token : token + 2])] for token in _of(asked, number).tolist()]
            or [np.zeros(0, np.int32)]
        )
        found = np.setdiff1d(found, held)
        yield np.full(len(found), number), found


def _fitting(segment: index.Segment, asked: _Asked, numbers: Ints, ordinals: Ints) -> tuple[Ints, Ints]:
    lengths = segment.lengths[ordinals].astype(np.int64)
    fits = (lengths >= asked.least[numbers]) & (lengths * NEAR[0] <= asked.sizes[numbers] * NEAR[1])
    pairs = np.unique(numbers[fits] * len(segment) + ordinals[fits])
    return pairs // len(segment), pairs % len(segment)


def _rarest(mask: int, count: int) -> np.uint64:
    """So many of the bits, those of the rarest tokens: the first bit is that of the commonest."""
    while mask.bit_count() > count:
        mask &= mask - 1
    return np.uint64(mask)


def _of(asked: _Asked, number: int) -> Ints:
    return asked.tokens[asked.pointers[number] : asked.pointers[number + 1]]


def _confirmed(
    segment: index.Segment, asked: _Asked, numbers: Ints, ordinals: Ints
) -> Iterator[tuple[int, int, float]]:
    """Those of the pairs that are near, with their similarity."""
    bitmaps = segment.bitmaps[ordinals]
    both = segment.lengths[ordinals].astype(np.int64) + asked.sizes[numbers]
    listed = np.diff(asked.pointers)[numbers]
    others = segment.lengths[ordinals].astype(np.int64) - np.bitwise_count(bitmaps)
    common = np.bitwise_count(bitmaps & asked.masks[numbers]).astype(np.int64)
    # What a pair can share at most, until all tokens are looked up: then it is what it shares.
    shared = common + listed
    likely = _is_near(common + np.minimum(listed, others), both)
    step = 0
    while True:
        numbers, ordinals, both, listed, shared = (one[likely] for one in (numbers, ordinals, both, listed, shared))
        left = np.flatnonzero(listed > step)
        if not len(left):
            break
        tokens = asked.tokens[asked.pointers[numbers[left]] + step]
        shared[left] -= ~_holds(segment, tokens, ordinals[left])
        likely = _is_near(shared, both)
        step += 1
    scores = shared / (both - shared)
    yield from zip(numbers.tolist(), ordinals.tolist(), scores.tolist(), strict=True)


def _holds(segment: index.Segment, tokens: Ints, ordinals: Ints) -> NDArray[np.bool_]:
    """Does each record hold the token beside it? A binary search in all their postings at once."""
    low = segment.pointers[tokens].astype(np.int64)
    end = segment.pointers[tokens + 1].astype(np.int64)
    high = end.copy()
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) >> 1
        below = (low < high) & (segment.postings[np.minimum(middle, len(segment.postings) - 1)] < ordinals)
        low = np.where(below, middle + 1, low)
        high = np.where(below, high, middle)
    held: NDArray[np.bool_] = (low < end) & (segment.postings[np.minimum(low, len(segment.postings) - 1)] == ordinals)
    return held


def _is_near(shared: Ints, both: Ints) -> NDArray[np.bool_]:
    likely: NDArray[np.bool_] = shared * NEAR[1] >= (both - shared) * NEAR[0]
    return likely


def _counts(segment: index.Segment, tokens: Ints) -> Ints:
    """How many postings each token has."""
    return segment.pointers[tokens + 1].astype(np.int64) - segment.pointers[tokens].astype(np.int64)


def _ranges(starts: Ints, counts: Ints) -> Ints:
    """The numbers from each start on, so many of each."""
    return np.arange(int(counts.sum())) + np.repeat(starts - np.cumsum(counts) + counts, counts)
