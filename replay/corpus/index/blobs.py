"""A file of named arrays, read by mapping it: written once, verified as a whole, shared by all who open it.

Layout, numbers little-endian::

    magic            16 bytes: what kind of file this is, and the version of its form
    length           8 bytes: of the header
    header           JSON: {"size": bytes of the body, "arrays": {name: [dtype, [shape], place]}, "about": {...}}
    zeros            up to a multiple of 64
    body             the arrays, each at its place (counted from here), a multiple of 64, zeros between them
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from replay.corpus.tokens import TOKENIZER
from replay.errors import CorpusError

Array = NDArray[Any]
Opened = TypeVar("Opened")

ALIGNMENT = 64
MAGIC_BYTES = 16
REBUILD_HINT = "Restore that file from a copy, or build the corpus again: replay corpus build."

_START = MAGIC_BYTES + 8
_DTYPES = frozenset({"<u8", "<i8", "<u4", "<i4", "<u2", "|u1"})
_PIECE = 1 << 24


@dataclass(frozen=True)
class Blobs:
    """An opened file: its arrays, mapped and read-only, and what its header says about them."""

    arrays: Mapping[str, Array]
    about: Mapping[str, Any]


def write(magic: bytes, arrays: Mapping[str, Array], about: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    """The bytes of a file, in pieces: buffers of the arrays themselves, none is copied whole.

    The same arrays give the same bytes.
    """
    placed: dict[str, list[Any]] = {}
    end = 0
    for name, array in arrays.items():
        placed[name] = [array.dtype.str, list(array.shape), end]
        end = _aligned(end + array.nbytes)
    header = json.dumps({"size": end, "arrays": placed, "about": about}, separators=(",", ":"), sort_keys=True).encode()
    head = magic + len(header).to_bytes(8, "little") + header
    yield head + bytes(_aligned(len(head)) - len(head))
    for array in arrays.values():
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        yield from (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))
        if padding := _aligned(array.nbytes) - array.nbytes:
            yield bytes(padding)


def open_as(path: Path, magic: bytes, make: Callable[[Blobs], Opened], *, sha256: str) -> Opened:
    """Map a file of arrays over tokens, verify it, and make of it what it is.

    Args:
        path: The file.
        magic: What it must start with.
        make: Takes what it needs by name.
        sha256: Hex digest of the whole file.

    Raises:
        CorpusError: As `read`, or the file lacks something, or another version of Replay wrote it.
    """
    found = read(path, magic, sha256=sha256)
    tokenizer = found.about.get("tokenizer")
    if tokenizer != TOKENIZER:
        raise CorpusError(
            f"corpus file {path} was built with tokenizer {tokenizer}, and this version has {TOKENIZER}",
            hint="Build the corpus again: replay corpus build.",
        )
    try:
        return make(found)
    except KeyError as error:
        raise _damaged(path, f"it lacks {error}") from None


def read(path: Path, magic: bytes, *, sha256: str) -> Blobs:
    """Map a file, and verify all its bytes.

    Args:
        path: The file.
        magic: What it must start with.
        sha256: Hex digest of the whole file.

    Raises:
        CorpusError: The file is missing, cut, of another kind, or not the one that was written.
    """
    content = _map(path)
    head = content[:MAGIC_BYTES]
    if len(content) < _START:
        raise _damaged(path, f"it has {len(content)} bytes, which is not even a header")
    if head != magic:
        raise _damaged(path, f"it starts with {head!r} where {magic!r} belongs: another kind or version of file")
    length = int.from_bytes(content[MAGIC_BYTES:_START], "little")
    body = _aligned(_START + length)
    if body > len(content):
        raise _damaged(path, f"it is cut: {len(content)} bytes, and its header alone ends at {body}")
    # First the whole, so that a cut file is told from one with a flipped byte; the rest is then as it was written.
    header = _header(path, content[_START : _START + length])
    if body + header["size"] != len(content):
        raise _damaged(path, f"it has {len(content)} bytes where its header says {body + header['size']}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise _damaged(path, f"its SHA-256 is {found}, and {sha256} was written")
    arrays = {name: _array(path, content, body, name, place) for name, place in header["arrays"].items()}
    return Blobs(arrays, header["about"])


def _map(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    except FileNotFoundError:
        raise CorpusError(f"corpus file {path} is missing", hint=REBUILD_HINT) from None
    except OSError as error:
        raise CorpusError(f"corpus file {path} cannot be read: {error.strerror}", hint=REBUILD_HINT) from error


def _header(path: Path, content: bytes) -> dict[str, Any]:
    try:
        header = json.loads(content)
    except ValueError:
        raise _damaged(path, "its header is not JSON") from None
    if (
        not isinstance(header, dict)
        or not isinstance(header.get("size"), int)
        or not isinstance(header.get("arrays"), dict)
        or not isinstance(header.get("about"), dict)
    ):
        raise _damaged(path, "its header lacks size, arrays or about")
    return header


def _array(path: Path, content: mmap.mmap | bytes, body: int, name: str, place: Any) -> Array:
    """An array where the header places it. Checked although the hash was: the file may be another program's."""
    try:
        dtype, shape, start = place
        count = math.prod(shape)
        end = body + start + count * np.dtype(dtype).itemsize
        fits = dtype in _DTYPES and min(start, *shape, 0) >= 0 and start % ALIGNMENT == 0 and end <= len(content)
    except (TypeError, ValueError):
        raise _damaged(path, f"its header places {name} at {place!r}") from None
    if not fits:
        raise _damaged(path, f"its array {name} ({dtype}, {shape} at {start}) is out of bounds")
    return np.frombuffer(content, dtype=dtype, count=count, offset=body + start).reshape(shape)


def _damaged(path: Path, what: str) -> CorpusError:
    return CorpusError(f"corpus file {path} is damaged: {what}", hint=REBUILD_HINT)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
