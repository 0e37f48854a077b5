"""Reading a log from the front, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from replay.errors import EvidenceDamaged

from .format import MAX_LINE_BYTES, Flaw


def pieces(path: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield each line with its byte offset, from `start` on, which must be the beginning of a line.

    Only the last piece may lack its line end: it is being written, or was torn by a crash. A piece longer than any
    line can be is cut there, so it fails to parse and names its place. A log that does not exist has no pieces.
    """
    try:
        file = path.open("rb", buffering=1 << 20)
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        offset = start
        while piece := file.readline(MAX_LINE_BYTES):
            yield offset, piece
            offset += len(piece)


def damaged(path: Path, offset: int, line_no: int, flaw: Flaw) -> EvidenceDamaged:
    """The error for a line that begins at `offset` and has this flaw."""
    return EvidenceDamaged(
        f"{path} is damaged at byte {offset + flaw.position} (line {line_no}): expected {flaw.expected}",
        hint="Nothing was changed. Compare with a backup; `replay evidence verify` says how far the log is sound.",
    )
