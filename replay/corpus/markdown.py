"""Cutting Markdown by section, with markdown-it-py: a heading is what CommonMark says it is.

A `#` in a code block, an HTML comment or front matter is none; a line underlined with `===` or `---` is one. The title
of a section is the path of its headings: `guide: Settings: Timeouts`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from markdown_it import MarkdownIt

from replay.corpus.passages import PASSAGE_LINES, Piece, cut

_HEADING_CHARS = 120
_FENCES = ("---", "+++")  # front matter in YAML and in TOML


def sections(lines: Sequence[str], title: str) -> list[Piece]:
    """Cut a Markdown text by its headings, then into passages of about 40 lines.

    Args:
        lines: The text, line by line.
        title: What the file is called; the titles start with it.
    """
    starts = [(1, title), *_headings(lines, title)]
    pieces: list[Piece] = []
    for (first, name), (after, _) in zip(starts, [*starts[1:], (len(lines) + 1, "")], strict=True):
        pieces += cut(lines, Piece(first, after - 1, name), PASSAGE_LINES)
    return pieces


def _headings(lines: Sequence[str], title: str) -> Iterator[tuple[int, str]]:
    body = _front_matter(lines)
    # The parser takes these for line ends or changes them; records are cut from the lines as they are.
    text = "\n".join([*[""] * body, *lines[body:]]).replace("\r", " ").replace("\0", " ")
    tokens = _parser().parse(text)
    path: list[tuple[int, str]] = []
    for token, content in pairwise(tokens):
        # Headings in a list or a quotation are part of what is listed or quoted.
        if token.type != "heading_open" or token.level or token.map is None:
            continue
        depth = int(token.tag.removeprefix("h"))
        path = [outer for outer in path if outer[0] < depth]
        path.append((depth, " ".join(content.content.split())[:_HEADING_CHARS]))
        yield token.map[0] + 1, ": ".join([title, *(name for _, name in path if name)])


def _front_matter(lines: Sequence[str]) -> int:
    """How many lines the front matter takes, fences included."""
    if not lines or lines[0].rstrip() not in _FENCES:
        return 0
    fence = lines[0].rstrip()
    closing = (number for number, line in enumerate(lines[1:], 2) if line.rstrip() == fence)
    return next(closing, 0)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    # Only the blocks matter, and inline rules cost most of the time.
    return MarkdownIt("commonmark").disable(["inline", "text_join"])
