"""Prose and code as a sequence of atoms: words by their meaning, numbers by their value, in clauses and sentences.

Two texts are compared atom by atom. `visibility_timeout`, `visibilityTimeout` and "visibility timeout" read alike; so
do `5 minutes` and `300 s`, `1,000` and `1000`, "does not" and "doesn't", "creates" and "makes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

from replay import values
from replay.gate.lexicon import FUNCTION, GENERIC, MARKERS, PHRASE_STARTS, PHRASES, canonical, spoken

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

    def sentences(self) -> list[tuple[Atom, ...]]:
        """Its sentences, in order."""
        found: list[list[Atom]] = []
        last = -1
        for atom in self.atoms:
            if atom.sentence != last:
                found.append([])
                last = atom.sentence
            found[-1].append(atom)
        return [tuple(sentence) for sentence in found]


@lru_cache(maxsize=64)  # a quote is read for several findings and rules; texts are bounded
def read(text: str) -> Reading:  # noqa: C901, PLR0912  one loop, one branch for each sort of token; it is the hot path
    """Read a text; what follows its first `MAX_ATOMS` atoms is left unread."""
    raw: list[_Raw] = []
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
            joined = has_names and _is_joined(text, start, end)
            if joined:
                if len(word) == 1 and _is_abbreviation(text, start, end):
                    continue
                named.add(len(raw))
            for key, sort, marker, written in _word(word, joined):
                if written in _SUBORDINATE:
                    clause += 1
                elif sort == "number" or key == "n:1":
                    unit = _UNIT_BEHIND.match(text, end)
                    if unit is not None:
                        taken = unit.end()
                        value = _number_key(values.NUMBER_WORDS[written], unit["unit"].lower())
                        raw.append((value, "number", "", text[start:taken].lower(), start, taken, clause, sentence))
                        continue
                raw.append((key, sort, marker, written, start, end, clause, sentence))
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
            raw.append((key, "number", "", match[0].lower(), start, end, clause, sentence))
        if len(raw) >= MAX_ATOMS:
            break
    return Reading(text, tuple(map(_atom, _phrased(raw, named))))


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
def _word(word: str, joined: bool) -> tuple[tuple[str, str, str, str], ...]:
    """Key, kind, marker and lower-case text of each part of a word; `joined` words are part of an identifier."""
    parts = _CAMEL.findall(word) if any(char.isupper() for char in word[1:]) and not word.isupper() else [word]
    if joined or len(parts) > 1:
        # A `not` in a name turns no sentence round, and no part of a name goes without saying.
        return tuple(_named(part.lower().partition("'")[0]) for part in parts)
    if word == "None":
        return (("none", "word", "", "none"),)  # a value; "none of them" is a phrase
    return tuple(_entry(said) for said in spoken(word.lower()))


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


def _phrased(raw: list[_Raw], named: Collection[int]) -> list[_Raw]:
    """With the phrases of the lexicon replaced by the words that they are read as; parts of names make no phrases."""
    words = [atom[3] for atom in raw]
    if PHRASE_STARTS.isdisjoint(pairwise(words)):
        return raw
    found: list[_Raw] = []
    skip = 0
    for at, atom in enumerate(raw):
        if skip:
            skip -= 1
            continue
        phrases = PHRASES.get(atom[3])
        if phrases is not None and at not in named:
            for rest, said in phrases:
                last = at + len(rest)
                if tuple(words[at + 1 : last + 1]) == rest:
                    skip = len(rest)
                    found += [(*_entry(word), atom[4], raw[last][5], atom[6], atom[7]) for word in said]
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
