"""Finding what stands twice among millions of names, in eight bytes for each."""

from __future__ import annotations

from array import array


class Names:
    """Names in the order in which they come, each with the number of its record.

    Kept is Python's own 64-bit hash, which is keyed anew in each process: nobody can prepare names that meet. Equal
    hashes are candidates; who asks compares the names themselves.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._seqs = array("q")

    def add(self, name: str, seq: int) -> None:
        """Keep a name."""
        self._hashes.append(hash(name))
        self._seqs.append(seq)

    def candidates(self) -> set[int]:
        """Numbers of the records whose names may stand twice: usually none."""
        import numpy as np  # noqa: PLC0415  takes longer to load than a small log to prove

        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        same = hashes[order[1:]] == hashes[order[:-1]]
        places = np.union1d(order[1:][same], order[:-1][same])
        return {self._seqs[int(place)] for place in places}
