"""Citations that point elsewhere, and quotes that are not what the record says."""

from __future__ import annotations

import re
from random import Random

from replay.contracts import Answer, Bundle, Cite
from replay.study.mutations import numerals
from replay.study.mutations.editing import (
    content,
    overlap,
    replace_at,
    shuffled,
    stands_in,
    with_cites,
)
from replay.study.mutations.meaning import flipped

_SUPPORTS = 0.45
"""From this share of a claim's words on, another record may support it too."""
_BETWEEN = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])|\n")
_SWAPS = ("legacy", "optional", "internal", "external", "default", "private", "remote", "previous", "final", "partial")


def swapped_citation(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """The citation of another record of the bundle that does not say it: with the old quote or one of its own."""
    records = bundle.records()
    for place in shuffled(range(len(answer.findings)), rng):
        finding = answer.findings[place]
        if len(finding.cites) != 1:
            continue
        cite = finding.cites[0]
        quote = cite.quote or ""
        others = [
            record
            for record in records.values()
            if record.record_id != cite.record_id
            and overlap(quote, record.text) < _SUPPORTS
            and not stands_in(quote, record.text)
        ]
        if not others:
            continue
        other = rng.choice(others)
        own = [part.strip() for part in _BETWEEN.split(other.text)[1:] if len(part.split()) > 4]
        how = rng.randrange(4)
        if how == 0 or not own:
            return with_cites(answer, place, (Cite(record_id=other.record_id, quote=quote),))
        if how == 1:
            return with_cites(answer, place, (Cite(record_id=other.record_id, quote=rng.choice(own)),))
        exchanged = [
            rank
            for rank, one in enumerate(answer.findings)
            if len(one.cites) == 1
            and one.cites[0].record_id != cite.record_id
            and overlap(quote, records[one.cites[0].record_id].text) < _SUPPORTS
        ]
        if not exchanged:
            return with_cites(answer, place, (Cite(record_id=other.record_id, quote=rng.choice(own)),))
        rank = rng.choice(exchanged)
        theirs = answer.findings[rank].cites[0]
        if how == 2:
            return with_cites(with_cites(answer, place, (theirs,)), rank, (cite,))
        crossed = with_cites(answer, place, (Cite(record_id=theirs.record_id, quote=cite.quote),))
        return with_cites(crossed, rank, (Cite(record_id=cite.record_id, quote=theirs.quote),))
    return None


def foreign_citation(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """The citation of what is not in the bundle: another record's id, a damaged id, a name, a path, a rank."""
    place = rng.randrange(len(answer.findings))
    finding = answer.findings[place]
    rank = rng.randrange(len(finding.cites))
    old = finding.cites[rank]
    known = old.record_id
    kind, _, digits = known.partition("_")
    spots = max(len(digits) - 1, 1)
    at = rng.randrange(spots)
    choices = [
        f"{kind}_{rng.getrandbits(48):012x}",
        f"{kind}_{digits[:at]}{digits[at + 1 : at + 2]}{digits[at]}{digits[at + 2 :]}",
        f"{kind}_{digits[:-1]}{(int(digits[-1:] or '0', 16) + 1) % 16:x}",
        f"{kind}_{digits[: len(digits) // 2]}",
        f"pb-{rng.getrandbits(24):06x}",
        str(rng.randint(1, 12)),
        f"R{rng.randint(1, 9)}",
        re.sub(r"\W.*", "", finding.claim) + ".py",
        "documentation",
        known.upper() + "A",
    ]
    made = rng.choice(choices)
    if made in bundle.records():
        return None
    cites = list(finding.cites)
    cites[rank] = Cite(record_id=made, quote=old.quote)
    if rng.random() < 0.2:  # a true citation beside the foreign one
        cites.append(old)
    return with_cites(answer, place, cites)


def altered_quote(answer: Answer, bundle: Bundle, rng: Random) -> Answer | None:
    """A quote that the record does not have: a word left out, exchanged, moved or added, a number, a negation."""
    records = bundle.records()
    for place in shuffled(range(len(answer.findings)), rng):
        finding = answer.findings[place]
        rank = rng.randrange(len(finding.cites))
        cite = finding.cites[rank]
        quote, record = cite.quote or "", records.get(cite.record_id)
        if record is None or len(quote.split()) < 6:
            continue
        made = _altered(quote, record.text, rng)
        if made is None or stands_in(made, record.text):
            continue
        cites = list(finding.cites)
        cites[rank] = cite.model_copy(update={"quote": made})
        return with_cites(answer, place, cites)
    return None


def _altered(quote: str, evidence: str, rng: Random) -> str | None:
    words = quote.split()
    inner = [rank for rank in range(1, len(words) - 1) if content(words[rank])]
    how = rng.randrange(7)
    places = numerals.places(quote)
    if how == 0 and places:
        place = rng.choice(places)
        new = numerals.another(place[0], evidence, rng)
        return replace_at(quote, place, new) if new else None
    if how == 1 or not inner:
        return flipped(quote, rng)
    rank = rng.choice(inner)
    before, word, behind = words[:rank], words[rank], words[rank + 1 :]
    ways = [
        [*before, *behind],
        [*before, rng.choice(_SWAPS), *behind],
        [*before, rng.choice(_SWAPS), word, *behind],
        [*before, *behind[rng.randint(1, 3) :]],  # a seam where words are missing, without an ellipsis
        [*before[:-1], word, *before[-1:], *behind],
    ]
    return " ".join(rng.choice(ways))
