"""Numbers in prose: reading them in digits and words, and choosing another one that the evidence does not have."""

from __future__ import annotations

import re
from random import Random

WORDS = dict(
    zip(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
        range(2, 13),
        strict=True,
    )
)
SPELLED = {value: word for word, value in WORDS.items()}
# A number that stands by itself: no part of a version, a name, a path or an operator.
EDITABLE = re.compile(r"(?<![\w.#/@:'^*+<>=,-])\d+(?:\.\d+)?(?![\w/^*]|\.\d|-\w|,\d|:\d|\))", re.ASCII)
EDITABLE_WORD = re.compile(rf"\b(?:{'|'.join(WORDS)})\b(?!-)", re.IGNORECASE)
_ANY = re.compile(r"\d+(?:\.\d+)?")
_ENUMERATION = re.compile(r"^\s*\d+[.)]\s")


def values(text: str) -> set[float]:
    """All numbers in a text, whether in digits or in words; "once", "one", "single" and "both" count too."""
    found = {float(match[0]) for match in _ANY.finditer(text)}
    found |= {float(WORDS[match[0].lower()]) for match in EDITABLE_WORD.finditer(text)}
    for word, value in {
        "one": 1,
        "once": 1,
        "single": 1,
        "both": 2,
        "twice": 2,
        "pair": 2,
        "zero": 0,
        "double": 2,
    }.items():
        if re.search(rf"\b{word}\b", text, re.IGNORECASE):
            found.add(float(value))
    return found


def places(text: str) -> list[re.Match[str]]:
    """The numbers of a text that may be exchanged for others."""
    found = [*EDITABLE.finditer(text), *EDITABLE_WORD.finditer(text)]
    return [] if _ENUMERATION.match(text) else sorted(found, key=lambda match: match.start())


def value(written: str) -> float:
    """What a number in digits or words comes to."""
    lowered = written.lower()
    return float(WORDS.get(lowered, 0) or lowered)


def another(written: str, evidence: str, rng: Random) -> str | None:
    """A number near or far from one, written in its way, that the evidence nowhere has."""
    old = value(written)
    near = [old + 1, old - 1, old + 2, old + 5]
    far = [old * 2, old * 10, old / 2, old * 100, old + 37, old * 3]
    swapped = float(written[::-1]) if written.isdigit() and written[-1] != "0" else old
    taken = values(evidence)
    whole = old == int(old)
    choices = [
        new
        for new in (*near, *far, swapped)
        if new >= 0 and new != old and new not in taken and new != 1 and (not whole or new == int(new))
    ]
    if not choices:
        return None
    return write(rng.choice(choices), like=written)


def write(number: float, *, like: str) -> str:
    """A number in words where the other is in words and there is one, or else in digits."""
    if like.lower() in WORDS and number in SPELLED:
        return SPELLED[int(number)]
    return str(int(number)) if number == int(number) else f"{number:g}"
