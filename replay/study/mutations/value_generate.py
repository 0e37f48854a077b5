"""The suite of answers in the product's form, from claims with proved lines and the bundles retrieved for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from replay.contracts import Bundle, ReplayTask
from replay.study.mutations.case import Gold, MutationCase
from replay.study.mutations.value_faults import VALUE_FAULTS, VALUE_PARAPHRASES
from replay.study.mutations.value_gold import Claim, value_gold

_DRAWS_PER_GOLD = 3
"""Cases of one class that one right answer may give; they must differ."""


def value_cases(
    claims: Sequence[Claim], retrieve: Callable[[ReplayTask], Bundle], *, seed: int, per_class: int
) -> Iterator[MutationCase]:
    """Make the cases of all classes of answers by line, faults first.

    Claims whose deciding line the retrieval does not show are left out: they say nothing of a gate. A class that the
    claims offer too few places for has fewer cases.

    Args:
        claims: Claims with proved lines.
        retrieve: Gives a task its bundle, as `SnapshotRetriever.retrieve` does.
        seed: Names the draw.
        per_class: Cases of each class.
    """
    golds = []
    for claim in claims:
        bundle = retrieve(task_of(claim.query_id, claim.text, claim.checklist))
        if (gold := value_gold(claim, bundle)) is not None:
            golds.append(gold)
    for name in (*VALUE_FAULTS, *VALUE_PARAPHRASES):
        yield from _of_class(name, golds, seed, per_class)


def task_of(custom_id: str, text: str, checklist: Sequence[str] = ()) -> ReplayTask:
    """The task of a case, as the gate and the retrieval take it."""
    return ReplayTask(
        run_id="mutations",
        batch_id="mutations",
        custom_id=custom_id,
        task_hash="mutations",
        text=text,
        checklist=tuple(checklist),
    )


def _of_class(name: str, golds: Sequence[Gold], seed: int, count: int) -> Iterator[MutationCase]:
    fault = name in VALUE_FAULTS
    mutation = VALUE_FAULTS.get(name) or VALUE_PARAPHRASES[name]
    order = Random(f"{seed}/{name}").sample(range(len(golds)), len(golds))  # noqa: S311  a draw, no secret
    seen: set[str] = set()
    for draw in range(_DRAWS_PER_GOLD):
        for rank in order:
            gold = golds[rank]
            output = mutation(gold.answer, gold.bundle, Random(f"{seed}/{name}/{draw}/{rank}"))  # noqa: S311  as above
            if output is None or (fault and output == gold.answer):
                continue
            key = gold.task + output.model_dump_json()
            if key in seen:
                continue
            if len(seen) == count:
                return
            seen.add(key)
            yield MutationCase(
                case_id=f"{name}-{seed}-{draw}-{rank:04d}",
                task=gold.task,
                checklist=gold.checklist,
                bundle=gold.bundle,
                output=output,
                gold=gold.answer,
                mutation=name if fault else None,
                paraphrase=None if fault else name,
                whole_bundle=True,
            )
