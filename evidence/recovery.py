"""What happens to a log before its first append: proved from where the index knows it, and its torn end cut off.

Only an incomplete last line is cut, since that is what a crash leaves. It is kept beside the log first, so the cut
files are also the memory of an unfinished recovery: one whose offset is the end of the log has no record yet.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from replay.contracts import Message
from replay.errors import EvidenceDamaged
from replay.identity import digest

from . import durable
from .active import Active
from .durable import SyscallSeam
from .format import MAX_LINE_BYTES, Flaw, Head, Line, decode, succeed
from .index import Index
from .merkle import Tree
from .row import values_of
from .scan import damaged, pieces, read_at

REWRITTEN_BYTES = 64 * 1024 * 1024
"""More than any group commit: as much of the unindexed end is written again before it counts as durable."""

_CHUNK = 4096  # lines indexed in one transaction


class IndexedHead(Message):
    """Where the log ended according to an index that was ahead of it or knew other lines."""

    seq: int
    hash: str
    end: int


class Recovery(Message):
    """What recovery cut off, or found missing."""

    schema_: Literal["replay_recovery.v1"] = Field("replay_recovery.v1", alias="schema")
    id: str
    offset: int = Field(description="Position at which the sound log ended: its bytes, all segments together.")
    length: int = Field(description="Bytes cut off there.")
    sha256: str = Field(description="Hash of these bytes; of those of all `files` in order, where it was torn twice.")
    files: tuple[str, ...] = Field(description="Names of the files beside the log that keep them.")
    indexed: IndexedHead | None = Field(description="Acknowledged lines that the index had seen and the log has not.")
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def recover(
    path: Path, active: Active, index: Index, seam: SyscallSeam, permit: Callable[[], None]
) -> tuple[Head, Tree]:
    """Prove the part of the log that the index does not know, cut a torn end, and bring the index up to the end.

    Args:
        path: The log.
        active: Its active file.
        index: Its index.
        seam: The system calls.
        permit: Asked before each change, since proving a long log takes time: another writer may have it by then.

    Raises:
        EvidenceDamaged: A complete line is not what was written, or two records have one id or end one run.
        AppendFailed: The disk said no.
    """
    start = index.head()
    if not _stands(path, start):
        # Acknowledged lines are gone, or other lines stand in their place: the log as it is gets proved and indexed
        # anew, and the head that was known is remembered until `pending` has said so in the log itself.
        permit()
        index.restart()
        start = Head()

    head, tree, torn = _catch_up(path, start, index, permit)
    permit()
    if torn:
        # Dies before the file is kept: the tail still stands and is found again.
        _keep_torn(path, head.end, torn, seam)
        permit()
        # Dies here: the tail still stands; the same bytes are kept once.
        active.cut(head.end)
        # Dies here: the file's offset is the end of the log, so `pending` still asks for the record.
    if head.end > start.end:
        permit()
        # These lines may never have reached the disk: after a failed fsync they are clean pages of the cache, which
        # no further fsync would write.
        active.rewrite(max(start.end, head.end - REWRITTEN_BYTES), head.end)
    return head, tree


def pending(path: Path, head: Head, index: Index) -> Recovery | None:
    """The record that tells of an unfinished recovery at the end of the log, if there is one."""
    files = _torn_files(path, head.end)
    seen = index.seen()
    if not files and seen is None:
        return None
    cut = b"".join(file.read_bytes() for file in files)
    about: dict[str, Any] = {
        "offset": head.end,
        "length": len(cut),
        "sha256": "sha256:" + hashlib.sha256(cut).hexdigest(),
        "files": [file.name for file in files],
        "indexed": {"seq": seen.seq, "hash": seen.hash, "end": seen.end} if seen else None,
    }
    # A loss is told once, wherever the log has got to meanwhile; a cut is told where it was made.
    key = {"indexed": about["indexed"]} if seen else about
    return Recovery(id="rec_" + digest(key)[7:31], recorded_at=datetime.now(UTC).isoformat(), **about)


def _stands(path: Path, head: Head) -> bool:
    """Is the last line that the index knows still in its place?"""
    if head.end == 0:
        return True
    line = decode(read_at(path, head.last, head.end - head.last))
    return isinstance(line, Line) and line.chain.seq == head.seq and line.chain.hash == head.hash


def _catch_up(path: Path, head: Head, index: Index, permit: Callable[[], None]) -> tuple[Head, Tree, bytes]:
    tree = index.tree()
    rows: list[tuple[Any, ...]] = []
    torn = b""
    for offset, piece in pieces(path, head.end):
        if not piece.endswith(b"\n") and len(piece) < MAX_LINE_BYTES:
            torn = piece
            break
        line = succeed(piece, head)
        if isinstance(line, Flaw):
            raise damaged(path, offset, head.seq + 1, line)
        rows.append(values_of(line, offset))
        head = head.after(line)
        tree.add(line.chain.hash)
        if len(rows) == _CHUNK:
            permit()
            _add(path, rows, head, tree, index)
            rows = []
    if rows:
        permit()
        _add(path, rows, head, tree, index)
    return head, tree, torn


def _add(path: Path, rows: list[tuple[Any, ...]], head: Head, tree: Tree, index: Index) -> None:
    try:
        index.add(rows, head, tree)
    except sqlite3.IntegrityError as error:
        raise EvidenceDamaged(
            f"{path} holds two records with one id, or two that end one run, up to line {head.seq}: {error}",
            hint="Nothing was changed. `replay evidence verify` names the line.",
        ) from error


def _keep_torn(path: Path, offset: int, torn: bytes, seam: SyscallSeam) -> None:
    files = _torn_files(path, offset)
    if any(file.read_bytes() == torn for file in files):
        return
    # Torn again at the same place: the record of the first recovery did not get through.
    durable.keep(_torn_name(path, offset, len(files)), torn, seam)


def _torn_files(path: Path, offset: int) -> list[Path]:
    def existing() -> Iterator[Path]:
        number = 0
        while (file := _torn_name(path, offset, number)).exists():
            yield file
            number += 1

    return list(existing())


def _torn_name(path: Path, offset: int, number: int) -> Path:
    return path.with_name(f"{path.name}.torn-{offset}" + (f".{number + 1}" if number else ""))
