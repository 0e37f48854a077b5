"""Which mutations there are, by the name of their class, and what a sentence needs for each."""

from __future__ import annotations

from collections.abc import Callable

from replay.study.mutations.citing import altered_quote, foreign_citation, swapped_citation
from replay.study.mutations.conduct import copied_exemplar, empty, hedge, pass_over_blocking, repetition, truncated
from replay.study.mutations.editing import Mutation
from replay.study.mutations.figures import (
    has_number,
    measured,
    misbound_number,
    numbered_twice,
    wrong_number,
    wrong_unit,
)
from replay.study.mutations.history import datable, stale_fact
from replay.study.mutations.meaning import polarity_flip, unsupported_addition
from replay.study.mutations.paraphrases import (
    current_fact,
    reordered,
    respelled,
    shortened,
    spellable,
    synonym,
    units_spelled_out,
    untouched,
)
from replay.study.mutations.prose import Passage
from replay.study.mutations.references import (
    fabricated_reference,
    has_name,
    wrong_identifier,
    wrong_lines,
    wrong_path,
)
from replay.study.mutations.synonyms import replaced

FAULTS: dict[str, Mutation] = {
    "fabricated_reference": fabricated_reference,
    "wrong_number": wrong_number,
    "wrong_unit": wrong_unit,
    "wrong_path": wrong_path,
    "wrong_lines": wrong_lines,
    "wrong_identifier": wrong_identifier,
    "swapped_citation": swapped_citation,
    "foreign_citation": foreign_citation,
    "altered_quote": altered_quote,
    "polarity_flip": polarity_flip,
    "unsupported_addition": unsupported_addition,
    "misbound_number": misbound_number,
    "copied_exemplar": copied_exemplar,
    "stale_fact": stale_fact,
    "hedge": hedge,
    "pass_over_blocking": pass_over_blocking,
    "repetition": repetition,
    "empty": empty,
    "truncated": truncated,
}
"""After any of these the answer is wrong."""

PARAPHRASES: dict[str, Mutation] = {
    "untouched": untouched,
    "current_fact": current_fact,
    "reordered": reordered,
    "shortened": shortened,
    "synonym": synonym,
    "units_spelled_out": units_spelled_out,
    "respelled": respelled,
}
"""After any of these the answer is as right as it was."""

FOCUS: dict[str, Callable[[Passage, str], bool]] = {
    "wrong_number": lambda _, sentence: has_number(sentence),
    "wrong_unit": lambda _, sentence: measured(sentence),
    "wrong_identifier": lambda _, sentence: has_name(sentence),
    "misbound_number": lambda passage, sentence: numbered_twice(passage.record.text, sentence),
    "stale_fact": lambda _, sentence: datable(sentence),
    "current_fact": lambda _, sentence: datable(sentence),
    "synonym": lambda _, sentence: bool(replaced(sentence, contractions=False)),
    "units_spelled_out": lambda _, sentence: spellable(sentence),
}
"""The sentences that a gold answer needs one of, for classes that not every text offers a place for."""

PLACED = frozenset({"wrong_path", "wrong_lines"})
"""Classes whose gold answers name files and lines."""

DATED = frozenset({"stale_fact", "current_fact"})
"""Classes whose evidence also tells an older value."""
