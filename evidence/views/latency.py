"""Latencies as counts in buckets of growing width, so that percentiles of any stretch of time are a sum away."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable

BOUNDS_MS = tuple(round(5 * 1.5**step, 1) for step in range(30))
"""Upper bounds; what is longer, some ten minutes, has a bucket of its own."""

_COUNTS = len(BOUNDS_MS) + 1
_LAYOUT = struct.Struct(f"<{_COUNTS}I")
EMPTY = _LAYOUT.pack(*[0] * _COUNTS)


def bucket(milliseconds: float) -> int:
    """The bucket that a latency belongs to."""
    return bisect_left(BOUNDS_MS, milliseconds)


def blank() -> list[int]:
    """No latency yet."""
    return [0] * _COUNTS


def pack(counts: Iterable[int]) -> bytes:
    """Counts as they are stored."""
    return _LAYOUT.pack(*(min(count, 0xFFFFFFFF) for count in counts))


def add(counts: list[int], packed: bytes) -> None:
    """Add stored counts."""
    for at, count in enumerate(_LAYOUT.unpack(packed)):
        counts[at] += count


def total(packed: Iterable[bytes]) -> list[int]:
    """The sum of stored counts."""
    return [sum(counts) for counts in zip(*map(_LAYOUT.unpack, packed), strict=True)]


def percentile(counts: list[int], share: float) -> float | None:
    """The latency in milliseconds below which this share lies, spread evenly within a bucket; None of none."""
    whole = sum(counts)
    if not whole:
        return None
    wanted = share * whole
    below = 0
    for at, count in enumerate(counts):
        if count and below + count >= wanted:
            low = BOUNDS_MS[at - 1] if at else 0.0
            high = BOUNDS_MS[at] if at < len(BOUNDS_MS) else low
            return low + (high - low) * (wanted - below) / count
        below += count
    return BOUNDS_MS[-1]
