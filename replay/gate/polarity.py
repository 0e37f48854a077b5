"""Polarity rules: a claim turns its source neither round, nor wider, nor narrower.

Claim and cited span are aligned; what is judged is where they differ. A `not` on one side only, a word on one side and
its opposite on the other, an `always` or a `must` that the source does not say, an `only` or a `not` that the claim
leaves out. What is left out together with its whole clause or bracket is no turn: the claim is shorter, not false.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from replay.contracts import Reason, Ruling
from replay.gate.alignment import Edit
from replay.gate.case import Case
from replay.gate.comparison import Comparison, Part, before_it
from replay.gate.lexicon import BINDING_MARKERS
from replay.gate.opposites import opposite
from replay.gate.reading import Atom, read

# Two joining words of a longer stretch are opposed by chance (`in` here, `out` there).
_SHORT = 4
_LONG = 24


def negation_is_kept(case: Case) -> list[Reason]:
    """The claim denies what its source denies, and nothing else."""
    reasons = []
    for comparison, part, edit in _edits(case):
        said, given = _sides(comparison, part, edit)
        denied = _count(said, "not") - _count(given, "not")
        if not denied or _opposed(said, given):
            continue
        if denied > 0 and case.answer.verdict is Ruling.FAIL and any(atom.key in comparison.task for atom in said):
            continue  # "not 5 minutes": a refusal denies what the task says
        reasons.append(
            Reason(
                rule="polarity.negation",
                message="the claim denies what its source says"
                if denied > 0
                else "the claim leaves out a negation of its source",
                span=_text(comparison, said) or comparison.claim.text,
                expectation=_words(given),
            )
        )
    return reasons


def sentence_is_not_denied(case: Case) -> list[Reason]:
    """A quote that begins within a sentence does not leave its negation behind: "It must never be / shared"."""
    reasons = []
    for finding, spans in case.claims:
        for span in spans:
            before = before_it(span)
            if before.strip() and "not" in read(before).markers and "not" not in read(finding.claim).markers:
                reasons.append(
                    Reason(
                        rule="polarity.negation",
                        message="the sentence that is quoted is denied before the quote begins",
                        span=span.quote[:200],
                        expectation=before.strip()[-100:],
                    )
                )
    return reasons


def opposite_is_not_said(case: Case) -> list[Reason]:
    """Where the source says `before`, the claim does not say `after`; a denied opposite is the same again."""
    reasons = []
    for comparison, part, edit in _edits(case):
        said, given = _sides(comparison, part, edit)
        pair = _opposed(said, given)
        denied = _count(_but(said, pair), "not") - _count(_but(given, pair), "not")
        if pair and denied % 2 == 0:
            reasons.append(
                Reason(
                    rule="polarity.opposite",
                    message=f"the claim says {pair[0].text!r} where its source says {pair[1].text!r}",
                    span=pair[0].text,
                    expectation=pair[1].text,
                )
            )
    return reasons


def strength_is_kept(case: Case) -> list[Reason]:
    """No `always`, `only` or `must` that the source does not say, and no `only`, `unless` or `usually` left out."""
    reasons = []
    for comparison, part, edit in _edits(case):
        said, given = _sides(comparison, part, edit)
        ours, theirs = (Counter(atom.marker for atom in side if atom.marker) for side in (said, given))
        added, dropped = ours - theirs, theirs - ours
        if not {"must", "should", "all", "only"} & dropped.keys():
            del added["may"]  # "can be used to" for "used to" claims less, and `might` is a hedge
        if {"any", "each"} & {atom.text for atom in given}:
            del added["all"]
        for kind in [kind for kind in added if kind != "not"] + [kind for kind in dropped if kind in BINDING_MARKERS]:
            if kind == "not":
                continue
            reasons.append(
                Reason(
                    rule="polarity.strength",
                    message=f"the claim adds {kind!r}" if kind in added else f"the claim leaves out {kind!r}",
                    span=_text(comparison, said) or comparison.claim.text,
                    expectation=_words(given),
                )
            )
    return reasons


def _edits(case: Case) -> Iterator[tuple[Comparison, Part, Edit]]:
    for comparison in case.comparisons:
        for part in comparison.parts:
            for edit in part.edits:
                yield comparison, part, edit


def _sides(comparison: Comparison, part: Part, edit: Edit) -> tuple[list[Atom], list[Atom]]:
    return [atom for atom in edit.said if not comparison.exempt(atom)], comparison.kept(part, edit)


def _count(side: Sequence[Atom], marker: str) -> int:
    return sum(atom.marker == marker for atom in side)


def _but(side: Sequence[Atom], pair: tuple[Atom, Atom] | None) -> list[Atom]:
    """A side without the words that are opposed: `without` against `with` is no second negation."""
    return [atom for atom in side if pair is None or atom not in pair]


def _opposed(said: Sequence[Atom], given: Sequence[Atom]) -> tuple[Atom, Atom] | None:
    if not said or not given or len(said) > _LONG or len(given) > _LONG:
        return None
    short = len(said) <= _SHORT and len(given) <= _SHORT
    for one in said:
        for other in given:
            if (short or "function" not in (one.kind, other.kind) or one.marker) and opposite(one.text, other.text):
                return one, other
    return None


def _text(comparison: Comparison, atoms: Sequence[Atom]) -> str:
    return comparison.claim.text[atoms[0].start : atoms[-1].end] if atoms else ""


def _words(atoms: Sequence[Atom]) -> str:
    return " ".join(atom.text for atom in atoms)
