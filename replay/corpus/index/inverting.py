"""From (token, record) pairs to what a segment holds of them.

The `COMMON` tokens in most records become one 64-bit word for each record, bit i for the i-th of them. Every other
token has its postings: the ordinals of the records that hold it, ascending.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COMMON = 64
MAX_RECORDS = 1 << 31
_ORDINAL_BITS = np.uint64(32)
_ORDINALS = np.uint64((1 << 32) - 1)


def invert(
    vocabulary: NDArray[np.uint64], pairs: NDArray[np.uint64], lengths: NDArray[np.uint32]
) -> dict[str, NDArray[Any]]:
    """The arrays of a segment that concern tokens.

    Args:
        vocabulary: Sorted hashes of the tokens; each is in at least one record.
        pairs: `token << 32 | ordinal` of each distinct pair, token being the place in `vocabulary`. Sorted in place.
        lengths: Number of distinct tokens of each record, by ordinal.
    """
    pairs.sort()
    starts = np.searchsorted(pairs, np.arange(len(vocabulary) + 1, dtype=np.uint64) << _ORDINAL_BITS)
    frequencies = np.diff(starts)
    # The commonest first; the stable sort lets the lower hash win a tie.
    common = np.argsort(-frequencies, kind="stable")[:COMMON]
    bitmaps = np.zeros(len(lengths), dtype="<u8")
    kept = np.ones(len(pairs), dtype=np.bool_)
    for bit, token in enumerate(common):
        span = slice(starts[token], starts[token + 1])
        bitmaps[pairs[span] & _ORDINALS] |= np.uint64(1 << bit)
        kept[span] = False
    listed = frequencies.copy()
    listed[common] = 0
    pointers = np.zeros(len(vocabulary) + 1, dtype="<i8")
    np.cumsum(listed, out=pointers[1:])
    pairs &= _ORDINALS
    return {
        "vocabulary": vocabulary.astype("<u8", copy=False),
        "pointers": pointers if pointers[-1] >= 1 << 32 else pointers.astype("<u4"),
        "postings": pairs[kept].astype("<i4"),
        "common": common.astype("<i4"),
        "common_frequencies": frequencies[common].astype("<u4"),
        "bitmaps": bitmaps,
        "lengths": lengths.astype("<u4", copy=False),
    }
