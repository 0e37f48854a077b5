"""The tokenizer: what counts as a shared word between a task and a record.

`tokens.v1` gives a *set* of tokens, all lower-cased:

- an identifier whole and in its parts, cut at `_` and at case changes: `maxTasks_perChild` gives `maxtasks_perchild`,
  `max`, `task`, `per`, `child`;
- a dotted name whole, by its suffixes and in parts: `app.conf.task_serializer` also gives `conf.task_serializer`;
- a path whole and in parts: `celery/app/defaults.py` also gives `defaults.py`, `celery`, `app`, `default`, `py`;
- a hyphenated word with `_` for `-` and in parts: `max-tasks-per-child` gives `max_tasks_per_child`;
- a number without its separators (`3_600` and `3,600` are `3600`), a whole float also as an integer (`60.0` is `60`),
  and a number with a unit both ways (`10ms` gives `10ms`, `10` and `ms`);
- a plain word, or part of one, in the singular (`limits` is `limit`, `retries` is `retry`), so that number does not
  part a task from its record.

A change to what any text gives is a new version: bundles name the tokenizer, and old ones must stay explicable.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import chain

TOKENIZER = "tokens.v1"

_WORD = re.compile(r"\w+(?:[./-]\w+|(?<=\d),\d{3}(?!\d))*")
_NUMBER = re.compile(r"\d[\d_,]*(?:\.\d+)?", re.ASCII)
_WITH_UNIT = re.compile(r"(\d[\d_,]*(?:\.\d+)?)([a-z]+)", re.ASCII | re.IGNORECASE)
_VERSION = re.compile(r"\d+(?:\.\d+){2,}", re.ASCII)
_PART = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[^\W\d_A-Z]+\d*|[A-Z]\d*|\d+")

# Bounds against hostile words: nobody writes, or asks for, a longer name.
_LONGEST_CACHED = 200
_MOST_SUFFIXES = 8

# Words of the asking, not of the thing asked about. Dropped from the query only: a record may use them as it likes.
STOP_WORDS = frozenset(
    """
    a an and are as at be by can check claim confirm default defaults defaulting does ensure for from has have if in
    into is it its not of on or set sets should that the their there this to uses used value verify was when whether
    which with without you your
    """.split()  # noqa: SIM905  a list of seventy quoted words is harder to read and to keep in order
)


def tokens(text: str) -> frozenset[str]:
    """The distinct tokens of a text."""
    return frozenset(chain.from_iterable(map(expand, set(words(text)))))


def query_tokens(text: str) -> frozenset[str]:
    """The distinct tokens of a task, without the words of asking."""
    asked = (word for word in words(text) if word.lower() not in STOP_WORDS)
    return frozenset(token for word in asked for token in expand(word))


def words(text: str) -> list[str]:
    """The words of a text, in order and as written: an identifier, a dotted name, a path or a number is one word."""
    return _WORD.findall(text)


def expand(word: str) -> tuple[str, ...]:
    """The tokens of one word, whole form first."""
    return _cached(word) if len(word) <= _LONGEST_CACHED else tuple(dict.fromkeys(forms(word)))


@lru_cache(maxsize=1 << 18)  # pure, and the same words come again and again
def _cached(word: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(forms(word)))


def forms(chunk: str) -> list[str]:
    """The tokens of one word as `expand` gives them, made anew, and some of them twice."""
    if chunk.isalpha() and chunk.islower():
        return [singular(chunk)]  # most words are plain, and need none of what follows
    if _NUMBER.fullmatch(chunk):
        return _number(chunk)
    if unit := _WITH_UNIT.fullmatch(chunk):
        return [chunk.lower(), *_number(unit[1]), unit[2].lower()]
    if _VERSION.fullmatch(chunk):
        return [chunk]
    for joint in "/-.":
        if joint in chunk:
            return _compound(chunk, joint)
    return _identifier(chunk)


def _compound(chunk: str, joint: str) -> list[str]:
    parts = chunk.split(joint)
    whole = [chunk.lower().replace("-", "_") if joint == "-" else chunk.lower()]
    if joint == ".":
        first = max(1, len(parts) - _MOST_SUFFIXES - 1)
        whole += [".".join(parts[start:]).lower() for start in range(first, len(parts) - 1)]
    return [*whole, *(form for part in parts for form in forms(part))]


def _number(chunk: str) -> list[str]:
    plain = chunk.replace("_", "").replace(",", "")
    whole, _, fraction = plain.partition(".")
    return [plain, whole] if fraction and not fraction.strip("0") else [plain]


def _identifier(chunk: str) -> list[str]:
    parts = [singular(part.lower()) for part in _PART.findall(chunk)]
    if len(parts) == 1 and chunk.isalnum():
        return parts
    return [chunk.lower(), *parts]


def singular(word: str) -> str:
    """A word without its plural ending, by the S-stemmer (Harman 1991): three rules, and words that merely end in s.

    Source: D. Harman, "How effective is suffixing?", JASIS 42(1), 1991.
    """
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1]
