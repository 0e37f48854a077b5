"""Rules for the numbers of a claim: each is the source's number, in its unit, on the thing that has it there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from replay import values
from replay.contracts import Reason, Ruling
from replay.gate.alignment import Edit
from replay.gate.case import Case
from replay.gate.comparison import Comparison, Part
from replay.gate.lexicon import UNITS, canonical
from replay.gate.reading import Atom

# Words beside a bare number that make it a number of seconds.
_TIMED = re.compile(
    r"second|timeout|time_out|delay|interval|expire|ttl|wait|sleep|period|duration|lifetime|deadline|\btime\b|\blease|"
    r"heartbeat|countdown|keepalive|\bage\b",
    re.IGNORECASE,
)
_MILLI = re.compile(r"(?:^|[^a-z])(?:ms|msec|millis(?:econds?)?)(?:[^a-z]|$)", re.IGNORECASE)
# Says that a value was another one, once.
_CHANGE = frozenset(
    """
    before formerly previously originally nolonger raised lowered increased decreased reduced changed grew fell until
    older earlier prior since now former old replaced superseded
    """.split()  # noqa: SIM905  as in the lexicon
)
_PAST = frozenset("was were from before formerly previously originally nolonger older old earlier former until".split())  # noqa: SIM905  as in the lexicon
_UNIT_KEYS = frozenset(map(canonical, UNITS))
_COUNTS_NOTHING = frozenset(["default", "defaults", "value", "set", "read"])
_NEAR = 5


def numbers_are_cited(case: Case) -> list[Reason]:
    """Every number of a claim stands in what it cites, with its unit."""
    reasons = []
    for comparison in case.comparisons:
        for part in comparison.parts:
            for edit in part.edits:
                for atom in edit.said:
                    if atom.kind != "number" or comparison.exempt(atom) or _in_known_name(comparison, atom):
                        continue
                    if case.answer.verdict is Ruling.FAIL and atom.key in comparison.task:
                        continue  # a refusal names what it refuses
                    reason = _judge(comparison, part, edit, atom)
                    if reason:
                        reasons.append(reason)
    return reasons


def numbers_are_bound(case: Case) -> list[Reason]:
    """The number of a claim belongs to the thing that the claim says it of: no other number stands between the two."""
    reasons = []
    for comparison in case.comparisons:
        for part in comparison.parts:
            for here, atom in enumerate(part.claim):
                there = part.alignment.at[here]
                if atom.kind != "number" or there < 0 or here in part.alignment.moved:
                    continue
                if comparison.exempt(atom) or _in_known_name(comparison, atom):
                    continue
                between = _between(part, here)
                other = next(
                    (
                        seen
                        for seen in between
                        if seen.kind == "number"
                        and part.keeps(seen)
                        and seen.key.partition(":")[2] != atom.key.partition(":")[2]
                    ),
                    None,
                )
                if other is not None:
                    reasons.append(
                        Reason(
                            rule="binding.number",
                            message=f"the source says {other.text!r} of this, and {atom.text!r} of another thing",
                            span=atom.text,
                            expectation=other.text,
                        )
                    )
    return reasons


def values_are_current(case: Case) -> list[Reason]:
    """A claim that speaks of now does not rest on what its source says of before."""
    reasons = []
    for comparison in case.comparisons:
        for part in comparison.parts:
            aligned = set(part.alignment.at)
            for here, atom in enumerate(part.claim):
                there = part.alignment.at[here]
                if there < 0 or atom.kind != "number":
                    continue
                sentence = part.source[there].sentence
                said = {other.text for other in part.claim}
                changed = {other.text for other in part.source if other.sentence == sentence and other.text in _CHANGE}
                marks = [
                    part.source[back].text
                    for back in range(max(0, there - 3), there)
                    if back not in aligned
                    and part.source[back].sentence == sentence
                    and part.source[back].text in _PAST
                    and part.source[back].text not in said
                ]
                if marks and changed:
                    reasons.append(
                        Reason(
                            rule="binding.stale",
                            message=f"the source says {atom.text!r} of an earlier state ({marks[-1]!r})",
                            span=atom.text,
                        )
                    )
    return reasons


def counted_is_kept(case: Case) -> list[Reason]:
    """What a number of the claim counts is what it counts in the source: 76 characters are not 76 lines."""
    reasons = []
    for comparison in case.comparisons:
        for part in comparison.parts:
            places = part.alignment.at
            for here, atom in enumerate(part.claim[:-1]):
                there, counted = places[here], part.claim[here + 1]
                if atom.kind != "number" or there < 0 or places[here + 1] >= 0 or counted.clause != atom.clause:
                    continue
                given = part.source[there + 1] if there + 1 < len(part.source) else None
                if (
                    given is not None
                    and "function" not in (counted.kind, given.kind)
                    and given.clause == part.source[there].clause
                    and given.key != counted.key
                    and not comparison.exempt(counted)
                ):
                    reasons.append(
                        Reason(
                            rule="literals.unit",
                            message=f"the source counts {given.text!r}, the claim {counted.text!r}",
                            span=f"{atom.text} {counted.text}",
                            expectation=f"{atom.text} {given.text}",
                        )
                    )
    return reasons


def units_are_kept(case: Case) -> list[Reason]:
    """What a source counts or measures in is not another unit in the claim: "in seconds", "the number of lines"."""
    reasons = []
    for comparison in case.comparisons:
        for part in comparison.parts:
            for edit in part.edits:
                said = [atom for atom in edit.said if atom.key in _UNIT_KEYS and not comparison.exempt(atom)]
                given = [atom for atom in edit.given if atom.key in _UNIT_KEYS]
                ours, theirs = {atom.key for atom in said}, {atom.key for atom in given}
                if ours and theirs and not ours & theirs:
                    reasons.append(
                        Reason(
                            rule="literals.unit",
                            message=f"the source counts in {given[0].text!r}, the claim in {said[0].text!r}",
                            span=said[0].text,
                            expectation=given[0].text,
                        )
                    )
    return reasons


def _between(part: Part, here: int) -> Iterator[Atom]:
    """What the source says between the number and the last word of content that the claim has before it."""
    there = part.alignment.at[here]
    for before in range(here - 1, -1, -1):
        place = part.alignment.at[before]
        if part.claim[before].kind in ("function", "generic") and place < 0:
            continue
        if place < 0 or place >= there or before in part.alignment.moved:
            return
        if part.claim[before].kind != "function":
            yield from part.source[place + 1 : there]
            return


def _judge(comparison: Comparison, part: Part, edit: Edit, atom: Atom) -> Reason | None:
    numbers = [other for other in edit.given if other.kind == "number"]
    if any(_agree(comparison, part, atom, other) for other in numbers):
        return None
    if numbers:
        given = numbers[0]
        same_digits = _digits(atom.text) == _digits(given.text)
        return Reason(
            rule="literals.unit" if same_digits else "literals.number",
            message=f"the cited span says {given.text!r}, not {atom.text!r}",
            span=atom.text,
            expectation=given.text,
        )
    if atom.key in comparison.subject:
        return None
    elsewhere = [
        there
        for there, other in enumerate(part.source)
        if other.kind == "number" and _agree(comparison, part, atom, other)
    ]
    if elsewhere:
        if any(_beside(part, atom, there) for there in elsewhere):
            return None
        return Reason(
            rule="binding.number",
            message=f"the cited span says {atom.text!r} of another thing",
            span=atom.text,
            expectation=part.source[elsewhere[0]].text,
        )
    return Reason(rule="literals.number", message=f"the cited span does not say {atom.text!r}", span=atom.text)


def _agree(comparison: Comparison, part: Part, atom: Atom, other: Atom) -> bool:
    """Is a number of the claim the one of the source, in whatever spelling or unit?"""
    if atom.key == other.key:
        return True
    (ours, said), (theirs, given) = (number.key.split(":", 1) for number in (atom, other))
    if ours == theirs:
        # Only sizes have two readings: a kilobyte of 1000 bytes and one of 1024.
        return ours == "size" and values.parse(atom.text).same(values.parse(other.text))
    if theirs == "n":
        return ours == "time" and _seconds_agree(comparison, part, atom, other)
    if ours == "n":
        # The claim leaves the unit out: the same digits, or as many seconds, and nothing else that is counted.
        same = _digits(atom.text) == _digits(other.text) or (theirs == "time" and said == given)
        return same and _counted(part.claim, atom) is None
    return False


def _seconds_agree(comparison: Comparison, part: Part, atom: Atom, bare: Atom) -> bool:
    """May a bare number of the source be said with this unit? As seconds, or as milliseconds where it says so."""
    context = " ".join([comparison.source.text[:2000], *(span.names for span in comparison.spans)])
    if counted := _counted(part.source, bare):
        # `timeout = 30  # seconds` has its unit behind the code.
        return values.parse(f"{bare.text} {counted.text}").same(values.parse(atom.text))
    if not _TIMED.search(context):
        return False
    if atom.key.partition(":")[2] == bare.key.partition(":")[2]:
        return True
    return (
        _digits(atom.text) == _digits(bare.text)
        and atom.text.endswith(("ms", "s"))
        and bool(_MILLI.search(atom.text) and _MILLI.search(context))
    )


def _counted(atoms: tuple[Atom, ...], number: Atom) -> Atom | None:
    at = atoms.index(number) + 1
    following = atoms[at] if at < len(atoms) else None
    if (
        following is not None
        and following.kind in ("word", "generic")
        and following.text not in _COUNTS_NOTHING
        and following.clause == number.clause
    ):
        return following
    return None


def _beside(part: Part, atom: Atom, there: int) -> bool:
    """Does a word of content that stands next to the number in the claim stand near it in the source, too?"""
    here = part.claim.index(atom)
    near = [
        part.alignment.at[other]
        for other in range(max(0, here - _NEAR), min(len(part.claim), here + _NEAR + 1))
        if part.claim[other].kind == "word" and part.alignment.at[other] >= 0 and not _parted(part.claim, here, other)
    ]
    nearest = min(near, key=lambda place: abs(place - there), default=None)
    if nearest is None or abs(nearest - there) > _NEAR:
        return False
    return not _parted(part.source, nearest, there)


def _parted(atoms: Sequence[Atom], one: int, other: int) -> bool:
    """Does a number stand between the two?"""
    low, high = sorted((one, other))
    return any(atom.kind == "number" for atom in atoms[low + 1 : high])


def _in_known_name(comparison: Comparison, atom: Atom) -> bool:
    """Is the number part of a name, which is looked for as a whole?"""
    return any(
        start <= atom.start and atom.end <= end and text[0] not in "`\"'" for text, start, end in comparison.names
    )


def _digits(text: str) -> str:
    match = re.search(r"[\d.,_]+", text)
    return match[0] if match else text
