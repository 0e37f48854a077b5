"""Wrong numbers and units, and right numbers on the wrong thing."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle
from replay.study.mutations import numerals
from replay.study.mutations.editing import normal, overlap, replace_at, shuffled, spots, stands_in, with_sentence

_GROUPS = (
    ("milliseconds", "microseconds", "nanoseconds", "seconds", "minutes", "hours", "days", "weeks"),
    ("millisecond", "second", "minute", "hour", "day", "week"),
    ("ms", "s", "min", "h"),
    ("bytes", "bits", "kilobytes", "megabytes", "gigabytes"),
    ("KB", "MB", "GB", "KiB", "MiB"),
    ("characters", "lines", "columns", "words", "cells", "spaces", "pixels", "rows"),
    ("percent", "permille"),
    ("Hz", "kHz", "MHz"),
    ("degrees", "radians"),
)
# On a terminal these are one another, so that a reader would not object.
_ALIKE = (frozenset({"characters", "columns", "cells", "spaces"}), frozenset({"lines", "rows"}))
_ABBREVIATED = frozenset({"ms", "s", "min", "h", "KB", "MB", "GB", "KiB", "MiB", "Hz", "kHz", "MHz"})
# Words for text are units only where they are counted.
_COUNTED = r"(?:\b\d+(?:\.\d+)?|\bnumber of|\b(?:per|in|of|{words}))".replace("{words}", "|".join(numerals.WORDS))


def _unit(unit: str) -> re.Pattern[str]:
    if unit in _ABBREVIATED:
        return re.compile(rf"\b\d+(?:\.\d+)? ?({unit})\b")
    return re.compile(rf"{_COUNTED}[ -]({unit})\b")


_UNITS = [(_unit(unit), unit, group) for group in _GROUPS for unit in group]


def measured(sentence: str) -> bool:
    """Does a sentence name a unit?"""
    return any(pattern.search(sentence) for pattern, _, _ in _UNITS)


def wrong_number(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Another number, near or far, in digits or words, that the cited records nowhere have."""
    for spot in shuffled(spots(answer, bundle), rng):
        for place in shuffled(numerals.places(spot.sentence), rng):
            new = numerals.another(place[0], f"{spot.cited} {spot.before} {spot.after}", rng)
            if new is not None:
                return with_sentence(answer, spot, replace_at(spot.sentence, place, new))
    return None


def wrong_unit(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Another unit of the same kind, one that the cited records do not use."""
    for spot in shuffled(spots(answer, bundle), rng):
        for pattern, unit, group in shuffled(_UNITS, rng):
            match = pattern.search(spot.sentence)
            others = [
                other
                for other in group
                if other != unit
                and not any({unit, other} <= alike for alike in _ALIKE)
                and not re.search(rf"\b{other.rstrip('s')}s?\b", spot.cited)
            ]
            if match and others:
                return with_sentence(answer, spot, replace_at(spot.sentence, match, rng.choice(others), 1))
    return None


def misbound_number(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A number of the cited records on another thing than theirs: exchanged within a claim, or taken from beside it."""
    for spot in shuffled(spots(answer, bundle), rng):
        here = numerals.places(spot.sentence)
        pairs = [
            (one, two)
            for one in here
            for two in here
            if one.start() < two.start()
            and numerals.value(one[0]) != numerals.value(two[0])
            and not re.fullmatch(r"\W*(?:to|and|or|-|,)?\W*", spot.sentence[one.end() : two.start()])
        ]
        if pairs and rng.random() < 0.6:
            one, two = rng.choice(pairs)
            text = spot.sentence
            made = text[: one.start()] + two[0] + text[one.end() : two.start()] + one[0] + text[two.end() :]
            if not stands_in(made, spot.cited):
                return with_sentence(answer, spot, made)
        elsewhere = [number for number in _beside(spot.sentence, spot.cited) if here]
        own = numerals.values(spot.sentence)
        fresh = [number for number in elsewhere if numerals.value(number) not in own]
        if fresh:
            place = rng.choice(here)
            made = replace_at(spot.sentence, place, rng.choice(fresh))
            if not stands_in(made, spot.cited):
                return with_sentence(answer, spot, made)
    return None


def _beside(sentence: str, cited: str) -> list[str]:
    """The numbers of the other sentences of the cited records, where those are about another thing."""
    found = []
    head_less = [line for line in cited.split("\n") if not re.search(r"\d+-\d+", line)]
    for line in head_less:
        for part in re.split(r"(?<=[.;]) ", line):
            another = normal(part) not in normal(sentence) and normal(sentence) not in normal(part)
            if another and overlap(part, sentence) < 0.5:
                found += [place[0] for place in numerals.places(part)]
    return found


def numbered_twice(cited: str, sentence: str) -> bool:
    """Is there a number in the sentence, and another one in it or beside it?"""
    here = numerals.places(sentence)
    own = {numerals.value(place[0]) for place in here}
    return bool(here) and (len(own) > 1 or any(numerals.value(one) not in own for one in _beside(sentence, cited)))


def has_number(sentence: str) -> bool:
    """Does a sentence have a number that may be exchanged?"""
    return bool(numerals.places(sentence))
