"""A stand-in for an embedder: no model, no meaning, the same vectors everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class StandInEmbedder:
    """Vectors made of hashes: texts that share words lie near each other, and nothing else does.

    Attributes:
        texts: Every text that it was asked for, in order.
        fail_after: How many calls are answered, and what each further one raises; None: all are answered.
    """

    def __init__(self, name: str = "stand-in-hashes", dimensions: int = 64) -> None:
        self.name = name
        self.dimensions = dimensions
        self.texts: list[str] = []
        self.fail_after: tuple[int, Exception] | None = None
        self._calls = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The sum of the hashed directions of a text's words, at unit length."""
        if self.fail_after is not None and self._calls >= self.fail_after[0]:
            raise self.fail_after[1]
        self._calls += 1
        self.texts += texts
        sums = [np.sum([self._direction(word) for word in text.lower().split() or [""]], axis=0) for text in texts]
        found = np.array(sums, np.float64).reshape(len(texts), self.dimensions)
        unit: NDArray[np.float64] = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit.astype(np.float32)

    def _direction(self, word: str) -> NDArray[np.float64]:
        seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        return np.random.default_rng(seed).standard_normal(self.dimensions)
