"""Parsing within bounds."""

from __future__ import annotations

import pytest

from replay.corpus import parsing
from replay.corpus.definitions import definitions
from replay.corpus.languages import LANGUAGES, PYTHON, Language, by_suffix
from replay.corpus.passages import PASSAGE_LINES


def language(suffix: str) -> Language:
    """The language of a suffix."""
    found = by_suffix(suffix)
    assert found is not None
    return found


@pytest.mark.parametrize("named", LANGUAGES, ids=lambda named: named.name)
@pytest.mark.parametrize("hard", ["/*\n", "(", "a<b<\n", "class A {\n", "\\\n", "`${"])
def test_repetition_cannot_lead_a_parser_astray(named: Language, hard: str) -> None:
    """What made parsers take seconds and gigabytes is blanked before they see it; every line is still in a record."""
    text = hard * (6_000 // len(hard))
    lines = text.split("\n")
    made = definitions(text, lines, "m", named)
    held = sum(piece.last - piece.first + 1 for piece in made.pieces)
    assert held in {0, sum(bool(line.strip()) for line in lines)}


def test_a_table_of_zeros_does_not_hide_what_is_around_it() -> None:
    """A long repetition is blanked whole line by whole line, so that the definitions before and after it are found."""
    source = "def f():\n    pass\n\nTABLE = [\n" + "    0, 0, 0, 0,\n" * 500 + "]\n\ndef g():\n    pass\n"
    made = definitions(source, source.split("\n"), "m", PYTHON)
    assert made.intact
    assert {"m.f", "m.g", "m"} == {piece.title for piece in made.pieces}
    assert sum(piece.last - piece.first + 1 for piece in made.pieces) == 2 + 502 + 2


def test_what_is_too_much_for_a_parser_is_cut_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the steps are used up the file is cut into passages, and named as not understood."""
    monkeypatch.setattr(parsing, "FREE_STEPS", 0)
    monkeypatch.setattr(parsing, "BYTES_PER_STEP", 1_000_000)
    source = "".join(f"def f{n}():\n    return {n}\n\n" for n in range(100))
    made = definitions(source, source.split("\n"), "m", PYTHON)
    assert not made.intact
    assert {piece.title for piece in made.pieces} == {"m"}
    assert all(piece.last - piece.first < PASSAGE_LINES for piece in made.pieces)


def test_a_parser_that_gave_up_is_as_good_as_new() -> None:
    """One hard file does not spoil the next."""
    endless = "/* " + "a /* b " * 1_500
    go = language(".go")
    definitions(endless, [endless], "m", go)
    source = "package p\n\nfunc F() {\n}\n"
    made = definitions(source, source.split("\n"), "m", go)
    assert [piece.title for piece in made.pieces] == ["m", "m.F"]


def test_only_long_repetition_is_blanked() -> None:
    """A ruler and a stream of values are left as they are; line ends stay, so that lines keep their numbers."""
    for source in (b"# " + b"-" * 80 + b"\nx = 1\n" * 9, b"".join(b"out << a%d << b;\n" % n for n in range(200))):
        assert parsing.without_repetition(source) == source
    ruled = b"a = 1\n" + b"-----\n" * 1000 + b"b = 2\n"
    blanked = parsing.without_repetition(ruled)
    assert b"-----\n" * 400 not in blanked
    assert (len(blanked), blanked.count(b"\n")) == (len(ruled), ruled.count(b"\n"))
