"""Entries of an index, and segments of them on disk, for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from replay.corpus.index import Built, Entry, Segment

Entries = list[Entry]


def entry(record_id: str, text: str, *, kind: str = "note", tags: tuple[str, ...] = ()) -> Entry:
    """An entry with a digest of its own."""
    digest = hashlib.blake2b(f"{record_id} {text}".encode(), digest_size=16).digest()
    return Entry(record_id, text, kind, tags, digest)


def offsets(built: Built) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Where records of ten bytes each would lie."""
    return np.arange(len(built) + 1, dtype=np.int64) * 10


def written(built: Built, path: Path) -> str:
    """Write a segment; the SHA-256 of the file."""
    content = b"".join(built.serialise(offsets(built)))
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def opened(built: Built, path: Path) -> Segment:
    """Write a segment and open it."""
    return Segment.open(path, sha256=written(built, path))
