"""How texts are read and aligned: what reads alike, what is opposed, what moved."""

from __future__ import annotations

import pytest

from replay.gate.alignment import align
from replay.gate.lexicon import canonical
from replay.gate.opposites import opposite
from replay.gate.places import places
from replay.gate.reading import read


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("visibility_timeout", "visibility timeout"),
        ("visibilityTimeout", "visibility timeout"),
        ("5 minutes", "300 s"),
        ("five minutes", "5 min"),
        ("3 * 60 seconds", "3 minutes"),
        ("1,000", "1_000"),
        ("64 MB", "64 megabytes"),
        ("40 percent", "40%"),
        ("does not", "doesn't"),
        ("cannot", "can't"),
        ("creates", "made"),
        ("stopped", "ends"),
        ("at most", "up to"),
        ("has to", "must"),
        ("is unable to", "cannot"),
    ],
)
def test_one_thing_in_two_spellings_reads_alike(one: str, other: str) -> None:
    """Names, quantities, contractions, synonyms and phrases compare by what they mean."""
    assert [atom.key for atom in read(one).atoms] == [atom.key for atom in read(other).atoms]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 minutes", "5 hours"),
        ("64 MB", "64 KB"),
        ("007", "7"),
        ("5.2.1", "5.2"),
        ("10", "10 s"),
        ("at least", "at most"),
    ],
)
def test_two_things_do_not_read_alike(one: str, other: str) -> None:
    """Another unit, another version, a leading zero and the other bound are something else."""
    assert [atom.key for atom in read(one).atoms] != [atom.key for atom in read(other).atoms]


@pytest.mark.parametrize(
    "pair",
    [
        "before after",
        "valid invalid",
        "always never",
        "synchronous asynchronous",
        "useful useless",
        "enabled disabled",
        "compress decompress",
        "first last",
    ],
)
def test_opposites_are_known_by_table_or_affix(pair: str) -> None:
    """Whatever the inflection."""
    one, other = pair.split()
    assert opposite(one, other)
    assert opposite(other, one)


@pytest.mark.parametrize("pair", ["starts begin", "string strong", "now not", "process processes", "code encode"])
def test_likeness_is_no_opposition(pair: str) -> None:
    """Synonyms, inflections and words that look alike are not opposed."""
    one, other = pair.split()
    assert not opposite(one, other)


def test_a_name_turns_no_sentence() -> None:
    """`no_ack` and `NotFound` hold a negation that is part of a name."""
    assert not any(atom.marker for atom in read("no_ack of NotFoundError in socket.not_there").atoms)
    assert any(atom.marker == "not" for atom in read("it is not there").atoms)


def test_clauses_and_sentences_are_told_apart() -> None:
    """A bracket, a comma and `if` begin a clause; a full stop ends a sentence, an abbreviation does not."""
    atoms = read("It waits (one hour), e.g. here, if asked. Then it stops.").atoms
    assert [atom.sentence for atom in atoms][-1] == 1
    assert len({atom.clause for atom in atoms}) >= 5


def test_a_moved_clause_is_found_and_an_edit_has_both_sides() -> None:
    """Moved blocks are no edits; a replaced word shows what stood there."""
    source = read("If a host is unknown, LookupError is raised at once.").atoms
    claim = read("LookupError is raised later if a host is unknown.").atoms
    alignment = align(claim, source)
    assert alignment.moved
    assert [([atom.text for atom in edit.said]) for edit in alignment.edits if edit.said] == [["later"]]


def test_work_grows_with_the_texts_and_not_with_their_product() -> None:
    """Two long texts without a common anchor are left as different instead of being solved."""
    left = read(" ".join(f"a{number % 7} b{number % 5}" for number in range(900))).atoms
    right = read(" ".join(f"b{number % 3} a{number % 11}" for number in range(900))).atoms
    assert len(align(left, right).at) == len(left)


@pytest.mark.parametrize(
    ("text", "path", "first", "last"),
    [
        ("see net/pool.py:88-102.", "net/pool.py", 88, 102),
        ("in lines 3 to 9 of net/pool.py", "net/pool.py", 3, 9),
        ("net/pool.py, line 7", "net/pool.py", 7, 7),
        ("net/pool.py#L4-L6", "net/pool.py", 4, 6),
        ("config/limits.toml", "config/limits.toml", None, None),
        ("line 12", None, 12, 12),
    ],
)
def test_places_are_read(text: str, path: str | None, first: int | None, last: int | None) -> None:
    """A path, lines, or both, in the spellings that people use."""
    assert [(place.path, place.first, place.last) for place in places(text)] == [(path, first, last)]


def test_a_dotted_name_is_no_path() -> None:
    """`json.loads` and `np.sinh/np.cosh` name code."""
    assert not list(places("json.loads and np.sinh/np.cosh, e.g. version 5.2.1"))


@pytest.mark.parametrize("word", ["process", "class", "status", "string", "need", "exceed", "bus"])
def test_a_word_that_only_looks_inflected_is_left_alone(word: str) -> None:
    """No ending is taken from a word that has none."""
    assert canonical(word) == canonical(word.upper().lower())
    assert canonical(word + "s") == canonical(word) or word.endswith(("ss", "us"))
