"""Cutting text into records: a piece is a run of whole lines with a title, short enough to be carried in a bundle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

PASSAGE_LINES = 40
DEFINITION_LINES = 120
PIECE_CHARS = 4_800
"""Eight passages of this size and their JSON escapes stay under about 45 kB of a bundle."""

_WORD = re.compile(r"\w")
_FENCE = re.compile(r"\s*(```|~~~)")
_MARKDOWN_HEADING = re.compile(r"#{1,6}\s+(.*)")
_RST_UNDERLINE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*$")


@dataclass(frozen=True)
class Piece:
    """Lines `first` to `last` of a file, counted from 1, both ends included."""

    first: int
    last: int
    title: str


def sections(lines: Sequence[str], title: str) -> list[Piece]:
    """Cut a reStructuredText or plain text by its headings, then into passages of about 40 lines."""
    starts = [(1, title), *_headings(lines, title)]
    pieces: list[Piece] = []
    for (first, name), (after, _) in zip(starts, [*starts[1:], (len(lines) + 1, "")], strict=True):
        pieces += cut(lines, Piece(first, after - 1, name), PASSAGE_LINES)
    return pieces


def cut(lines: Sequence[str], piece: Piece, limit: int) -> list[Piece]:
    """Cut a piece into consecutive ones of at most `limit` lines and `PIECE_CHARS` characters.

    Blank ends are trimmed, and an all-blank piece gives nothing. A cut falls before the least indented line of the
    window's second half (the latest of several), or after a blank line among equals: where a block begins.
    """
    trimmed = _trim(lines, piece)
    pieces: list[Piece] = []
    while trimmed:
        end = _window(lines, trimmed, limit)
        if end < trimmed.last:
            end = _best_end(lines, trimmed.first, end)
        if head := _trim(lines, replace(trimmed, last=end)):
            pieces.append(head)
        trimmed = _trim(lines, replace(trimmed, first=end + 1))
    return pieces


def _trim(lines: Sequence[str], piece: Piece) -> Piece | None:
    first, last = piece.first, piece.last
    while first <= last and not lines[first - 1].strip():
        first += 1
    while first <= last and not lines[last - 1].strip():
        last -= 1
    return Piece(first, last, piece.title) if first <= last else None


def _window(lines: Sequence[str], piece: Piece, limit: int) -> int:
    end, chars = piece.first, len(lines[piece.first - 1])
    while end < piece.last and end - piece.first + 1 < limit:
        chars += len(lines[end]) + 1
        if chars > PIECE_CHARS:
            break
        end += 1
    return end


def _best_end(lines: Sequence[str], first: int, end: int) -> int:
    """The last line to keep: the line after it starts the next piece."""

    def cost(last: int) -> tuple[int, bool, int]:
        following = lines[last]
        if not _WORD.search(following):
            return (PIECE_CHARS, True, -last)  # a blank line or a closing bracket starts nothing
        indent = len(following) - len(following.lstrip())
        return (indent, bool(lines[last - 1].strip()), -last)

    return min(range(first + (end - first) // 2, end + 1), key=cost)


def _headings(lines: Sequence[str], title: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(lines, 1):
        if len(line) > PIECE_CHARS:
            continue  # it is in no record, so it heads none
        if _FENCE.match(line):
            fenced = not fenced
        if fenced:
            continue
        if heading := _MARKDOWN_HEADING.match(line):
            yield number, f"{title}: {heading[1].rstrip('#').rstrip()}"
        elif _is_rst_heading(lines, number):
            yield number, f"{title}: {line.strip()}"


def _is_rst_heading(lines: Sequence[str], number: int) -> bool:
    line = lines[number - 1]
    if not line.strip() or line.startswith(" ") or number >= len(lines) or _RST_UNDERLINE.match(line):
        return False
    underline = lines[number]
    return bool(_RST_UNDERLINE.match(underline)) and len(underline.rstrip()) >= len(line.rstrip())
