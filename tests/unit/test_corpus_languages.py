"""What becomes a record in each language: one sample file of each, in `languages/`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.corpus.languages import LANGUAGES, by_suffix, suffixes
from replay.corpus.sources.cutting import cut, form_of

SAMPLES = Path(__file__).parent / "languages"

# The line range and the name of each record, without the name of the file; a range without a name is the file's own.
RECORDS = {
    "Pool.cs": """
        1-1
        3-4 Example.Net
        5-9 Example.Net.Pool
        11-14 Example.Net.Pool.Pool
        16-21 Example.Net.Pool.Grow
        23-23 Example.Net.Pool.Twice
        26-29 Example.Net.Mode
        """,
    "Pool.java": """
        1-3
        5-8 Pool
        10-13 Pool.Pool
        15-19 Pool.grow
        21-21 Pool
        23-23 Pool.Inner
        24-26 Pool.Inner.run
        30-31 Closer
        33-35 Closer.quietly
        """,
    "pool.c": """
        1-3
        5-8 pool
        10-12 pair_t
        14-14 mode
        16-16
        17-22 show
        25-27 choose
        29-29
        """,
    "pool.cpp": """
        1-1
        3-5 net
        7-11 net.Pair
        13-15 net.Pair.operator==
        18-21 net.Pool.grow
        23-26 net.twice
        28-28 net
        30-32 pool_size
        """,
    "pool.go": """
        1-6
        8-11 Pool
        13-13
        14-17 Closer
        20-24 Pool.Grow
        26-26 Pool.Size
        28-30 New
        """,
    "pool.h": """
        1-1
        3-3 net
        5-6 net.Pool
        7-7 net.Pool.size
        8-12 net.Pool
        14-14 net
        """,
    "pool.js": """
        1-3
        5-8 hello
        10-12 twice
        14-16 module.exports.thrice
        18-23 Pool
        25-28 Pool.grow
        30-32 Pool.shrink
        35-35
        36-36 made
        37-41
        43-45 default
        """,
    "pool.php": """
        1-5
        7-13 Pool
        15-20 Pool.grow
        22-23 Pool
        25-28 make
        """,
    "pool.rb": """
        1-3
        5-6 Net
        7-9 Net.Pool
        11-14 Net.Pool.grow
        16-18 Net.Pool.make
        20-20 Net.Pool.self
        21-23 Net.Pool.self.shared
        28-30
        """,
    "pool.rs": """
        1-5
        7-11 Pool
        13-14 Pool
        16-20 Pool.fmt
        23-24 Grow
        26-28 Grow.grow
        31-33 twice
        35-35 tests
        36-39 tests.grows
        """,
    "pool.sh": """
        1-4
        6-9 grow
        11-11
        12-14 show
        15-17
        """,
    "pool.ts": """
        1-1
        3-5 Options
        7-7 Name
        9-9 Mode
        11-11 inner
        12-14 inner.helper
        17-18 Pool
        20-25 Pool.grow
        27-27 Pool
        29-31 Pool.handle
        34-34 make
        """,
    "view.tsx": """
        1-1
        3-5 View
        7-13 List
        """,
}


def cut_text(path: str, text: str) -> list[tuple[int, int, str]]:
    """The pieces of a text as first line, last line and title."""
    form = form_of(path)
    assert form is not None
    return [(piece.first, piece.last, piece.title) for piece in cut(path, form, text, text.split("\n")).pieces]


def expected(path: str) -> list[tuple[int, int, str]]:
    """The same from the table."""
    rows = []
    for line in RECORDS[path].split("\n"):
        lines, _, name = line.strip().partition(" ")
        if lines:
            first, _, last = lines.partition("-")
            rows.append((int(first), int(last), ".".join(filter(None, [Path(path).stem, name]))))
    return rows


@pytest.mark.parametrize("path", RECORDS)
def test_a_sample_is_cut_by_definition(path: str) -> None:
    """Functions and methods whole with what stands above them, types without their methods, and the file's own code."""
    text = (SAMPLES / path).read_text(encoding="utf-8")
    assert cut_text(path, text) == expected(path)


@pytest.mark.parametrize("path", RECORDS)
def test_a_sample_is_understood_whole(path: str) -> None:
    """The grammars know every line of the samples."""
    text = (SAMPLES / path).read_text(encoding="utf-8")
    form = form_of(path)
    assert form is not None
    assert cut(path, form, text, text.split("\n")).intact


def test_every_language_has_a_sample() -> None:
    """A language that is added is shown by a sample; Python has a file of tests of its own."""
    shown = {language.name for path in RECORDS if (language := by_suffix(Path(path).suffix.lower()))}
    assert shown | {"Python"} == {language.name for language in LANGUAGES}


def test_a_header_is_read_as_what_it_is() -> None:
    """`.h` may be C or C++: a header of C with a word of C++ stays one of C."""
    assert [title for _, _, title in cut_text("a.h", "struct pool {\n  int class;\n};\n")] == ["a.pool"]
    assert "a.Pool.size" in {title for _, _, title in cut_text("a.h", "class Pool {\n  int size() {\n  }\n};\n")}


def test_markup_behind_a_suffix_of_code_is_cut_as_text() -> None:
    """Qt's translations are called .ts and are XML: no parser of TypeScript is asked about them."""
    text = '<?xml version="1.0"?>\n<TS>\n<message>function f() {}</message>\n</TS>\n'
    assert cut_text("de.ts", text) == [(1, 4, "de.ts")]


def test_a_definition_with_an_error_beside_it_is_kept() -> None:
    """The parser mends what it does not understand, and the intact definitions around it are cut as ever."""
    text = "def first():\n    pass\n\ndef broken(:\n    pass\n\ndef last():\n    pass\n"
    pieces = cut_text("a.py", text)
    assert (1, 2, "a.first") in pieces
    assert (7, 8, "a.last") in pieces


def test_two_definitions_on_one_line_are_one_record() -> None:
    """Records are whole lines, and the first definition of a line takes it."""
    assert cut_text("a.js", "function f() {} function g() {\n}\n") == [(1, 1, "a.f")]
    assert cut_text("a.java", "class A { void f() {} void g() {} }\n") == [(1, 1, "a.A")]


WORDS = r"""
    { } ( ) ; " ' ` /* */ // # @ < > : = end \ é a class_A def_f function_f() func_f() fn_f() struct_S namespace_n
    impl_T_for_S <?php module_M int_f() return_1 if_x #endif template_<T> export_default =>
    """
FRAGMENTS = st.sampled_from([*(word.replace("_", " ") for word in WORDS.split()), "\n", "\n  ", " ", "\f"])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(suffixes())), st.lists(FRAGMENTS, max_size=60))
def test_any_text_is_cut_into_lines_that_are_in_one_record_at_most(suffix: str, fragments: list[str]) -> None:
    """Whatever a file holds, its pieces are lines of it, in order, and none is in two of them."""
    text = "".join(fragments)
    held = [line for first, last, _ in cut_text(f"a{suffix}", text) for line in range(first, last + 1)]
    assert held == sorted(set(held))
    assert not held or (held[0] >= 1 and held[-1] <= text.count("\n") + 1)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(RECORDS)), st.data())
def test_a_damaged_file_loses_no_line_that_says_something(path: str, data: st.DataObject) -> None:
    """A file with a stretch cut out of it, or doubled, still gives every line that says something, once."""
    whole = (SAMPLES / path).read_text(encoding="utf-8")
    start, end = sorted((data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))))
    text = whole[:start] + whole[end:] if data.draw(st.booleans()) else whole[:end] + whole[start:]
    held = [line for first, last, _ in cut_text(path, text) for line in range(first, last + 1)]
    assert held == sorted(set(held))
    said = {number for number, line in enumerate(text.split("\n"), 1) if any(letter.isalnum() for letter in line)}
    closing = {number for number, line in enumerate(text.split("\n"), 1) if line.strip(" #{}();/") in {"end", "endif"}}
    assert said - closing <= set(held)
