"""What the playbook remembers: the line on which an accepted answer to a similar claim rested.

An exemplar that was admitted from evidence names the passage that it rests on (`Source: ID`) and the line in it
(`Evidence: PATH:NUMBER: TEXT`). Where a task is close to its claim, that line is shown as well: before those that
retrieval chose by itself, where the claims are the same but for their values, or where retrieval too thinks much of it;
else behind the first of them, for sentences are alike also where two neighbours are meant. The id of a passage follows
from its content, so a passage that has changed since is not found, and nothing stale is remembered. How close two
claims are is the exact Jaccard similarity of their tokens, values left out: a claim told falsely is about the same
thing as the claim told truly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from replay import assertion
from replay.contracts import Hit, Record, RecordKind
from replay.corpus.group import Group
from replay.corpus.lines import MAX_LINE_CHARS, ScoredLine
from replay.corpus.tokens import query_tokens, tokens

REMEMBERED = "remembered.v2"
CLOSE = 0.5
SAME = 0.9
"""As close as this, two claims are about one thing, whatever words the source has for it."""
OF_FIRST = 0.75
"""What a line that comes first must have of the score of retrieval's own first line, where the claims are merely close.

In the probe of `data/study`, where this changes which line is first, the remembered one decides in 6 of 7 cases; of
those that score less, in 4 of 15.
"""
MOST = 2
"""How many remembered lines are shown: more would push out what retrieval found."""

_EVIDENCE = re.compile(r"(?P<path>[^:\n]+):(?P<line>\d+): (?P<text>.*)")


class Worked(NamedTuple):
    """A claim that was answered, and what its answer rests on."""

    claim: str
    source: str
    line_no: int
    text: str


def worked(record: Record) -> Worked | None:
    """What an exemplar says of its claim and its line; None where it does not say both."""
    if record.kind is not RecordKind.EXEMPLAR:
        return None
    fields: dict[str, str] = {}
    for line in record.text.split("\n"):
        name, colon, value = line.partition(": ")
        if colon:
            fields.setdefault(name, value)
    place = _EVIDENCE.fullmatch(fields.get("Evidence", ""))
    if place is None or not {"Claim", "Source"} <= fields.keys():
        return None
    return Worked(fields["Claim"], fields["Source"], int(place["line"]), place["text"])


def subject(claim: str) -> frozenset[str]:
    """The tokens of a claim without the words of asking and without its values."""
    said = " ".join(value.text for value in assertion.claimed(claim))
    return query_tokens(claim) - tokens(said)


def closeness(claim: str, other: str) -> float:
    """The Jaccard similarity of what two claims are about, 0 to 1."""
    one, two = subject(claim), subject(other)
    union = len(one | two)
    return len(one & two) / union if union else 0.0


def remembered(text: str, playbook: Iterable[Hit], sources: Group) -> list[tuple[float, ScoredLine]]:
    """The lines that answers to the claims closest to a task rest on, closest first, each with its closeness.

    Raises:
        CorpusError: A record is not what was written; names the file.
    """
    found: dict[tuple[str, int], tuple[float, ScoredLine]] = {}
    for hit in playbook:
        known = worked(hit.record)
        close = closeness(text, known.claim) if known else 0.0
        if known is None or close < CLOSE:
            continue
        record = sources.find(known.source)
        offset = known.line_no - (record.first_line or 1) if record else -1
        lines = record.text.split("\n") if record else []
        if record is None or not 0 <= offset < len(lines) or not _is_shown_as(lines[offset], known.text):
            continue
        place = (record.record_id, offset)
        if place not in found or found[place][0] < close:
            found[place] = (close, ScoredLine(record, offset, known.text, close))
    return sorted(found.values(), key=lambda one: (-one[0], one[1].record.record_id, one[1].offset))[:MOST]


def _is_shown_as(line: str, text: str) -> bool:
    """Is this how a line is cited: without its indentation, and cut where it is very long?"""
    return line.strip()[:MAX_LINE_CHARS].rstrip() == text[:MAX_LINE_CHARS].rstrip()


def before(
    first: Sequence[tuple[float, ScoredLine]], passages: list[Hit], lines: list[ScoredLine]
) -> tuple[list[Hit], list[ScoredLine]]:
    """The passages and lines with the remembered ones among them, scored above all others or behind the first of them.

    Args:
        first: What `remembered` gave.
        passages: What retrieval found, best first.
        lines: Their lines.
    """
    if not first:
        return passages, lines
    held = {hit.record.record_id for hit in passages}
    added: dict[str, Hit] = {}
    for close, line in first:
        if line.record.record_id not in held:
            added.setdefault(line.record.record_id, Hit(record=line.record, score=close, scorer=REMEMBERED))
    places = {(line.record.record_id, line.offset) for _, line in first}
    own = {(line.record.record_id, line.offset): line.score for line in lines}
    rest = [line for line in lines if (line.record.record_id, line.offset) not in places]
    top = max(own.values(), default=0.0)
    others = max((line.score for line in rest), default=0.0)
    raised = [
        line._replace(
            score=top + close
            if close >= SAME or own.get((line.record.record_id, line.offset), 0.0) >= OF_FIRST * top
            # Behind the first of the others, before its second or beside it.
            else math.nextafter(others, 0.0)
        )
        for close, line in first
    ]
    return [*passages, *added.values()], [*raised, *rest]
