"""Cutting sources into records."""

from __future__ import annotations

from textwrap import dedent

from hypothesis import given
from hypothesis import strategies as st

from replay.corpus.definitions import definitions, module_name
from replay.corpus.passages import DEFINITION_LINES, PASSAGE_LINES, PIECE_CHARS, Piece, cut, sections

MODULE = dedent(
    '''\
    """Doc."""
    import os

    LIMIT = 4


    # Why this exists.
    @wraps(os)
    def outer(x=3):
        def inner():
            return x
        return inner


    class Pool(Base):
        """A pool."""
        size = 10

        def grow(self):
            self.size += 1

        class Meta:
            strict = True

        timeout = 20

    try:
        import fast
    except ImportError:
        def fast():
            return None
    '''
)


def cut_module(source: str) -> dict[tuple[int, int], str]:
    """The titles of a module's pieces by their line range."""
    return {(p.first, p.last): p.title for p in definitions(source, source.split("\n"), "pkg.mod")}


def test_a_module_is_cut_by_definition() -> None:
    """Functions whole with decorators and comments, class bodies without methods, module code, each with its lines."""
    assert cut_module(MODULE) == {
        (1, 4): "pkg.mod",
        (7, 12): "pkg.mod.outer",
        (15, 17): "pkg.mod.Pool",
        (19, 20): "pkg.mod.Pool.grow",
        (22, 23): "pkg.mod.Pool.Meta",
        (25, 25): "pkg.mod.Pool",
        (27, 29): "pkg.mod",
        (30, 31): "pkg.mod.fast",
    }


def test_every_line_that_says_something_is_in_exactly_one_record() -> None:
    """Nothing of a module is lost or doubled."""
    lines = MODULE.split("\n")
    held = sorted(number for first, last in cut_module(MODULE) for number in range(first, last + 1))
    assert len(held) == len(set(held))
    assert {n for n, line in enumerate(lines, 1) if line.strip()} <= set(held)


def test_a_long_definition_is_cut_into_pieces_that_name_its_header() -> None:
    """The later pieces of a long function no longer show its header, so their title does."""
    source = "def long(first, second=2):\n" + "".join(f"    x{n} = {n}\n" for n in range(300))
    pieces = definitions(source, source.split("\n"), "m")
    assert [piece.title for piece in pieces] == ["m.long"] + ["m.long def long(first, second=2):"] * (len(pieces) - 1)
    assert all(piece.last - piece.first < DEFINITION_LINES for piece in pieces)
    assert (pieces[0].first, pieces[-1].last) == (1, 301)


def test_a_cut_falls_where_a_block_begins() -> None:
    """A long mapping is cut before one of its outer entries, not inside one."""
    block = "    {name}=Namespace(\n" + "        option=1,\n" * 28 + "    ),\n"
    source = "SETTINGS = dict(\n" + "".join(block.format(name=name) for name in "abcdef") + ")\n"
    lines = source.split("\n")
    starts = [lines[piece.first - 1].strip() for piece in definitions(source, lines, "m")]
    assert len(starts) > 1
    assert all(start.endswith("=Namespace(") for start in starts[1:])


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


def test_module_names() -> None:
    """A path becomes a dotted name; a package's `__init__` carries the package's."""
    assert module_name("celery/app/defaults.py") == "celery.app.defaults"
    assert module_name("celery/app/__init__.py") == "celery.app"
