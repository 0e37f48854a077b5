"""The tasks of the study: claims about celery, kombu and redis, split into work and a probe that is never work.

Half of the chosen facts are worked on, each told twice: once truly and once falsely, in different words. The probe asks
about every second one of them a third time (`kin`), and about as many facts that no task of the work touches (`novel`):
what the first part gains may be memory, what the second gains cannot be. The sentences of the probe are others than
those of the work. Facts that another set of this project asks about are left out: rules were chosen on some of those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.retrieval_claims.facts import Fact
from benchmarks.retrieval_claims.generated import (
    OURS,
    alike,
    crowded_names,
    harvest,
    ordered,
    place,
    scope,
    values_of,
    worth_asking,
)
from benchmarks.retrieval_claims.sentences import FORMS, HELD_OUT_FORMS, THIRD_FORMS
from benchmarks.retrieval_claims.wording import Said, pick, say, subject

PER_FAMILY = {
    "function-default": 40,
    "raise": 40,
    "module-constant": 34,
    "class-constant": 34,
    "setting": 40,
    "exception-base": 40,
    "docstring-number": 12,
    "deprecation": 12,
    "environment": 8,
}
"""Facts of each family: as the sources have them, and none that drowns the others."""
PER_OWNER = 3
"""Facts of one class or function: a library of commands has hundreds that look alike."""

Part = Literal["work", "kin", "novel"]

_PARTS: tuple[tuple[Part, ...], ...] = (("work", "work", "kin"), ("novel",), ("work", "work"), ("novel",))
"""What the tellings of a fact are for, of every four facts in turn."""


_REWORDED = 4
"""What the number of a telling grows by when it is told again."""


@dataclass(frozen=True)
class StudyTask:
    """One task of the study with what is known of it."""

    fact: Fact
    places: tuple[dict[str, str], ...]
    part: Part
    truly: bool
    said: Said
    telling: int

    @property
    def custom_id(self) -> str:
        """Family, fact and telling. What part it is in says the gold file alone."""
        return f"{self.fact.family}-{fact_id(self.fact)}-{self.telling}"

    def task(self) -> dict[str, Any]:
        """The line of a task file."""
        tags = [f"family:{self.fact.family}", f"package:{self.fact.owner[0]}"]
        return {"custom_id": self.custom_id, "task": self.said.text, "tags": tags}

    def gold(self) -> dict[str, Any]:
        """The line of a gold file."""
        known: dict[str, Any] = {
            "custom_id": self.custom_id,
            "verdict": "pass" if self.truly else "fail",
            "part": self.part,
            "family": self.fact.family,
            "fact": fact_id(self.fact),
            "package": self.fact.owner[0],
            **self.places[0],
            "also": list(self.places[1:]),
            "expected": self.said.expected,
            "found": self.fact.found,
            "unit": self.said.unit,
            "absent": None,
        }
        return {name: value for name, value in known.items() if value not in (None, []) or name == "absent"}


def fact_id(fact: Fact) -> str:
    """Eight hexadecimal figures by which two claims about one fact are known."""
    return hashlib.sha256(f"{fact.family}\0{fact.path}\0{subject(fact)}".encode()).hexdigest()[:8]


def tasks(taken: Iterable[tuple[str, str]]) -> Iterator[StudyTask]:
    """All tasks of the study, in an order that mixes the families.

    Args:
        taken: Path and deciding line of facts that another set asks about.
    """
    made = list(_told(frozenset(taken)))
    yield from sorted(made, key=lambda task: hashlib.sha256(f"study order\0{task.custom_id}".encode()).digest())


def reworded(made: Iterable[StudyTask]) -> Iterator[StudyTask]:
    """The probe once more, the same facts in sentences that whoever mended the reading of claims has not seen."""
    pools, crowded = values_of(harvest()), crowded_names(harvest())
    for task in made:
        others, near = pools[task.fact.family, task.fact.owner[0]], scope(task.fact) in crowded
        telling = task.telling + _REWORDED
        said = say(task.fact, truly=task.truly, others=others, crowded=near, forms=THIRD_FORMS, telling=telling)
        if task.part != "work" and said is not None:
            yield replace(task, said=said, telling=telling)


def _told(taken: frozenset[tuple[str, str]]) -> Iterator[StudyTask]:
    pools, crowded = values_of(harvest()), crowded_names(harvest())
    for number, (fact, places) in enumerate(_facts(taken)):
        others, near = pools[fact.family, fact.owner[0]], scope(fact) in crowded
        first = pick((True, False), subject(fact), "study truth")
        made: list[tuple[Part, StudyTask | None]] = []
        for telling, part in enumerate(_PARTS[number % 4], 1):
            # A fact is told truly and falsely in turn, so that its truth is no hint at another claim about it.
            truly = first if telling % 2 else not first
            forms = FORMS if part == "work" else HELD_OUT_FORMS
            said = say(fact, truly=truly, others=others, crowded=near, forms=forms, telling=telling)
            task = None if said is None else StudyTask(fact, tuple(places), part, truly, said, telling)
            made.append((part, task))
        # What can be told only truly, or only falsely, is no work; and nothing is kin to it.
        if all(task is not None for part, task in made if part == "work"):
            yield from (task for _, task in made if task is not None)


def _facts(taken: frozenset[tuple[str, str]]) -> Iterator[tuple[Fact, list[dict[str, str]]]]:
    # Nobody says in a sentence that a text ends in a blank.
    told = (fact for fact in harvest() if fact.owner[0] in OURS and str(fact.value) == str(fact.value).strip())
    groups = alike(fact for fact in told if worth_asking(fact))
    for family, wanted in PER_FAMILY.items():
        count, of_owner = 0, dict[tuple[str, ...], int]()
        for fact, twins in ordered(groups, family):
            # A table of settings is one owner for each of its sections.
            if count == wanted or (family != "setting" and of_owner.get(fact.owner, 0) == PER_OWNER):
                continue
            places = [found for twin in (fact, *twins) if (found := place(twin))]
            if len(places) != 1 + len(twins) or any((at["path"], at["pattern"]) in taken for at in places):
                continue
            count += 1
            of_owner[fact.owner] = of_owner.get(fact.owner, 0) + 1
            yield fact, places
