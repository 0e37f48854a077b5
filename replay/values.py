"""Values in text, normalised so that the same value in another spelling compares equal.

A value has a kind and a set of forms; two values are the same when they share a form. `5 minutes`, `300`, `5 * 60`
and `300.0` share `number:300`; `True` and `enabled` share `boolean:true`; quotes and case are dropped from words.
A product counts as its result only: the `60` in `3 * 60` is not a value of that line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

Kind = Literal["number", "boolean", "none", "word"]

_TRUE = frozenset({"true", "enabled", "on", "yes"})
_FALSE = frozenset({"false", "disabled", "off", "no"})
_NONE = frozenset({"none", "null", "nil", "unset", "not set"})
NUMBER_WORDS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "twelve": "12",
    "hundred": "100",
    "thousand": "1000",
}
_SCALES = {
    "ms": (0.001, 1.0),
    "millisecond": (0.001, 1.0),
    "s": (1.0,),
    "sec": (1.0,),
    "second": (1.0,),
    "min": (60.0,),
    "minute": (60.0,),
    "h": (3600.0,),
    "hr": (3600.0,),
    "hour": (3600.0,),
    "day": (86400.0,),
    "week": (604800.0,),
    "kb": (1000.0, 1024.0),
    "kib": (1024.0,),
    "mb": (1e6, 1048576.0),
    "mib": (1048576.0,),
    "gib": (1073741824.0,),
    "gb": (1e9, 1073741824.0),
    "tb": (1e12, 1099511627776.0),
    "byte": (1.0,),
    "kilobyte": (1000.0, 1024.0),
    "megabyte": (1e6, 1048576.0),
    "gigabyte": (1e9, 1073741824.0),
    "%": (1.0, 0.01),
    "percent": (1.0, 0.01),
}
_SIZES = re.compile(r"(?:[kmgt]i?b|.*byte)")
# Each unit with its kind and with the scale that a quantity in it has among its kind.
PLAIN_UNITS = {
    unit: (scales[0], "share")
    if unit in ("%", "percent")
    else (scales[-1], "size")
    if _SIZES.fullmatch(unit)
    else (scales[0], "time")
    for unit, scales in _SCALES.items()
}
UNIT = "|".join(sorted((re.escape(unit) for unit in _SCALES), key=len, reverse=True))
_WORDS = "|".join(NUMBER_WORDS)
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d[\d_]*)(?:\.\d+)?(?:e-?\d+)?"
_NUMERIC = re.compile(
    rf"(?<![\w.])(?P<product>-?{NUMBER}(?:\s*\*\s*{NUMBER})*|(?:{_WORDS})\b)(?:[\s-]?(?P<unit>{UNIT})s?(?![\w]))?(?![\w]|\.\d)",
    re.IGNORECASE | re.ASCII,
)
# An apostrophe inside a word opens no quotation; the prefix of a Python string is not a word.
QUOTED = re.compile(
    r"(?:(?<!\w)|(?<=\b[bruf]))(?:'([^'\n]{1,80})'(?!\w)|\"([^\"\n]{1,80})\"(?!\w))|(?<!`)`++([^`\n]{1,80})`+",
    re.IGNORECASE,
)
# A quoted name with a number in it: the 8 of `utf-8` is no value.
_QUOTED_NAME = re.compile(r"(?P<quote>['\"`])[A-Za-z_][A-Za-z_.]*[-_.]\d[\w.-]*(?P=quote)")
_VERSION = re.compile(r"(?<![\w.])\d+(?:\.\d+){2,5}(?![\w]|\.\d)", re.ASCII)
_SWITCH = re.compile(
    r"\b(?:True|False|true|false|enabled|disabled|(?:switched|turned|is|are) (?:on|off)(?! the\b| an?\b)|"
    r"(?:as|to|at) (?:on|off)(?=\s*(?:[.,;:!?)]|$)))\b"
)
# "not set to 5", "not set in tests": there something is denied, and no value named.
NOT_SET = r"not set(?=\s+(?:by default|unless|until)\b|\s*(?:[^\w\s]|$))"
_NOTHING = re.compile(rf"\b(?:None\b|unset\b|{NOT_SET})")
_MOST_PLACES = 200  # at which a text is looked for: one of repeated characters stands everywhere in another
IDENTIFIER = re.compile(r"[A-Za-z_][\w]*(?:[.\-/:][A-Za-z_][\w]*)*")


@dataclass(frozen=True)
class Value:
    """One value as it stands in a text, with the forms by which it compares."""

    text: str
    kind: Kind
    forms: frozenset[str]

    def same(self, other: Value) -> bool:
        """Do the two name the same value?"""
        return bool(self.forms & other.forms)


@lru_cache(maxsize=1024)  # every rule of the gate asks this of the same few texts
def parse(text: str) -> Value:
    """The value that a short text, such as `expected` or `found` of a finding, stands for."""
    stripped = text.strip().strip("`'\"").strip().rstrip(".,;")
    numeric = _NUMERIC.fullmatch(stripped)
    if numeric:
        return _number(numeric)
    return word(stripped)


@lru_cache(maxsize=256)  # see `parse`
def asserted(text: str) -> tuple[Value, ...]:
    """The literals that a claim commits itself to: numbers, booleans, and what it quotes or writes as an identifier."""
    return distinct((*numbers(text), *versions(text), *quoted(text), *_special_words(text)))


def names(text: str) -> tuple[Value, ...]:
    """The names in a text: identifiers that no English word looks like, and words in capitals."""
    return tuple(value for value in (*_special_words(text), *_capitals(text)) if value.kind == "word")


def shape(word: str) -> Literal["capitals", "camel", "lower", "figures"]:
    """How a word is written: a constant, a class, a version, or else. Different shapes name different things."""
    if not any(char.isalpha() for char in word):
        return "figures"
    letters = re.sub(r"[^A-Za-z]", "", word.rpartition(".")[2])
    if letters.isupper() and len(letters) > 1:
        return "capitals"
    return "camel" if letters[:1].isupper() and not letters.islower() else "lower"


def occurs(value: Value, text: str) -> bool:
    """Does the value stand in the text, in whatever spelling?"""
    if value.kind == "number":
        return any(value.same(_number(match)) for match in _NUMERIC.finditer(text))
    if value.kind == "none" and _NOTHING.search(text):
        return True
    if value.kind in ("boolean", "none"):
        return any(value.same(word(token)) for token in re.findall(r"\w+", text))
    written = value.text.lower()
    if IDENTIFIER.fullmatch(written):
        return stands_whole(written, text.lower())
    return stands_whole(_plain(value.text), _plain(text))


def stands_whole(part: str, text: str) -> bool:
    """Does a part stand in a text without being cut out of a longer word or number?"""
    start = text.find(part)
    if start < 0:
        return False
    first, last = _joins(part[:1]), _joins(part[-1:])
    for _ in range(_MOST_PLACES):
        if start < 0:
            return False
        end = start + len(part)
        if not (first and _joins(text[start - 1 : start])) and not (last and _joins(text[end : end + 1])):
            return True
        start = text.find(part, start + 1)
    return False


def _joins(char: str) -> bool:
    return char.isalnum() or char == "_"


def numbers_at(text: str) -> list[tuple[Value, int, int]]:
    """The numbers in a text, units and number words included, with where each begins and ends."""
    return [(_number(match), match.start(), match.end()) for match in _NUMERIC.finditer(text)]


def numbers(text: str) -> list[Value]:
    """The numbers of a text that are values: no part of a quoted name, and no word such as the "two" of "two looks"."""
    values = [value for value, _, _ in numbers_at(_QUOTED_NAME.sub(" ", text))]
    return [value for value in values if value.text.lower() not in NUMBER_WORDS]


def product(written: str) -> float:
    """The value of a written number, or of a product of several: `3 * 60` is 180.

    Raises:
        ValueError: It is no number, such as a version of three parts.
    """
    digits = re.sub("[_,]", "", NUMBER_WORDS.get(written, written))
    return prod(float(part) for part in digits.split("*"))


def versions(text: str) -> list[Value]:
    """Numbers of three parts and more are names of versions."""
    return [Value(version, "word", frozenset({f"word:{version}"})) for version in _VERSION.findall(text)]


def _number(match: re.Match[str]) -> Value:
    written = match["product"].lower()
    scales = _SCALES[match["unit"].lower()] if match["unit"] else (1.0,)
    forms = frozenset(f"number:{product(written) * scale:.12g}" for scale in scales)
    return Value(match[0].strip(), "number", forms)


def quoted(text: str) -> list[Value]:
    """What stands in quotes or backticks."""
    return [parse(next(group for group in match.groups() if group is not None)) for match in QUOTED.finditer(text)]


def _special_words(text: str) -> list[Value]:
    """Booleans, None, and identifiers that no English word looks like: snake_case, dotted, CamelCase."""
    values = []
    for match in IDENTIFIER.finditer(text):
        token = match[0]
        if token in ("True", "False", "None") or token.lower() in ("enabled", "disabled"):
            values.append(word(token))
        elif "_" in token or re.search(r"[a-z][A-Z]|[A-Z]{2}[a-z]{2}", token) or re.search(r"\w\.\w", token):
            values.append(Value(token, "word", frozenset({f"word:{token.lower()}"})))
    return values


def _capitals(text: str) -> list[Value]:
    return [word(capitals) for capitals in re.findall(r"\b[A-Z]{3,}\b", text)]


def nothings(text: str) -> list[Value]:
    """What says that a thing has no value."""
    return [word(match[0]) for match in _NOTHING.finditer(text)]


def switches(text: str) -> list[Value]:
    """What says on or off; a plain "on" in a sentence does not."""
    return [word(match[0].split()[-1]) for match in _SWITCH.finditer(text)]


def distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    """Each value once, in order."""
    found: dict[tuple[Kind, frozenset[str]], Value] = {}
    for value in values:
        found.setdefault((value.kind, value.forms), value)
    return tuple(found.values())


def word(text: str) -> Value:
    """A value that is no number: a switch, a none, or a word."""
    lowered = text.lower()
    if lowered in _TRUE:
        return Value(text, "boolean", frozenset({"boolean:true"}))
    if lowered in _FALSE:
        return Value(text, "boolean", frozenset({"boolean:false"}))
    if lowered in _NONE:
        return Value(text, "none", frozenset({"none:none"}))
    return Value(text, "word", frozenset({f"word:{_plain(text)}"}))


@lru_cache(maxsize=64)  # one bundle's texts are searched for several values
def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[`'\"]", "", text)).strip().lower()
