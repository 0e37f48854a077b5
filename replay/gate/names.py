"""Rules for the names of a claim: identifiers, paths, lines, codes and quoted texts are those of what it cites."""

from __future__ import annotations

import re
from collections.abc import Iterator

from replay import values
from replay.contracts import Reason
from replay.gate.case import Case
from replay.gate.comparison import Comparison, Part
from replay.gate.places import Place
from replay.gate.reading import Atom, read
from replay.gate.spans import Span
from replay.statements import names_given

_IDENTIFIER = re.compile(r"[\w./:@-]+(?:\(\))?")
# One line that gives a value: `name = …`, `name: type = …`, `'name': …`; and no sentence.
_ASSIGNMENT = re.compile(r"\s*(?:[\w.\[\]]+\s*(?::[^=\n]{1,80})?=(?!=)|['\"][\w.-]+['\"]\s*:)[^\n]*(?<![.!?])\s*$")
_MOST_PARTS = 20
_QUOTES = "`\"'"


def names_are_cited(case: Case) -> list[Reason]:
    """Every identifier, code, URL and quoted text of a claim stands in what it cites, or is named by the task."""
    reasons = []
    task = case.task.text.lower()
    for comparison in case.comparisons:
        held = "\n".join(f"{span.quote}\n{span.names}" for span in comparison.spans).lower()
        for written, start, _ in comparison.names:
            if any(place.start <= start < place.end for place in comparison.places):
                continue
            name = written.strip(_QUOTES).lower()
            if not name or _holds(held, name) or (written[0] in _QUOTES and not _IDENTIFIER.fullmatch(name)):
                continue  # the words of a longer quotation are compared one by one
            if _holds(task, name) and not any(head and _is_name(name, head) for head in case.heads.values()):
                continue
            reasons.append(_unknown(case, comparison, written, name, in_task=_holds(task, name)))
    return reasons


def names_are_bound(case: Case) -> list[Reason]:
    """Where its source says one name, the claim does not say another; of an assignment it keeps the assigned name."""
    reasons = []
    for comparison in case.comparisons:
        for part in comparison.parts:
            for edit in part.edits:
                said = [atom for atom in edit.said if atom.kind != "function" and comparison.strict(atom)]
                texts = {atom.text for atom in edit.said}
                given = [
                    atom
                    for atom in edit.given
                    if atom.text not in texts
                    and ((atom.kind != "function" and comparison.strictly_given(atom)) or atom.kind == "number")
                ]
                if said and given:
                    reasons.append(_other_name(comparison, said[0], given[0]))
            reasons += [_other_name(comparison, said, given) for said, given in _torn(comparison, part)]
        for span in comparison.spans:
            assigned = names_given(span.quote, case.about) if _ASSIGNMENT.match(span.quote) else ()
            keys = {atom.key for atom in comparison.claim.atoms}
            parts = [[atom.key for atom in read(name).atoms] for name in assigned]
            if parts and all(sum(key in keys for key in name) * 2 < len(name) for name in parts):
                reasons.append(
                    Reason(
                        rule="binding.name",
                        message=f"the cited line gives a value to {assigned[0]!r}, which the claim does not speak of",
                        span=comparison.claim.text,
                        expectation=assigned[0],
                    )
                )
    return reasons


def places_are_cited(case: Case) -> list[Reason]:
    """A path of a claim is that of a cited record, and lines of it lie within the record and hold the quote."""
    reasons = []
    for comparison in case.comparisons:
        for place in comparison.places:
            if not any(_is_there(place, span) for span in comparison.spans) and not _holds(
                case.task.text.lower(), place.text.lower()
            ):
                known = place.path is not None and any(_is_path(place.path, span) for span in comparison.spans)
                reasons.append(
                    Reason(
                        rule="literals.lines" if known or place.path is None else "literals.path",
                        message=f"the cited record is not at {place.text!r}",
                        span=place.text,
                        expectation="; ".join(map(_whereabouts, comparison.spans)) or None,
                    )
                )
    return reasons


def _torn(comparison: Comparison, part: Part) -> Iterator[tuple[Atom, Atom]]:
    """Where a name of the claim is a longer name of its source with a part left out."""
    places = part.alignment.at
    for here in range(len(part.claim) - 1):
        said, following = part.claim[here], part.claim[here + 1]
        start, stop = places[here] + 1, places[here + 1]
        if not 0 < start < stop:
            continue
        joined = any(
            begin <= said.start and following.end <= end
            for written, begin, end in comparison.names
            if written[0] not in _QUOTES
        )
        left_out = part.source[start]
        if joined and any(
            begin <= part.source[start - 1].start and part.source[stop].end <= end
            for _, begin, end in comparison.given_names
        ):
            yield following, left_out


def _other_name(comparison: Comparison, said: Atom, given: Atom) -> Reason:
    return Reason(
        rule="binding.name",
        message=f"where its source says {given.text!r}, the claim says {said.text!r}",
        span=comparison.claim.text[said.start : said.end],
        expectation=comparison.source.text[given.start : given.end],
    )


def _unknown(case: Case, comparison: Comparison, written: str, name: str, *, in_task: bool) -> Reason:
    if in_task:
        rule, message = "binding.other_record", f"the cited record is not about {written!r}"
    elif any(_holds(record.text.lower(), name) or name in case.heads[key] for key, record in case.records.items()):
        rule, message = "literals.not_cited", f"the cited span does not name {written!r}"
    else:
        rule, message = "literals.unknown", f"{written!r} occurs nowhere in the evidence"
    return Reason(rule=rule, message=message, span=written, expectation=comparison.spans[0].quote[:200])


def _holds(text: str, name: str) -> bool:
    """Does a lower-cased text hold a name whole, or each of its dotted parts?"""
    if values.stands_whole(name, text):
        return True
    parts = [part for part in re.split(r"[./:@()\s]+", name) if part]
    return 1 < len(parts) <= _MOST_PARTS and "//" not in name and all(values.stands_whole(part, text) for part in parts)


def _is_name(name: str, head: str) -> bool:
    return head == name or head.endswith("." + name)


def _is_there(place: Place, span: Span) -> bool:
    if values.stands_whole(place.text.lower(), f"{span.quote}\n{span.record.text}".lower()):
        return True
    if place.path is not None and not _is_path(place.path, span):
        return False
    return place.first is None or place.last is None or _holds_quote(place.first, place.last, span)


def _holds_quote(first: int, last: int, span: Span) -> bool:
    """Do the lines lie within the record, and the quote within the lines?"""
    record = span.record
    if record.first_line is None or record.last_line is None:
        return False
    if not record.first_line <= first <= last <= record.last_line:
        return False
    if span.line is None or first == record.first_line:
        return True
    quoted = record.first_line + span.line
    if first <= quoted <= last or quoted <= first <= quoted + span.quote.count("\n"):
        return True
    # The same words may stand on several lines; the claim may mean another one than the first.
    lines = record.text.split("\n")[first - record.first_line : last - record.first_line + 1]
    return span.quote.strip().partition("\n")[0] in "\n".join(lines)


def _is_path(path: str, span: Span) -> bool:
    real = (span.record.path or "").lower()
    return real == path.lower() or real.endswith("/" + path.lower())


def _whereabouts(span: Span) -> str:
    record = span.record
    return f"{record.path}:{record.first_line}-{record.last_line}" if record.path else record.record_id
