"""Prose and code as a sequence of atoms: words by their meaning, numbers by their value, in clauses and sentences.

Two texts are compared atom by atom. `visibility_timeout`, `visibilityTimeout` and "visibility timeout" read alike; so
do `5 minutes` and `300 s`, `1,000` and `1000`, "does not" and "doesn't", "creates" and "makes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

from replay import values
from replay.gate.lexicon import FUNCTION, GENERIC, MARKERS, PHRASE_STARTS, PHRASES, canonical, spoken
from replay.gate.textcache import per_text

MAX_ATOMS = 4000  # of one text; the bounds on the form let no longer claim through, a record may be longer

_ATOM = re.compile(
    rf"""
      (?P<word>[^\W\d_]+(?:['\u2019](?:t|s|re|ve|ll|d)(?!\w))?)
    | (?P<number>(?:(?<![\w)\]])-)?{values.NUMBER}(?:[ \t]*\*[ \t]*{values.NUMBER})*(?:\.\d+)*)
        (?:[ \t-]?(?P<unit>(?i:{values.UNIT}))s?(?![\w]))?
    | (?P<stop>(?<![.(])[.!?](?=\s|$|["'`)\]]+(?:\s|$))|\n\s*\n)
    | (?P<pause>[,;:()\[\]{{}}|\u2014\u2013]|--+|\n)
    """,
    re.VERBOSE,
)
_UNIT_BEHIND = re.compile(rf"[ \t-](?P<unit>{values.UNIT})s?(?![\w])", re.IGNORECASE)
_CAMEL = re.compile(r"[^\W\d_a-z]+(?![a-z])|[^\W\d_a-z]?[a-z\u00df-\uffff]+|[^\W\d_]")
_JOINT = re.compile(r"_|[^\W_]\.[^\W]")
_LEADING_ZERO = re.compile(r"0\d")
_NUMBER_WORDS = {word: digits for word, digits in values.NUMBER_WORDS.items() if word != "one"}
# Begin a clause of their own; such a clause can be dropped or moved as a whole.
_SUBORDINATE = frozenset(
    "if when unless until while because although though whenever which since whereas except after before".split()  # noqa: SIM905  as in the lexicon
)
# Words that do something to what follows them: they open a clause, or count in a unit.
_OPENING = _SUBORDINATE | values.NUMBER_WORDS.keys()
_ABBREVIATION = re.compile(r"(?:e\.g|i\.e|etc|vs|cf|a\.k\.a|resp|approx|No)\.$")


_Raw = tuple[str, str, str, str, int, int, int, int]


class Atom(NamedTuple):
    """One unit of a text.

    Attributes:
        key: By what it is compared.
        kind: `word` carries content, `generic` names the kind of a thing, `function` joins, `number` has a value.
        marker: The class of a word that turns, widens or narrows a statement; empty for others.
        text: As written, lower-cased.
        start: Where the word that it is (part of) begins in the text, and `end` where that ends.
        clause: Number of its clause; brackets are clauses of their own.
        sentence: Number of its sentence.
    """

    key: str
    kind: str
    marker: str
    text: str
    start: int
    end: int
    clause: int
    sentence: int

    @property
    def is_content(self) -> bool:
        """Does it carry something that has to be backed?"""
        return self.kind in ("word", "number")


# `Atom._make` also counts the fields, for each word of each text.
_atom: Callable[[_Raw], Atom] = partial(tuple.__new__, Atom)


@dataclass(frozen=True)
class Reading:
    """A text and its atoms, in order."""

    text: str
    atoms: tuple[Atom, ...]

    def keys(self) -> frozenset[str]:
        """What it talks about: the keys of its content."""
        return frozenset(atom.key for atom in self.atoms if atom.kind != "function")

    @cached_property
    def said(self) -> frozenset[str]:
        """The keys of everything in it, joining words included."""
        return frozenset(atom.key for atom in self.atoms)

    @cached_property
    def markers(self) -> frozenset[str]:
        """The markers of its words."""
        return frozenset(atom.marker for atom in self.atoms)

    @cached_property
    def content(self) -> tuple[Atom, ...]:
        """Those of its atoms that carry something that has to be backed, in order."""
        return tuple(atom for atom in self.atoms if atom.kind in ("word", "number"))

    @cached_property
    def sentences(self) -> tuple[tuple[Atom, ...], ...]:
        """Its sentences, in order."""
        found: list[list[Atom]] = []
        last = -1
        for atom in self.atoms:
            if atom.sentence != last:
                found.append([])
                last = atom.sentence
            found[-1].append(atom)
        return tuple(map(tuple, found))


@per_text(1 << 17)  # records and their lines come again, from rule to rule and from task to task
def read(text: str) -> Reading:  # noqa: C901, PLR0912  one loop, one branch for each sort of token; it is the hot path
    """Read a text; what follows its first `MAX_ATOMS` atoms is left unread."""
    atoms: list[Atom] = []
    append = atoms.append
    named: set[int] = set()
    clause = sentence = taken = 0
    has_names = _JOINT.search(text) is not None
    for match in _ATOM.finditer(text):
        start, end = match.span()
        if start < taken:
            continue  # the unit of a number word
        kind = match.lastgroup
        if kind == "word":
            word = match[0]
            joined = (
                has_names and (text[start - 1] in "_." or text[end : end + 1] in "_.") and _is_joined(text, start, end)
            )
            if joined:
                if len(word) == 1 and _is_abbreviation(text, start, end):
                    continue
                named.add(len(atoms))
            for key, sort, marker, written in _joined_word(word) if joined else _word(word):
                if written in _OPENING:
                    if written in _SUBORDINATE:
                        clause += 1
                    elif (unit := _UNIT_BEHIND.match(text, end)) is not None:
                        taken = unit.end()
                        value = _number_key(values.NUMBER_WORDS[written], unit["unit"].lower())
                        append(_atom((value, "number", "", text[start:taken].lower(), start, taken, clause, sentence)))
                        continue
                append(_atom((key, sort, marker, written, start, end, clause, sentence)))
        elif kind == "pause":
            clause += 1
            if match[0] == "\n" and _breaks_line(text, start, end):
                sentence += 1
        elif kind == "stop":
            if not _ABBREVIATION.search(text, max(0, start - 6), end):
                clause += 1
                sentence += 1
        else:
            key = _number_key(match["number"].lower(), (match["unit"] or "").lower())
            append(_atom((key, "number", "", match[0].lower(), start, end, clause, sentence)))
        if len(atoms) >= MAX_ATOMS:
            break
    return Reading(text, tuple(_phrased(atoms, named)))


def _is_abbreviation(text: str, start: int, end: int) -> bool:
    """Is a letter part of `e.g.` or `i.e.`?"""
    return text[start : end + 2].lower() in ("e.g", "i.e") or text[max(0, start - 2) : end].lower() in ("e.g", "i.e")


def _is_joined(text: str, start: int, end: int) -> bool:
    """Is a word part of an identifier: beside an underscore, or beside a dot with another word behind it?"""
    before = text[start - 1] if start else " "
    if before == "_" or (before == "." and start > 1 and text[start - 2].isalnum()):
        return True
    after = text[end : end + 1]
    if after == "_":
        return True
    return after == "." and (text[end + 1 : end + 2].isalnum() or text[end + 1 : end + 2] == "_")


@lru_cache(maxsize=4096)  # as `read`
def _number_key(written: str, unit: str) -> str:
    if unit in values.PLAIN_UNITS:
        scale, kind = values.PLAIN_UNITS[unit]
        try:
            return f"{kind}:{values.product(written) * scale:.9g}"
        except (ValueError, OverflowError):
            return f"{kind}:{written}{unit}"
    if _LEADING_ZERO.match(written):
        return f"n:{written}"  # a code or a date: `007` is not 7
    try:
        return f"n:{values.product(written):.12g}"
    except (ValueError, OverflowError):
        return f"n:{written}"


@lru_cache(maxsize=1 << 16)  # pure, and the same words come again and again
def _word(word: str) -> tuple[tuple[str, str, str, str], ...]:
    """Key, kind, marker and lower-case text of each part of a word that stands for itself."""
    if any(char.isupper() for char in word[1:]) and not word.isupper() and len(_CAMEL.findall(word)) > 1:
        return _joined_word(word)
    if word == "None":
        return (("none", "word", "", "none"),)  # a value; "none of them" is a phrase
    return tuple(_entry(said) for said in spoken(word.lower()))


@lru_cache(maxsize=1 << 16)  # as `_word`
def _joined_word(word: str) -> tuple[tuple[str, str, str, str], ...]:
    """The same of a word that is part of an identifier, or an identifier of several parts."""
    parts = _CAMEL.findall(word) if any(char.isupper() for char in word[1:]) and not word.isupper() else [word]
    # A `not` in a name turns no sentence round, and no part of a name goes without saying.
    return tuple(_named(part.lower().partition("'")[0]) for part in parts)


def _named(word: str) -> tuple[str, str, str, str]:
    key, kind, _, written = _entry(word)
    return (key, "word" if kind == "function" else kind, "", written)


@lru_cache(maxsize=1 << 16)  # as `_word`
def _entry(word: str) -> tuple[str, str, str, str]:
    if word in _NUMBER_WORDS:
        return (f"n:{_NUMBER_WORDS[word]}", "number", "", word)
    if word == "one":
        return ("n:1", "function", "", word)
    if word in MARKERS:
        return (canonical(word), "function", MARKERS[word], word)
    key = canonical(word)
    if word in FUNCTION:
        return (key if key != word else word, "function", "", word)
    return (key, "generic" if word in GENERIC or key in _GENERIC_KEYS else "word", "", word)


_GENERIC_KEYS = frozenset(canonical(word) for word in GENERIC)


def _phrased(atoms: list[Atom], named: Collection[int]) -> list[Atom]:
    """With the phrases of the lexicon replaced by the words that they are read as; parts of names make no phrases."""
    words = [atom.text for atom in atoms]
    if PHRASE_STARTS.isdisjoint(pairwise(words)):
        return atoms
    found: list[Atom] = []
    skip = 0
    for at, atom in enumerate(atoms):
        if skip:
            skip -= 1
            continue
        phrases = PHRASES.get(atom.text)
        if phrases is not None and at not in named:
            for rest, said in phrases:
                last = at + len(rest)
                if tuple(words[at + 1 : last + 1]) == rest:
                    skip = len(rest)
                    found += [
                        _atom((*_entry(word), atom.start, atoms[last].end, atom.clause, atom.sentence)) for word in said
                    ]
                    break
            if skip:
                continue
        found.append(atom)
    return found


def _breaks_line(text: str, start: int, end: int) -> bool:
    """Does a line end here that is a statement of its own, as in code, and not a wrapped sentence?"""
    before, after = text[max(0, start - 200) : start], text[end : end + 200]
    line = before.rpartition("\n")[2].rstrip()
    following = after.partition("\n")[0].strip()
    if not line or not following:
        return True
    prose = (
        following[0].islower() and not re.search(r"[=(){}\[\]]|:$", following) and not re.search(r"[=:{}()\[\]]$", line)
    )
    return not prose
