"""What enters the index, and the hashes that stand for strings in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as the index sees it.

    Attributes:
        record_id: Unlike that of any other entry.
        text: What is tokenized; the record is found by these tokens.
        kind: For filters.
        tags: For filters.
        digest: 16 bytes that prove the stored record.
    """

    record_id: str
    text: str
    kind: str
    tags: tuple[str, ...]
    digest: bytes


def hash_tokens(tokens: Iterable[str]) -> NDArray[np.uint64]:
    """The 8-byte BLAKE2b hash of each string, in order: of tokens, and of record ids and tags as well.

    Two strings of a corpus share a hash with a chance of about n^2 / 2^65: 1e-7 for two million tokens.
    """
    joined = b"".join([blake2b(token.encode(), digest_size=8).digest() for token in tokens])
    return np.frombuffer(joined, dtype="<u8")
