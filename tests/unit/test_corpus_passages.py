"""Cutting text into passages, and reStructuredText and plain text by heading."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replay.corpus.passages import PASSAGE_LINES, PIECE_CHARS, Piece, cut, sections


@given(st.lists(st.sampled_from(["", "x = 1", "    y", "z" * 3000]), max_size=300), st.integers(1, 50))
def test_cutting_keeps_every_line_in_order(lines: list[str], limit: int) -> None:
    """Pieces are consecutive, within the limits, trimmed of blank ends, and hold every line that is not blank."""
    pieces = cut(lines, Piece(1, len(lines), "t"), limit)
    held = [number for piece in pieces for number in range(piece.first, piece.last + 1)]
    assert held == sorted(set(held))
    assert {n for n, line in enumerate(lines, 1) if line.strip()} <= set(held)
    for piece in pieces:
        text = lines[piece.first - 1 : piece.last]
        assert len(text) <= limit
        assert len("\n".join(text)) <= PIECE_CHARS
        assert text[0].strip()
        assert text[-1].strip()


def test_prose_is_cut_by_headings() -> None:
    """Markdown and reStructuredText headings start a section and give it its title; fenced comments do not."""
    markdown = ["intro", "# One", "text", "```", "# not a heading", "```", "## Two", "more"]
    assert [(p.first, p.title) for p in sections(markdown, "doc")] == [(1, "doc"), (2, "doc: One"), (7, "doc: Two")]
    rst = ["Title", "=====", "text", "", "Part", "----", "more"]
    assert [(p.first, p.title) for p in sections(rst, "doc")] == [(1, "doc: Title"), (5, "doc: Part")]


def test_a_long_section_is_cut_into_passages() -> None:
    """A section without headings is cut into passages of at most 40 lines."""
    pieces = sections(["line"] * 100, "doc")
    assert sum(piece.last - piece.first + 1 for piece in pieces) == 100
    assert all(piece.last - piece.first < PASSAGE_LINES for piece in pieces)
