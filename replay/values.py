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
_NONE = frozenset({"none", "null", "nil", "unset"})
_NUMBER_WORDS = {
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
    "hour": (3600.0,),
    "day": (86400.0,),
    "week": (604800.0,),
    "kb": (1000.0, 1024.0),
    "kib": (1024.0,),
    "mb": (1e6, 1048576.0),
    "mib": (1048576.0,),
    "gib": (1073741824.0,),
    "%": (1.0, 0.01),
    "percent": (1.0, 0.01),
}
_UNIT = "|".join(sorted((re.escape(unit) for unit in _SCALES), key=len, reverse=True))
_WORDS = "|".join(_NUMBER_WORDS)
_NUMBER = r"\d[\d_]*(?:\.\d+)?(?:e-?\d+)?"
_NUMERIC = re.compile(
    rf"(?<![\w.])(?P<product>-?{_NUMBER}(?:\s*\*\s*{_NUMBER})*|(?:{_WORDS})\b)(?:[\s-]?(?P<unit>{_UNIT})s?(?![\w]))?(?![\w]|\.\d)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'([^'\n]{1,80})'|\"([^\"\n]{1,80})\"|`+([^`\n]{1,80})`+")
_ASSIGNED = re.compile(r"(?<=[=:] )[A-Za-z_][\w.]*|(?<==)[A-Za-z_][\w.]*|(?<=return )[A-Za-z_][\w.]*")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w]*(?:[.\-/:][A-Za-z_][\w]*)*")


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
    return _word(stripped)


@lru_cache(maxsize=256)  # see `parse`
def asserted(text: str) -> tuple[Value, ...]:
    """The literals that a claim commits itself to: numbers, booleans, and what it quotes or writes as an identifier."""
    return _distinct((*_numbers(text, bare_words=False), *_quoted(text), *_special_words(text)))


def claimed(text: str) -> tuple[Value, ...]:
    """What a claim may be asserting of its subject: the values among its literals, or the name that it ends in.

    Where a claim has a number, a switch or a quoted word, that is its value. Otherwise it is the last word that is
    written like a name; and where there is none, any word of it may be, and whoever reads the claim has to choose.
    """
    literals = _distinct((*_numbers(text, bare_words=False), *_quoted(text), *_switches(text)))
    if literals:
        return literals
    names = [value for value in (*_special_words(text), *_capitals(text)) if value.kind == "word"]
    if names:
        return (max(names, key=lambda name: text.rfind(name.text)),)
    return _distinct([_word(word) for word in re.findall(r"[A-Za-z_]\w{2,}", text)])


@lru_cache(maxsize=1024)  # see `parse`
def stated(text: str, like: Value) -> tuple[Value, ...]:
    """The values in a line that could confirm or refute a value like this one: of its kind, or an explicit none."""
    nothing = [_word(token) for token in re.findall(r"\b(?:None|null|nil)\b", text)]
    if like.kind == "number":
        return _distinct([*_numbers(text, bare_words=True), *nothing])
    if like.kind == "boolean":
        return _distinct(_switches(text))
    quoted = [value for value in _quoted(text) if value.kind == "word"]
    words = [_word(match[0]) for match in (_ASSIGNED if shape(like.text) == "lower" else _IDENTIFIER).finditer(text)]
    alike = [word for word in (*quoted, *words) if word.kind == "word" and shape(word.text) == shape(like.text)]
    return _distinct([*alike, *nothing])


def shape(word: str) -> Literal["capitals", "camel", "lower"]:
    """How a word is written: a constant, a class, or anything else. Names of different shapes name different things."""
    letters = re.sub(r"[^A-Za-z]", "", word.rpartition(".")[2])
    if letters.isupper() and len(letters) > 1:
        return "capitals"
    return "camel" if letters[:1].isupper() and not letters.islower() else "lower"


def occurs(value: Value, text: str) -> bool:
    """Does the value stand in the text, in whatever spelling?"""
    if value.kind == "number":
        return any(value.same(other) for other in _numbers(text, bare_words=True))
    if value.kind in ("boolean", "none"):
        return any(value.same(_word(token)) for token in re.findall(r"\w+", text))
    return re.search(rf"(?<![\w]){re.escape(_plain(value.text))}(?![\w])", _plain(text)) is not None


def _numbers(text: str, *, bare_words: bool) -> list[Value]:
    values = [_number(match) for match in _NUMERIC.finditer(text)]
    # "between two looks": a number word is a value only beside a unit, or where a number is looked for.
    return [value for value in values if bare_words or value.text.lower() not in _NUMBER_WORDS]


def _number(match: re.Match[str]) -> Value:
    written = match["product"].lower()
    factors = [float(part) for part in re.split(r"\s*\*\s*", _NUMBER_WORDS.get(written, written).replace("_", ""))]
    scales = _SCALES[match["unit"].lower()] if match["unit"] else (1.0,)
    forms = frozenset(f"number:{prod(factors) * scale:.12g}" for scale in scales)
    return Value(match[0].strip(), "number", forms)


def _quoted(text: str) -> list[Value]:
    return [parse(next(group for group in match.groups() if group is not None)) for match in _QUOTED.finditer(text)]


def _special_words(text: str) -> list[Value]:
    """Booleans, None, and identifiers that no English word looks like: snake_case, dotted, CamelCase."""
    values = []
    for match in _IDENTIFIER.finditer(text):
        token = match[0]
        if token in ("True", "False", "None") or token.lower() in ("enabled", "disabled"):
            values.append(_word(token))
        elif "_" in token or re.search(r"[a-z][A-Z]|[A-Z]{2,}[a-z]{2,}", token) or re.search(r"\w\.\w", token):
            values.append(Value(token, "word", frozenset({f"word:{token.lower()}"})))
    return values


def _capitals(text: str) -> list[Value]:
    return [_word(word) for word in re.findall(r"\b[A-Z]{4,}\b", text)]


def _switches(text: str) -> list[Value]:
    found = re.findall(r"\b(?:True|False|true|false|enabled|disabled|(?:switched|turned) (?:on|off))\b", text)
    return [_word(switch.split()[-1]) for switch in found]


def _distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    found: dict[tuple[Kind, frozenset[str]], Value] = {}
    for value in values:
        found.setdefault((value.kind, value.forms), value)
    return tuple(found.values())


def _word(text: str) -> Value:
    lowered = text.lower()
    if lowered in _TRUE:
        return Value(text, "boolean", frozenset({"boolean:true"}))
    if lowered in _FALSE:
        return Value(text, "boolean", frozenset({"boolean:false"}))
    if lowered in _NONE:
        return Value(text, "none", frozenset({"none:none"}))
    return Value(text, "word", frozenset({f"word:{_plain(text)}"}))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"[`'\"]", "", text)).strip().lower()
