"""Giving the records of the current version their vectors: what `replay corpus embed` does.

Only records that have none are embedded. A file is written after each `KEPT_EVERY` of them, so an interrupted run goes
on where it was; at the end the small files of a group become one. Then the pointer to the current version is put in
place again, unchanged: that is what tells workers, who wait with a version until it has all its vectors, to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replay.corpus import durable, lock, opening, publishing, vectors
from replay.corpus.group import Group
from replay.corpus.manifest import GroupName
from replay.corpus.nearest import GroupVectors
from replay.corpus.opening import Snapshot
from replay.corpus.pieces import pieces
from replay.corpus.vectors import GRAPH_ROWS, VectorFile
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import CorpusError
from replay.models.embedding import Embedder

LOCK = "embed.lock"
KEPT_EVERY = 1_024
_AT_ONCE = 64  # records between two words to the watcher

Places = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Embedded:
    """What a run did.

    Attributes:
        version: The version that now has all its vectors.
        embedder: Whose they are.
        records: Records of the version.
        embedded: How many of them had no vector before.
        vectors: Pieces of those.
    """

    version: str
    embedder: str
    records: int
    embedded: int
    vectors: int


def embed(corpus_dir: Path, embedder: Embedder, watcher: Watcher = UNWATCHED) -> Embedded:
    """Give every record of the current version its vectors.

    Raises:
        CorpusError: There is no corpus, it or a file of vectors is damaged, another process embeds, or the disk
            refuses.
        ConfigurationError: There are so many vectors that usearch is needed, and it is not installed.
        ModelUnavailable: The embedder gives no answer. What it gave before is kept.
        ModelRefused: It said no.
    """
    snapshot = opening.load(corpus_dir)
    try:
        with lock.held(corpus_dir / LOCK, f"the making of vectors in {corpus_dir}", watcher=watcher):
            done = [_group(corpus_dir, snapshot, name, embedder, watcher) for name in GroupName]
        _announce(corpus_dir, watcher)
    except OSError as error:
        raise publishing.unwritable(corpus_dir, error) from error
    records, rows = (sum(counts) for counts in zip(*done, strict=True))
    return Embedded(snapshot.version, embedder.name, len(snapshot), records, rows)


def group_of(snapshot: Snapshot, name: GroupName) -> Group:
    """A group of a version by its name."""
    return snapshot.sources if name is GroupName.SOURCES else snapshot.playbook


def _group(
    corpus_dir: Path, snapshot: Snapshot, name: GroupName, embedder: Embedder, watcher: Watcher
) -> tuple[int, int]:
    """Embed what of a group has no vector; return how many records and pieces that was."""
    folder = vectors.folder(corpus_dir, embedder.name, name)
    group = group_of(snapshot, name)
    files = vectors.open_all(folder)
    missing = GroupVectors(group, files).missing
    rows = 0
    for digests, matrix in _embedded(group, missing, embedder, watcher):
        if files and files[0].dimensions != matrix.shape[1]:
            raise CorpusError(
                f"{embedder.name} now gives vectors of {matrix.shape[1]} numbers, and those in {folder} have "
                f"{files[0].dimensions}",
                hint=f"Delete {folder.parent}, then run the command again.",
            )
        files.append(vectors.open_file(vectors.write(folder, embedder.name, digests, matrix, graph_above=len(matrix))))
        rows += len(matrix)
    _join(folder, embedder.name, files, watcher)
    return len(missing), rows


def _embedded(
    group: Group, missing: Places, embedder: Embedder, watcher: Watcher
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.float32]]]:
    """Digests and vectors of the pieces of the missing records, `KEPT_EVERY` records at a time."""
    done = 0
    for kept in _batches(missing, KEPT_EVERY):
        digests: list[NDArray[np.uint64]] = []
        matrices: list[NDArray[np.float32]] = []
        for some in _batches(kept, _AT_ONCE):
            watcher.step("embedding", done, len(missing))
            texts: list[str] = []
            for segment, ordinal in some:
                own = pieces(group.record(segment, ordinal))
                texts += own
                digests.append(np.repeat(group.segments[segment].digests[ordinal][np.newaxis], len(own), axis=0))
            matrices.append(embedder.embed(texts))
            done += len(some)
        yield np.concatenate(digests), np.concatenate(matrices)
    watcher.step("embedding", done, len(missing))


def _batches(places: Places, size: int) -> Iterator[Places]:
    return (places[start : start + size] for start in range(0, len(places), size))


def _join(folder: Path, embedder: str, files: Sequence[VectorFile], watcher: Watcher) -> None:
    """Make one file of all that have no graph. A larger file is left: its graph would have to grow anew."""
    small = [file for file in files if len(file) <= GRAPH_ROWS]
    if len(small) < 2:
        return
    rows = sum(map(len, small))
    if rows > GRAPH_ROWS:
        watcher.say(f"making the graph of {rows:,} vectors")
    joined = vectors.write(
        folder,
        embedder,
        np.concatenate([file.digests for file in small]),
        np.concatenate([file.matrix for file in small]),
    )
    # Dies here: rows that are there twice, which changes no answer. Whoever has an old file open keeps it.
    for file in small:
        if file.path != joined:
            file.path.unlink(missing_ok=True)
    durable.sync_folder(folder)


def _announce(corpus_dir: Path, watcher: Watcher) -> None:
    with lock.held(corpus_dir / publishing.LOCK, f"the corpus in {corpus_dir}", watcher=watcher):
        if version := opening.pointed(corpus_dir):
            durable.put(corpus_dir / opening.POINTER, f"{version}\n".encode())
