"""The Merkle tree over a log's records (RFC 6962), kept as its frontier: log2(n) hashes.

A leaf is the SHA-256 of 0x00 and the 32 bytes of a record's chain hash; a node, of 0x01 and its two children. The tree
only grows, so the root at any earlier size stays provable. Each complete subtree of 256 leaves is also handed out once,
as a *tile*, so that a proof needs no pass over the log (the idea of C2SP's tlog-tiles, at one level).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

TILE = 256
"""Leaves of a tile."""

_TILE_LEVEL = 8


def leaf(hashed: str) -> bytes:
    """The leaf of a record, by its chain hash (`sha256:` and 64 hex digits)."""
    return hashlib.sha256(b"\x00" + bytes.fromhex(hashed[7:])).digest()


def join(left: bytes, right: bytes) -> bytes:
    """The node above two nodes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that can grow and say its root.

    Args:
        size: Leaves.
        peaks: The roots of the complete subtrees that make it up, the largest first, 32 bytes each.
    """

    __slots__ = ("_peaks", "_tiles", "size")

    def __init__(self, size: int = 0, peaks: bytes = b"") -> None:
        if len(peaks) != 32 * size.bit_count():
            raise ValueError(f"{len(peaks)} bytes are no frontier of {size} leaves")
        self.size = size
        self._peaks = [peaks[at : at + 32] for at in range(0, len(peaks), 32)]
        self._tiles: list[tuple[int, bytes]] = []

    @property
    def peaks(self) -> bytes:
        """The frontier, as the constructor takes it."""
        return b"".join(self._peaks)

    def copy(self) -> Tree:
        """One that grows apart from this one, with no tiles taken over."""
        return Tree(self.size, self.peaks)

    def add(self, hashed: str) -> None:
        """Add the record with this chain hash."""
        self.grow(leaf(hashed))

    def grow(self, node: bytes) -> None:
        """Add a leaf."""
        rest, level = self.size, 0
        while rest & 1:
            node = join(self._peaks.pop(), node)
            rest >>= 1
            level += 1
            if level == _TILE_LEVEL:
                self._tiles.append((self.size // TILE, node))
        self._peaks.append(node)
        self.size += 1

    def take_tiles(self) -> list[tuple[int, bytes]]:
        """The tiles that were completed since they were last taken: number from 0, and hash."""
        tiles, self._tiles = self._tiles, []
        return tiles

    def root(self) -> bytes:
        """The hash of the whole."""
        return fold(self._peaks)


def fold(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, the largest first."""
    if not peaks:
        return hashlib.sha256(b"").digest()
    node = peaks[-1]
    for peak in reversed(peaks[:-1]):
        node = join(peak, node)
    return node


def subtree(
    start: int, count: int, tile: Callable[[int], bytes], leaves: Callable[[int, int], Sequence[bytes]]
) -> bytes:
    """The hash over `count` leaves from `start` on, which is a multiple of the power of two that holds them.

    Args:
        start: The first leaf, counted from 0.
        count: At least 1.
        tile: The hash of a complete tile, by number.
        leaves: The hashes of some leaves, by the first and their number, fewer than a tile's.
    """
    if count == TILE:
        return tile(start // TILE)
    if count < TILE:
        tree = Tree()
        for node in leaves(start, count):
            tree.grow(node)
        return tree.root()
    left = _split(count)
    return join(subtree(start, left, tile, leaves), subtree(start + left, count - left, tile, leaves))


def path(index: int, size: int, node: Callable[[int, int], bytes]) -> list[bytes]:
    """The inclusion path of leaf `index` in a tree of `size` leaves, from the leaf up (RFC 6962, 2.1.1).

    Args:
        index: Counted from 0.
        size: More than `index`.
        node: The hash over some leaves, by the first and their number.
    """
    hashes: list[bytes] = []
    start, count = 0, size
    while count > 1:
        left = _split(count)
        if index - start < left:
            hashes.append(node(start + left, count - left))
            count = left
        else:
            hashes.append(node(start, left))
            start, count = start + left, count - left
    return hashes[::-1]


def root_by_path(index: int, size: int, node: bytes, hashes: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its path come to; None where the path is not of that shape (RFC 9162, 2.1.3.2).

    Args:
        index: Of the leaf, from 0.
        size: Leaves of the tree.
        node: The leaf.
        hashes: The path, from the leaf up.
    """
    if not 0 <= index < size:
        return None
    place, last = index, size - 1
    for sibling in hashes:
        if last == 0:
            return None
        if place & 1 or place == last:
            node = join(sibling, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = join(node, sibling)
        place, last = place >> 1, last >> 1
    return node if last == 0 else None


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1
