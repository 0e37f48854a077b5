"""Cutting Markdown by section."""

from __future__ import annotations

from textwrap import dedent

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.corpus.markdown import sections
from replay.corpus.passages import PASSAGE_LINES


def starts_of(text: str) -> list[tuple[int, str]]:
    """First line and title of each section."""
    return [(piece.first, piece.title) for piece in sections(dedent(text).split("\n"), "guide")]


def test_a_title_is_the_path_of_the_headings() -> None:
    """A section is named by the headings that it stands under, also where a level is left out."""
    text = """\
        intro
        # Settings
        text
        ## Timeouts ##
        text
        #### Deep `code` *here*
        text
        ## Limits
        # End
        """
    assert starts_of(text) == [
        (1, "guide"),
        (2, "guide: Settings"),
        (4, "guide: Settings: Timeouts"),
        (6, "guide: Settings: Timeouts: Deep `code` *here*"),
        (8, "guide: Settings: Limits"),
        (9, "guide: End"),
    ]


def test_underlined_headings_are_headings() -> None:
    """Setext headings of both levels, also of several lines."""
    text = "Settings\n===\n\nTime\nouts\n---\ntext\n"
    assert starts_of(text) == [(1, "guide: Settings"), (4, "guide: Settings: Time outs")]


def test_code_is_never_a_heading() -> None:
    """Neither a fenced nor an indented `#`, nor one after a fence within a longer fence."""
    text = "# One\n````\n# no\n```\n# no\n````\n\n    # no\n~~~\n# no\n~~~\n## Two\n"
    assert starts_of(text) == [(1, "guide: One"), (12, "guide: One: Two")]


def test_comments_quotations_and_lists_hold_no_heading() -> None:
    """What is commented out is not said, and what is quoted is part of the section that quotes it."""
    assert starts_of("# One\n\n<!--\n# no\n-->\n\n> # no\n\n- # no\n\n#no\n") == [(1, "guide: One")]


def test_front_matter_is_no_heading() -> None:
    """YAML front matter ends in a line of dashes, which would make a heading of the line above it."""
    assert starts_of("---\ntitle: x\n# no\n---\n\n# One\n") == [(1, "guide"), (6, "guide: One")]
    assert starts_of("+++\ntitle = 1\n+++\n# One\n") == [(1, "guide"), (4, "guide: One")]


def test_front_matter_without_an_end_is_text() -> None:
    """A rule at the top of a document is no front matter."""
    assert starts_of("---\n\n# One\n") == [(1, "guide"), (3, "guide: One")]


def test_a_long_section_is_cut_into_passages() -> None:
    """Passages of a section share its title."""
    pieces = sections(["# One", *["line"] * 100], "guide")
    assert sum(piece.last - piece.first + 1 for piece in pieces) == 101
    assert all(piece.last - piece.first < PASSAGE_LINES for piece in pieces)
    assert {piece.title for piece in pieces} == {"guide: One"}


MARKS = st.sampled_from(
    ["# a", "## b", "===", "---", "```", "~~~", "> ", "- x", "<!--", "-->", "", " ", "text", "    c", "\r", "[a]: b"]
)


@settings(deadline=None)
@given(st.lists(MARKS | st.text(max_size=20).map(lambda text: text.replace("\n", " ")), max_size=60))
def test_any_text_keeps_every_line_once_and_in_order(lines: list[str]) -> None:
    """Sections are consecutive and hold every line that is not blank."""
    held = [number for piece in sections(lines, "t") for number in range(piece.first, piece.last + 1)]
    assert held == sorted(set(held))
    assert {number for number, line in enumerate(lines, 1) if line.strip()} <= set(held)
