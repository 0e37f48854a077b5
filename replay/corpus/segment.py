"""A segment: an immutable run of records of one group, with its index and, of sources, its line table."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from replay.contracts import Record, RecordKind
from replay.corpus import durable, index, store
from replay.corpus.index import Built
from replay.corpus.linetable import LineTable, build_lines
from replay.corpus.manifest import GroupName, StoredFile, StoredSegment
from replay.corpus.spool import Spool
from replay.corpus.watching import UNWATCHED, Watcher

Mask = NDArray[np.bool_]

_SOURCE = RecordKind.SOURCE.value.encode()
PARTS = ("index", "records", "lines")


class Segment:
    """An opened segment.

    Args:
        folder: Where its files lie.
        stored: What they must be.

    Raises:
        CorpusError: The index is not what was written, or the records have another size; names the file.
    """

    def __init__(self, folder: Path, stored: StoredSegment) -> None:
        self.stored = stored
        self._folder = folder
        self.index = index.Segment.open(path(folder, stored.name, "index"), sha256=stored.index.sha256)
        self.records = store.Records(path(folder, stored.name, "records"), self.index.offsets, self.index.digests)

    def __len__(self) -> int:
        return self.stored.records

    @property
    def id_hashes(self) -> NDArray[np.uint64]:
        """The hash of each record's id, by ordinal."""
        return self.index.id_hashes

    @property
    def digests(self) -> NDArray[np.uint64]:
        """The digest of each record, by ordinal."""
        return self.index.digests

    @cached_property
    def digests_in_order(self) -> NDArray[np.uint64]:
        """The digests by their first words: a writer that stays names each version after them, and sorts them once."""
        return self.digests[np.argsort(self.digests[:, 0])]

    @cached_property
    def lines(self) -> LineTable | None:
        """The line table; None where the group has none.

        Raises:
            CorpusError: It is not what was written; names the file.
        """
        if self.stored.lines is None:
            return None
        return LineTable.open(path(self._folder, self.stored.name, "lines"), sha256=self.stored.lines.sha256)


@dataclass(frozen=True)
class Made:
    """A segment whose files are on the disk, in a folder of the writer's own, and not yet part of the corpus."""

    folder: Path
    stored: StoredSegment
    id_hashes: NDArray[np.uint64]
    digests: NDArray[np.uint64]


def path(folder: Path, name: str, part: str) -> Path:
    """Where a file of a segment lies."""
    return folder / f"{name}.{part}"


def make(spool: Spool, group: GroupName, folder: Path, watcher: Watcher = UNWATCHED) -> Made:
    """Make a segment of the kept records of a spool, in a folder of the writer's own."""
    count = int(spool.kept.sum())
    built = index.build(watcher.count(spool.entries(), "indexing", count))
    kept = np.flatnonzero(spool.kept)
    return _write(built, (spool.line(position) for position in kept[built.order].tolist()), group, folder, watcher)


def merge(segments: Sequence[Segment], keep: Sequence[Mask] | None, folder: Path, watcher: Watcher = UNWATCHED) -> Made:
    """Make one segment of several of a group, or of what is to be kept of them: the same that `make` would make."""
    built = index.merge(
        [one.index for one in segments], lambda number, at: segments[number].records.record_id(at), keep
    )
    ends = np.cumsum([len(one) for one in segments])
    numbers = np.searchsorted(ends, built.order, side="right")
    ordinals = built.order - (ends - [len(one) for one in segments])[numbers]
    lines = (
        segments[number].records.line(ordinal)
        for number, ordinal in zip(numbers.tolist(), ordinals.tolist(), strict=True)
    )
    return _write(built, lines, segments[0].stored.group, folder, watcher)


def _write(built: Built, lines: Iterable[bytes], group: GroupName, folder: Path, watcher: Watcher) -> Made:
    """Write the files of a segment durably: they must be on the disk before anything names them."""
    told = _Told()
    records = folder / "new.records"
    records_file = _file(records, told.note(watcher.count(lines, "writing", len(built))))
    offsets = np.cumsum(told.sizes, dtype=np.int64)
    files = {"index": _file(folder / "new.index", built.serialise(offsets)), "records": records_file}
    if group is GroupName.SOURCES:
        read = watcher.count(_read(records, offsets), "tabulating", len(built))
        files["lines"] = _file(folder / "new.lines", build_lines(read))
    name = "seg_" + hashlib.sha256("".join(file.sha256 for file in files.values()).encode()).hexdigest()[:16]
    for part in files:
        durable.move(folder / f"new.{part}", path(folder, name, part))
    stored = StoredSegment(
        name=name,
        group=group,
        records=len(built),
        kinds=told.kinds(),
        origins=told.origins(),
        index=files["index"],
        store=files["records"],
        lines=files.get("lines"),
    )
    return Made(folder, stored, built.arrays["id_hashes"], built.arrays["digests"])


class _Told:
    """What the manifest and the index tell of records, noted as their lines pass by."""

    def __init__(self) -> None:
        self.sizes = array("q", [0])
        self._labels: Counter[tuple[bytes, bytes]] = Counter()
        self._shared: Counter[str] = Counter()

    def note(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            yield line
            self.sizes.append(len(line))
            kind, origin = store.labels_of(line)
            self._labels[kind, origin] += 1
            if kind == _SOURCE and line.startswith(store.CREDITED):
                self._shared.update(store.origins_of(line) - {store.unquoted(origin)})

    def kinds(self) -> dict[str, int]:
        """How many records there are of each kind."""
        return self._count(0)

    def origins(self) -> dict[str, int]:
        """How many records there are of each origin; one of several counts for each of them."""
        return self._count(1, self._shared)

    def _count(self, label: int, more: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
        counted = Counter(more)
        for labels, count in self._labels.items():
            counted[store.unquoted(labels[label])] += count
        return dict(sorted(counted.items()))


def _file(at: Path, chunks: Iterable[bytes | memoryview]) -> StoredFile:
    hashed = hashlib.sha256()
    size = 0

    def passing() -> Iterator[bytes | memoryview]:
        nonlocal size
        for chunk in chunks:
            hashed.update(chunk)
            size += len(chunk)
            yield chunk

    durable.write(at, passing())
    return StoredFile(bytes=size, sha256=hashed.hexdigest())


def _read(at: Path, offsets: NDArray[np.int64]) -> Iterator[Record]:
    content = store.map_file(at, int(offsets[-1]))
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        yield store.decode(content[start:end], at)
