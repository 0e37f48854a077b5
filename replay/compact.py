"""Sets of texts that must not cost much: a million of them in some twenty megabytes, where Python's own take a hundred.

Each text is kept as 94 bits of its BLAKE2b. Two of a million texts meet with a chance of about 10^-16; what is built on
this says how it errs then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

_BUCKETS = 1 << 14
_KEY_BYTES = 10
_NUMBER_BYTES = 5


class TextSet:
    """A set of texts that can only grow and be asked.

    Args:
        texts: What is in it at the beginning.
    """

    __slots__ = ("_buckets", "_count")
    __hash__ = None  # type: ignore[assignment]  # it changes

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._buckets: dict[int, bytearray] = {}
        self._count = 0
        for text in texts:
            self.add(text)

    def add(self, text: str) -> bool:
        """Put a text in; False where it was there."""
        number, key = _place(text)
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = bytearray(key)
        elif _find(bucket, key, _KEY_BYTES) >= 0:
            return False
        else:
            bucket += key
        self._count += 1
        return True

    def __contains__(self, text: object) -> bool:
        if not self._count or not isinstance(text, str):
            return False
        number, key = _place(text)
        bucket = self._buckets.get(number)
        return bucket is not None and _find(bucket, key, _KEY_BYTES) >= 0

    def __len__(self) -> int:
        return self._count

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TextSet):
            return {key: _sorted(held) for key, held in self._buckets.items()} == {
                key: _sorted(held) for key, held in other._buckets.items()
            }
        if isinstance(other, AbstractSet):
            return len(other) == len(self) and all(text in self for text in other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"TextSet({self._count} texts)"


class FirstNumbers:
    """Texts, and with which number each of them came first."""

    __slots__ = ("_buckets",)

    _WIDTH = _KEY_BYTES + _NUMBER_BYTES

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}

    def put(self, text: str, number: int) -> int | None:
        """Note a text; the number of the earlier one where it was there already."""
        place, key = _place(text)
        bucket = self._buckets.get(place)
        if bucket is None:
            bucket = self._buckets[place] = bytearray()
        at = _find(bucket, key, self._WIDTH)
        if at >= 0:
            return int.from_bytes(bucket[at + _KEY_BYTES : at + self._WIDTH], "big")
        bucket += key + number.to_bytes(_NUMBER_BYTES, "big")
        return None


def _place(text: str) -> tuple[int, bytes]:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES + 2).digest()
    return (digest[0] << 8 | digest[1]) % _BUCKETS, digest[2:]


def _find(bucket: bytearray, key: bytes, width: int) -> int:
    at = bucket.find(key)
    # What is found may lie across two entries.
    while at > 0 and at % width:
        at = bucket.find(key, at + 1)
    return at


def _sorted(held: bytearray) -> list[bytes]:
    return sorted(bytes(held[at : at + _KEY_BYTES]) for at in range(0, len(held), _KEY_BYTES))
