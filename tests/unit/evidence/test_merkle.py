from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from evidence.merkle import TILE, Tree, join, leaf, path, root_by_path, subtree

# The inputs and roots that Certificate Transparency's own tests use for RFC 6962.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def _naive(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return join(_naive(leaves[:split]), _naive(leaves[split:]))


def test_known_roots() -> None:
    """The tree is the one of RFC 6962."""
    tree = Tree()
    for size in range(9):
        if size in ROOTS:
            assert tree.root().hex() == ROOTS[size]
        if size < 8:
            tree.grow(hashlib.sha256(b"\x00" + bytes.fromhex(INPUTS[size])).digest())


def test_a_leaf_is_the_hash_of_a_hash() -> None:
    """A record's leaf is over the 32 bytes of its chain hash, not over their hex digits."""
    assert leaf("sha256:" + "00" * 32) == hashlib.sha256(b"\x00" * 33).digest()


@pytest.fixture(scope="module")
def grown() -> tuple[list[bytes], dict[int, bytes], list[bytes]]:
    """Leaves, the tiles that a tree over them gave out, and its root at each size."""
    leaves = [leaf("sha256:" + hashlib.sha256(str(n).encode()).hexdigest()) for n in range(2 * TILE + 77)]
    tiles: dict[int, bytes] = {}
    tree, roots = Tree(), []
    for node in leaves:
        roots.append(tree.root())
        tree.grow(node)
        tree = Tree(tree.size, tree.peaks) if tree.size % 100 == 0 and not tiles.update(tree.take_tiles()) else tree
    tiles.update(tree.take_tiles())
    return leaves, tiles, [*roots, tree.root()]


def test_a_tree_goes_on_from_its_frontier(grown: tuple[list[bytes], dict[int, bytes], list[bytes]]) -> None:
    """Taken up again from the frontier alone, a tree has the same roots and gives out each tile once."""
    leaves, tiles, roots = grown
    assert all(roots[size] == _naive(leaves[:size]) for size in (1, 5, 255, 256, 257, 500, 512, 513, len(leaves)))
    assert tiles == {n: _naive(leaves[n * TILE : (n + 1) * TILE]) for n in range(2)}


def _node(leaves: list[bytes], tiles: dict[int, bytes]) -> Callable[[int, int], bytes]:
    return lambda start, count: subtree(start, count, tiles.__getitem__, lambda at, n: leaves[at : at + n])


def test_every_leaf_has_a_path(grown: tuple[list[bytes], dict[int, bytes], list[bytes]]) -> None:
    """Path and leaf come to the root, at small sizes for each leaf, at large ones for those at the edges of tiles."""
    leaves, tiles, roots = grown
    node = _node(leaves, tiles)
    cases = [(index, size) for size in range(1, 20) for index in range(size)]
    cases += [(index, size) for size in (300, 512, 589) for index in (0, 1, 255, 256, 299, size - 1)]
    for index, size in cases:
        hashes = path(index, size, node)
        assert root_by_path(index, size, leaves[index], hashes) == roots[size], (index, size)
        assert len(hashes) <= size.bit_length()
        if size > 1:
            assert root_by_path(index, size, leaves[index], hashes[:-1]) is None
            assert root_by_path(index, size, leaves[index], [*hashes, hashes[0]]) is None
            assert root_by_path((index + 1) % size, size, leaves[index], hashes) != roots[size]
    assert root_by_path(5, 5, leaves[5], []) is None


def test_no_size_looks_like_another(grown: tuple[list[bytes], dict[int, bytes], list[bytes]]) -> None:
    """Each further leaf changes the root, and a frontier fits its size only."""
    assert all(before != after for before, after in pairwise(grown[2]))
    with pytest.raises(ValueError, match="no frontier of 5"):
        Tree(5, b"\x00" * 32)
