"""The suite of prose answers: for each class as many cases as are wanted, from the records that are given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from replay.contracts import Record
from replay.study.mutations.case import Gold, MutationCase
from replay.study.mutations.checks import is_fault, is_harmless
from replay.study.mutations.gold import Wanted, compose
from replay.study.mutations.prose import Passage, passages
from replay.study.mutations.registry import DATED, FAULTS, FOCUS, PARAPHRASES, PLACED

_TRIES_PER_CASE = 30
_JOINED_SHARE = 0.3
"""Of the answers about misbound numbers: those whose claim speaks of two records."""


def cases(
    records: Sequence[Record], *, seed: int, per_class: int, classes: Sequence[str] | None = None
) -> Iterator[MutationCase]:
    """Make the cases of all classes, faults first.

    The same records, seed and count give the same cases. A class that the text offers too few places for has fewer.

    Args:
        records: Source records with prose in them, as `replay.corpus.sources` reads them.
        seed: Names the draw.
        per_class: Cases of each class of faults and of each paraphrase.
        classes: Names of the classes to make; None makes all. A class gives the same cases whatever is beside it.
    """
    pool = passages(records)
    for name in (*FAULTS, *PARAPHRASES) if classes is None else classes:
        yield from _of_class(name, pool, seed, per_class)


def _of_class(name: str, pool: Sequence[Passage], seed: int, count: int) -> Iterator[MutationCase]:
    fits = FOCUS.get(name)
    focus = [(passage, one) for passage in pool for one in passage.sentences if fits is None or fits(passage, one)]
    mutation = FAULTS.get(name) or PARAPHRASES[name]
    made = 0
    seen: set[str] = set()
    for attempt in range(_TRIES_PER_CASE * count):
        if made == count or not focus:
            return
        rng = Random(f"{seed}/{name}/{attempt}")  # noqa: S311  a draw that can be repeated, no secret
        gold = _gold(name, pool, focus, rng)
        if gold is None:
            continue
        output = mutation(gold.answer, gold.bundle, rng)
        if output is None:
            continue
        fault = name in FAULTS
        if not (is_fault(gold, output) if fault else is_harmless(gold, output)):
            continue
        case = MutationCase(
            case_id=f"{name}-{seed}-{attempt:05d}",
            task=gold.task,
            checklist=gold.checklist,
            bundle=gold.bundle,
            output=output,
            gold=gold.answer,
            mutation=name if fault else None,
            paraphrase=None if fault else name,
        )
        key = output.model_dump_json()
        if key not in seen:
            seen.add(key)
            made += 1
            yield case


def _gold(name: str, pool: Sequence[Passage], focus: Sequence[tuple[Passage, str]], rng: Random) -> Gold | None:
    wanted = Wanted(focus=(rng.choice(focus),), placed=name in PLACED, dated=name in DATED)
    if name == "misbound_number" and rng.random() < _JOINED_SHARE:
        other = rng.choice(focus)
        if other[0] is not wanted.focus[0][0]:
            wanted = replace(wanted, focus=(*wanted.focus, other), joined=True)
    return compose(pool, wanted, rng)
