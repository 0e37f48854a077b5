"""Reading a log from any place on, across its segments, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from replay.errors import EvidenceDamaged

from .format import MAX_LINE_BYTES, Flaw
from .segments import Segment, folder, load, snapshot

_HINT = "Nothing was changed. Compare with a backup; `replay evidence verify` says how far the log is sound."


def pieces(log: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its position, from `start` on, which must be the beginning of a line.

    Only the last piece may lack its line end: it is being written, or was torn by a crash. A piece longer than any
    line can be is cut there, so it fails to parse and names its place. A log that does not exist has no pieces. A
    rotation meanwhile neither hides a line nor shows one twice.

    Raises:
        EvidenceDamaged: A closed segment is missing or does not end where its manifest says.
    """
    at = start
    while True:
        manifest = load(log)
        while (segment := manifest.segment_of(at)) is not None:
            yield from _closed(log, segment, at)
            at = segment.end
        with snapshot(log) as (now, active):
            if now.end == manifest.end:
                if active is None:
                    return
                active.seek(at - now.end)
                while piece := active.readline(MAX_LINE_BYTES):
                    yield at, piece
                    if not piece.endswith(b"\n"):
                        return
                    at += len(piece)
        if load(log).end == manifest.end:
            return


def read_at(log: Path, position: int, length: int) -> bytes:
    """The bytes at a position; fewer than `length` where the file that holds it ends before.

    Raises:
        EvidenceDamaged: The segment that holds it is missing.
    """
    with snapshot(log) as (manifest, active):
        segment = manifest.segment_of(position)
        if segment is not None:
            path, offset, _ = manifest.place(log, position)
            try:
                with path.open("rb") as file:
                    file.seek(offset)
                    return file.read(length)
            except FileNotFoundError as error:
                raise missing(path) from error
        if active is None:
            return b""
        active.seek(position - manifest.end)
        return active.read(length)


def end_of(log: Path) -> int:
    """The position after the last byte of a log, complete line or not."""
    with snapshot(log) as (manifest, active):
        return manifest.end + (os.fstat(active.fileno()).st_size if active is not None else 0)


def damaged(log: Path, position: int, seq: int, flaw: Flaw) -> EvidenceDamaged:
    """The error for the line of record `seq`, which begins at `position` and has this flaw."""
    path, offset, first_seq = load(log).place(log, position)
    return EvidenceDamaged(
        f"{path} is damaged at byte {offset + flaw.position} (line {seq - first_seq + 1}): expected {flaw.expected}",
        hint=_HINT,
    )


def missing(path: Path) -> EvidenceDamaged:
    """The error for a closed segment that is not there."""
    return EvidenceDamaged(f"{path}, a closed segment of the log, is missing", hint=_HINT)


def _closed(log: Path, segment: Segment, start: int) -> Iterator[tuple[int, bytes]]:
    path = folder(log) / segment.file
    try:
        file = path.open("rb", buffering=1 << 20)
    except FileNotFoundError as error:
        raise missing(path) from error
    with file:
        file.seek(start - segment.start)
        at = start
        while at < segment.end:
            piece = file.readline(min(MAX_LINE_BYTES, segment.end - at))
            if not piece.endswith(b"\n"):
                raise EvidenceDamaged(
                    f"{path} is damaged at byte {at - segment.start + len(piece)}: expected a closed segment of "
                    f"{segment.bytes} bytes, with whole lines",
                    hint=_HINT,
                )
            yield at, piece
            at += len(piece)
