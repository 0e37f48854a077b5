"""A segment that was made and is not yet written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus.index import blobs
from replay.corpus.tokens import TOKENIZER

MAGIC = b"replay-index.v1\n"


@dataclass(frozen=True)
class Built:
    """A segment in memory.

    Attributes:
        order: `order[ordinal]` is the position in the input of the record with this ordinal.
        arrays: What the file will hold, but the offsets.
        kinds: Names of the kinds, by their codes.
    """

    order: NDArray[np.int64]
    arrays: Mapping[str, NDArray[Any]]
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.order)

    def serialise(self, offsets: NDArray[np.int64]) -> Iterator[bytes | memoryview]:
        """The bytes of the file, in pieces to write one after the other. The same input gives the same bytes.

        Args:
            offsets: Where each record starts in the record file, in order of the ordinals, and where the last one ends.
        """
        if len(offsets) != len(self) + 1:
            raise ValueError(f"{len(offsets)} offsets for {len(self)} records: one more than records is needed")
        arrays = {**self.arrays, "offsets": np.ascontiguousarray(offsets, dtype="<i8")}
        return blobs.write(MAGIC, arrays, {"tokenizer": TOKENIZER, "kinds": list(self.kinds)})
