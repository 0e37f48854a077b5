"""Support rules: the words of a claim stand in the spans that it cites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replay.contracts import Reason
from replay.gate.alignment import Edit
from replay.gate.case import Case
from replay.gate.comparison import Comparison, Part
from replay.gate.reading import Atom


def nothing_is_added(case: Case) -> list[Reason]:
    """No run of a claim's content is without backing in what it cites.

    A word is backed by the cited quote, by a synonym of it, or by the names that the record goes by. One word that
    stands in for another of the source may be a synonym that the lexicon lacks; a word that is added may not.
    """
    reasons = []
    for comparison in case.comparisons:
        replaced = 0
        for part in comparison.parts:
            for edit in part.edits:
                foreign = list(_foreign(comparison, edit))
                if not foreign:
                    continue
                if len(foreign) == 1 and _may_stand_for(comparison, foreign[0], part, edit):
                    replaced += 1
                    if replaced <= case.thresholds.replaced_words:
                        continue
                weight = sum(case.thresholds.task_word if atom.key in comparison.task else 1.0 for atom in foreign)
                if weight < case.thresholds.foreign_run:
                    continue
                reasons.append(
                    Reason(
                        rule="support.unsupported",
                        message=f"nothing that is cited says {_written(comparison, foreign)!r}",
                        span=comparison.claim.text[foreign[0].start : foreign[-1].end],
                        expectation=" ".join(atom.text for atom in edit.given) or None,
                    )
                )
    return reasons


def more_than_the_task(case: Case) -> list[Reason]:
    """A claim says something that its source says, and does not repeat the task beside a source on other things."""
    reasons = []
    for comparison in case.comparisons:
        if comparison.says_nothing:
            message = "the claim names a source and says nothing of it"
            reasons.append(Reason(rule="support.restated", message=message, span=comparison.claim.text))
            continue
        content = [atom for atom in comparison.claim.content if not comparison.exempt(atom)]
        if all(atom.key in comparison.subject for atom in content) and any(
            atom.kind != "function" and atom.key in comparison.quoted for atom in comparison.claim.atoms
        ):
            continue
        quoted = [atom for atom in content if atom.key in comparison.quoted]
        named = [atom for atom in content if atom.key in comparison.subject]
        rest = len(content) - len(named)
        if content and not quoted:
            message = "the claim has no word of what it cites"
        elif rest and (rest - sum(atom.key not in comparison.subject for atom in quoted)) / rest > (
            case.thresholds.restated_share
        ):
            message = "most of the claim stands in the task alone, or nowhere"
        else:
            continue
        reasons.append(Reason(rule="support.restated", message=message, span=comparison.claim.text))
    return reasons


def _foreign(comparison: Comparison, edit: Edit) -> Iterator[Atom]:
    """The words of an edit that nothing backs; numbers have rules of their own."""
    for atom in edit.said:
        if atom.kind == "word" and not comparison.backed(atom) and not comparison.exempt(atom):
            yield atom


def _may_stand_for(comparison: Comparison, atom: Atom, part: Part, edit: Edit) -> bool:
    """Is there a word of the source that this one may be another name for?"""
    if comparison.strict(atom):
        return False
    here = part.claim.index(atom)
    if here and part.claim[here - 1].kind == "number":
        return False  # what is counted has no synonyms: `30 workers` are no `30 threads`
    said = {other.key for other in edit.said}
    return any(
        other.kind in ("word", "generic") and other.key not in said and not comparison.strictly_given(other)
        for other in edit.given
    )


def _written(comparison: Comparison, atoms: Sequence[Atom]) -> str:
    return comparison.claim.text[atoms[0].start : atoms[-1].end]
