"""Vectors of records on disk.

Layout of a corpus directory with vectors::

    vectors/<embedder>-<8 hex>/<group>/<64 hex>.vectors

A row is one piece of a record (`pieces`) and names the record by the digest of its stored bytes, not by its place. So
vectors belong to no segment: merging segments, publishing and going back to an old version need no new ones, and what
several versions share is stored once. A file is named by the SHA-256 of its bytes and never changed; it is mapped, so
processes share it. A file of more than `GRAPH_ROWS` rows carries a graph over them (HNSW, by usearch: Malkov and
Yashunin 2018).
"""

from __future__ import annotations

import hashlib
import importlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replay.corpus import durable
from replay.corpus.index import blobs
from replay.corpus.manifest import GroupName
from replay.corpus.pieces import PIECES
from replay.errors import ConfigurationError, CorpusError

MAGIC = b"replay.vectors.1"
GRAPH_ROWS = 100_000
SUFFIX = ".vectors"

_CONNECTIVITY = 16
_EXPANSION_ADD = 128
_LOOKED_AT = 512  # nodes that a graph search keeps in view: finds 0.96 or more of the nearest 64 (docs/hybrid.md)
_TRIES = 5


@dataclass(frozen=True)
class VectorFile:
    """An opened file of vectors.

    Attributes:
        path: Where it lies.
        digests: (rows, 2) u64, the digest of each row's record.
        matrix: (rows, dimensions) f32, each row of unit length.
        graph: A usearch index of the rows; None for a file that is searched exactly.
    """

    path: Path
    digests: NDArray[np.uint64]
    matrix: NDArray[np.float32]
    graph: Any = None

    def __len__(self) -> int:
        return len(self.digests)

    @property
    def dimensions(self) -> int:
        """Numbers of each vector."""
        return int(self.matrix.shape[1])


def folder(corpus_dir: Path, embedder: str, group: GroupName) -> Path:
    """Where the vectors of an embedder for a group lie."""
    plain = re.sub(r"[^a-z0-9.]+", "-", embedder.lower()).strip("-.")[:40]
    exact = hashlib.sha256(f"{PIECES}\n{embedder}".encode()).hexdigest()[:8]
    return corpus_dir / "vectors" / f"{plain}-{exact}" / group.value


def write(
    into: Path,
    embedder: str,
    digests: NDArray[np.uint64],
    matrix: NDArray[np.float32],
    *,
    graph_above: int = GRAPH_ROWS,
) -> Path:
    """Write a file of vectors durably, with a graph where it has so many rows; return its path.

    Args:
        into: The folder of the embedder and group.
        embedder: Name, kept in the file.
        digests: (rows, 2) of the records.
        matrix: (rows, dimensions), each row of unit length.
        graph_above: Rows up to which search stays exact.

    Raises:
        ConfigurationError: There are rows for a graph, and usearch is not installed.
        OSError: The disk refuses.
    """
    arrays: dict[str, NDArray[Any]] = {
        "digests": np.ascontiguousarray(digests, "<u8"),
        "matrix": np.ascontiguousarray(matrix, "<f4").view("<u4"),
    }
    if len(matrix) > graph_above:
        arrays["graph"] = _grow(matrix)
    durable.make_folders(into)
    temporary = into / "new"
    hashed = hashlib.sha256()

    def passing(chunk: bytes | memoryview) -> bytes | memoryview:
        hashed.update(chunk)
        return chunk

    about = {"embedder": embedder, "pieces": PIECES}
    durable.write(temporary, map(passing, blobs.write(MAGIC, arrays, about)))
    path = into / f"{hashed.hexdigest()}{SUFFIX}"
    durable.move(temporary, path)
    durable.sync_folder(into)
    return path


def open_file(path: Path) -> VectorFile:
    """Map a file of vectors and verify it by its name.

    Raises:
        CorpusError: It is missing or not what was written; names it.
        ConfigurationError: It has a graph, and usearch is not installed.
    """
    try:
        arrays = blobs.read(path, MAGIC, sha256=path.name.removesuffix(SUFFIX)).arrays
    except CorpusError as error:
        error.hint = "Delete that file, then make its vectors again: replay corpus embed"
        raise
    graph = _restore(arrays["graph"]) if "graph" in arrays else None
    return VectorFile(path, arrays["digests"], arrays["matrix"].view("<f4"), graph)


def open_all(where: Path) -> list[VectorFile]:
    """Open every file of a folder, in the order of their names; none where there is no folder.

    Raises:
        CorpusError: One is not what was written; names it.
        ConfigurationError: As `open_file`.
    """
    for _ in range(_TRIES):
        paths = sorted(where.glob(f"*{SUFFIX}"))
        try:
            return [open_file(path) for path in paths]
        except CorpusError:
            # `replay corpus embed` may have put one file in place of several between listing and opening.
            if all(path.exists() for path in paths):
                raise
    raise CorpusError(f"the vectors in {where} change faster than they can be opened", hint="Try again.")


def _grow(matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The graph over all rows, as bytes. By one thread, so that the same rows give the same graph."""
    index = _usearch().Index(
        ndim=matrix.shape[1],
        metric="ip",
        dtype="f16",
        connectivity=_CONNECTIVITY,
        expansion_add=_EXPANSION_ADD,
        enable_key_lookups=False,
    )
    index.add(np.arange(len(matrix), dtype=np.uint64), matrix, threads=1)
    return np.frombuffer(index.save(), np.uint8)


def _restore(content: NDArray[np.uint8]) -> Any:
    graph = _usearch().Index.restore(content.data, view=True)
    graph.expansion_search = _LOOKED_AT
    return graph


def _usearch() -> Any:
    # usearch brings a C++ library of its own, and onnxruntime crashes where it is loaded after that: seen with usearch
    # 2.26.6 and onnxruntime 1.32.0 on Linux. The other way round both work.
    with suppress(ImportError):
        importlib.import_module("onnxruntime")
    try:
        import usearch.index  # noqa: PLC0415  an optional part of the installation
    except ImportError:
        raise ConfigurationError(
            f"More than {GRAPH_ROWS:,} vectors are searched by usearch, which is not installed.",
            hint="Install it with `pip install 'replay-audit[hybrid]'`, or unset REPLAY_EMBEDDINGS.",
        ) from None
    return usearch.index
