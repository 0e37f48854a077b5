"""stale_fact: the evidence tells an old value beside the current one, and the answer gives the old one as current."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from replay.contracts import Answer, Bundle, Cite
from replay.study.mutations import numerals
from replay.study.mutations.editing import Spot, shuffled, spots, with_cites, with_sentence

_DEFAULT = re.compile(
    r"(?:[Dd]efaults? (?:to|is|value is|value of)|[Dd]efault: ?) ?[`\"']*(True|False|None|\w+)[`\"']*"
)
_TOLD = (
    ("", " Until version {version} this was {old}."),
    ("", " Changed in version {version}: the value was {old} before."),
    ("", " (Before {version}: {old}.)"),
    ("", " In releases older than {version} the value was {old}."),
    ("", " Up to {version} it used to be {old}; that no longer holds."),
    ("", " The former value {old} was given up in {version}."),
    ("Before version {version} the value was {old}. ", ""),
    ("It was {old} in the past and was changed in {version}. ", ""),
    ("The value {old} is superseded since {version}. ", ""),
)
# The same remarks as patterns, to read an old value back out of the evidence.
_REMARKS = tuple(
    re.compile(re.escape((before or after).strip()).replace(r"\{version\}", r"\d+\.\d+").replace(r"\{old\}", r"(\S+?)"))
    for before, after in _TOLD
)
_OPPOSITE = {"True": "False", "False": "True", "None": "True"}


@dataclass(frozen=True)
class History:
    """Text to put before and after a sentence."""

    before: str
    after: str


def histories(sentence: str, evidence: str, rng: Random) -> History | None:
    """An older value for one that the sentence gives, told in one of several ways."""
    place = _place(sentence)
    if place is None:
        return None
    current = place[1] if place.re is _DEFAULT else place[0]
    old = _OPPOSITE.get(current)
    if old is None:
        if not re.fullmatch(r"\d+(?:\.\d+)?|[a-z]+", current) or current.lower() in ("the", "a", "an", "to", "this"):
            return None
        old = numerals.another(current, evidence, rng) if current[0].isdigit() or current in numerals.WORDS else None
        if old is None:
            return None
    version = f"{rng.randint(1, 14)}.{rng.randint(0, 9)}"
    before, after = rng.choice(_TOLD)
    return History(before.format(old=old, version=version), after.format(old=old, version=version))


def _place(sentence: str) -> re.Match[str] | None:
    for match in _DEFAULT.finditer(sentence):
        if match[1] in _OPPOSITE or match[1].isdigit():
            return match
    return next(iter(numerals.places(sentence)), None)


def datable(sentence: str) -> bool:
    """Does the sentence give a value that can have had another?"""
    return _place(sentence) is not None


def stale_fact(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """Give the superseded value as the current one; cite the current sentence, the old remark, or both."""
    for spot in shuffled(spots(answer, bundle), rng):
        told = _remark(spot)
        place = _place(spot.sentence)
        if told is None or place is None:
            continue
        remark, old = told
        group = 1 if place.re is _DEFAULT else 0
        if old == place[group]:
            continue
        start, end = place.span(group)
        stale = with_sentence(answer, spot, f"{spot.sentence[:start]}{old}{spot.sentence[end:]}")
        cite = next(cite for cite in answer.findings[spot.place].cites if cite.quote == spot.sentence)
        how = rng.randrange(3)
        if how == 0:
            return stale
        of_remark = Cite(record_id=cite.record_id, quote=remark)
        return with_cites(stale, spot.place, (of_remark,) if how == 1 else (cite, of_remark))
    return None


def _remark(spot: Spot) -> tuple[str, str] | None:
    """The remark beside the sentence, and the old value that it tells."""
    line = next((line for line in spot.cited.split("\n") if spot.sentence in line), "")
    before, _, after = line.partition(spot.sentence)
    for remark in _REMARKS:
        # The remark stands right behind the sentence or right before it.
        match = remark.match(after.lstrip()) or re.search(f"{remark.pattern}$", before.rstrip())
        if match:
            return match[0], match[1]
    return None
