"""What of one text stands in another, in order: the longest common subsequence of their atoms, in bounded time.

Ends that agree are taken off, atoms that are unique to both anchor the rest (patience diff, after Bram Cohen), and the
short stretches that remain are solved exactly. A second look finds blocks that were moved as a whole. Work is bounded
by the summed lengths of the two texts times a constant, whatever stands in them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from replay.gate.reading import Atom

EXACT_CELLS = 4000  # the largest stretch times stretch that is solved exactly; a larger one needs anchors
MAX_DEPTH = 12
CANDIDATES = 6  # places that are tried for a moved block
_BLOCK, _BLOCK_CONTENT = 3, 2
# Words before numbers: where two things have swapped their numbers, it is the numbers that moved.
_WEIGHTS = {"word": 4, "number": 3, "generic": 3, "function": 1}


@dataclass(frozen=True)
class Edit:
    """A stretch that differs: what the claim says there, and what the source says there; one of them may be empty."""

    said: tuple[Atom, ...]
    given: tuple[Atom, ...]


@dataclass(frozen=True)
class Alignment:
    """Where each atom of the claim stands in the source.

    Attributes:
        at: For each atom of the claim its place in the source, or -1.
        moved: Places in the claim whose atoms stand in the source, but in another order.
        edits: Where the two differ, in the order of the claim.
    """

    at: tuple[int, ...]
    moved: frozenset[int]
    edits: tuple[Edit, ...]


def align(claim: Sequence[Atom], source: Sequence[Atom]) -> Alignment:
    """Align a claim with the source that it cites."""
    at = [-1] * len(claim)
    _Matcher(claim, source, at).match(0, len(claim), 0, len(source), 0)
    in_order = list(at)
    moved = _move(claim, source, at)
    return Alignment(tuple(at), moved, tuple(_edits(claim, source, in_order, at)))


@dataclass(frozen=True)
class _Matcher:
    claim: Sequence[Atom]
    source: Sequence[Atom]
    at: list[int]

    def match(self, low: int, high: int, start: int, stop: int, depth: int) -> None:
        """Match `claim[low:high]` with `source[start:stop]`."""
        claim, source, at = self.claim, self.source, self.at
        while low < high and start < stop and claim[low].key == source[start].key:
            at[low] = start
            low, start = low + 1, start + 1
        while low < high and start < stop and claim[high - 1].key == source[stop - 1].key:
            high, stop = high - 1, stop - 1
            at[high] = stop
        if low == high or start == stop:
            return
        if (high - low) * (stop - start) <= EXACT_CELLS:
            self._exact(low, high, start, stop)
            return
        if depth == MAX_DEPTH:
            return
        anchors = self._anchors(low, high, start, stop)
        for one, other in [*anchors, (high, stop)] if anchors else []:
            self.match(low, one, start, other, depth + 1)
            if one < high:
                at[one] = other
            low, start = one + 1, other + 1

    def _anchors(self, low: int, high: int, start: int, stop: int) -> list[tuple[int, int]]:
        """Pairs of atoms that are unique to both stretches, the longest increasing run of them."""
        ours = Counter(atom.key for atom in self.claim[low:high])
        theirs = Counter(atom.key for atom in self.source[start:stop])
        place = {self.source[there].key: there for there in range(start, stop)}
        pairs = [
            (here, place[key])
            for here in range(low, high)
            if ours[key := self.claim[here].key] == 1 and theirs[key] == 1
        ]
        tails: list[int] = []
        ends: list[int] = []
        before: list[int] = []
        for number, (_, there) in enumerate(pairs):
            length = bisect_left(tails, there)
            before.append(ends[length - 1] if length else -1)
            tails[length : length + 1] = [there]
            ends[length : length + 1] = [number]
        run: list[tuple[int, int]] = []
        number = ends[-1] if ends else -1
        while number >= 0:
            run.append(pairs[number])
            number = before[number]
        return run[::-1]

    def _exact(self, low: int, high: int, start: int, stop: int) -> None:
        """The heaviest common subsequence, by dynamic programming; content weighs more than joining words."""
        ours, theirs = self.claim[low:high], self.source[start:stop]
        keys = [atom.key for atom in theirs]
        width = len(keys)
        table = [[0] * (width + 1)]
        for atom in reversed(ours):
            below, row, key, weight = table[-1], [0] * (width + 1), atom.key, _WEIGHTS[atom.kind]
            for there in range(width - 1, -1, -1):
                best = max(row[there + 1], below[there])
                if keys[there] == key and below[there + 1] + weight > best:
                    best = below[there + 1] + weight
                row[there] = best
            table.append(row)
        table.reverse()
        here = there = 0
        while here < len(ours) and there < width:
            atom = ours[here]
            if atom.key == keys[there] and table[here][there] == table[here + 1][there + 1] + _WEIGHTS[atom.kind]:
                self.at[low + here] = start + there
                here, there = here + 1, there + 1
            elif table[here + 1][there] >= table[here][there + 1]:
                here += 1
            else:
                there += 1


def _move(claim: Sequence[Atom], source: Sequence[Atom], at: list[int]) -> frozenset[int]:
    """Find the blocks of the claim that stand elsewhere in the source; enters them in `at`."""
    used = set(at)
    places: dict[str, list[int]] = {}
    for there, atom in enumerate(source):
        if there not in used:
            places.setdefault(atom.key, []).append(there)
    moved: set[int] = set()
    here = 0
    while here < len(claim):
        best, place = 0, -1
        if at[here] < 0:
            for there in places.get(claim[here].key, ())[:CANDIDATES]:
                length = 0
                while (
                    here + length < len(claim)
                    and there + length < len(source)
                    and at[here + length] < 0
                    and there + length not in used
                    and claim[here + length].key == source[there + length].key
                ):
                    length += 1
                if length > best:
                    best, place = length, there
        if _is_block(claim[here : here + best]):
            for offset in range(best):
                at[here + offset] = place + offset
                used.add(place + offset)
            moved.update(range(here, here + best))
            here += best
        else:
            here += 1
    return frozenset(moved)


def _is_block(atoms: Sequence[Atom]) -> bool:
    """Is a stretch long enough not to stand elsewhere by chance?"""
    content = sum(atom.is_content for atom in atoms)
    return content >= _BLOCK_CONTENT or len(atoms) >= _BLOCK


def _edits(claim: Sequence[Atom], source: Sequence[Atom], in_order: list[int], at: list[int]) -> list[Edit]:
    moved_to = {there for here, there in enumerate(at) if there >= 0 and in_order[here] < 0}
    edits: list[Edit] = []
    said: list[Atom] = []
    start = 0
    for here in range(len(claim) + 1):
        there = in_order[here] if here < len(claim) else len(source)
        if there < 0:
            if at[here] < 0:
                said.append(claim[here])
            continue
        given = [source[between] for between in range(start, there) if between not in moved_to]
        if said or given:
            edits.append(Edit(tuple(said), tuple(given)))
        said, start = [], there + 1
    return edits
