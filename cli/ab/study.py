"""From audited tasks to a comparison: what `replay ab` prints, writes and draws, as one value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from cli.ab.runs import Audited
from producer.gold import KnownAnswer
from producer.line import TaskLine
from producer.results import Result
from replay.contracts import Ruling, State
from replay.corpus import snapshot
from replay.settings import Settings
from replay.study import invention
from replay.study.arms import Arm, Outcome
from replay.study.comparison import Comparison, compare
from replay.study.conditions import Conditions, machine


@dataclass(frozen=True)
class Pair:
    """One task in all arms."""

    custom_id: str
    task: str
    known: Ruling | None
    results: Mapping[Arm, Result]
    outcomes: Mapping[Arm, Outcome]

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        arms = {
            arm.value: {
                **dataclasses.asdict(result),
                "right": self.outcomes[arm].right if self.known else None,
                "on_line": self.outcomes[arm].on_line if self.known else None,
                "invented": list(self.outcomes[arm].invented),
            }
            for arm, result in self.results.items()
        }
        return {"custom_id": self.custom_id, "task": self.task, "known": self.known, "arms": arms}


@dataclass(frozen=True)
class Study:
    """A comparison of arms.

    Attributes:
        total: Tasks that were to be compared; fewer are where it was interrupted.
        pairs: Tasks with an end in every arm, in the order of the file.
        comparison: These in numbers.
        conditions: What the arms have in common.
    """

    total: int
    pairs: tuple[Pair, ...]
    comparison: Comparison
    conditions: Conditions

    @property
    def failed(self) -> int:
        """Runs to which no answer came."""
        return sum(arm.failed for arm in self.comparison.arms)

    @property
    def inventions(self) -> list[tuple[str, Arm, str]]:
        """Everything that was invented, with its task and arm."""
        return [
            (pair.custom_id, arm, phrase)
            for pair in self.pairs
            for arm, outcome in pair.outcomes.items()
            for phrase in outcome.invented
        ]

    def wire(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "complete": len(self.pairs) == self.total,
            "total": self.total,
            "conditions": dataclasses.asdict(self.conditions),
            **self.comparison.wire(),
            "tasks": [pair.wire() for pair in self.pairs],
        }


def put_together(
    lines: Sequence[TaskLine],
    arms: Sequence[Arm],
    audited: Sequence[Audited],
    known: Mapping[str, KnownAnswer],
    settings: Settings,
    *,
    tasks: str,
) -> Study:
    """Compare the arms on the tasks that have an end in each of them.

    Args:
        lines: All tasks.
        arms: All arms, in the order in which they are shown.
        audited: What there is of them.
        known: Known answers by `custom_id`; may be empty.
        settings: Where the corpus lies, in which named sources are looked up.
        tasks: Name of the tasks file.

    Raises:
        CorpusError: The corpus is damaged.
    """
    ends = {(one.result.custom_id, one.arm): one for one in audited}
    places = _places(audited, settings)
    pairs = []
    for line in lines:
        here = {arm: ends[line.custom_id, arm] for arm in arms if (line.custom_id, arm) in ends}
        if len(here) < len(arms):
            continue
        answer = known.get(line.custom_id)
        pairs.append(
            Pair(
                line.custom_id,
                line.task,
                answer.ruling if answer else None,
                {arm: one.result for arm, one in here.items()},
                {arm: _outcome(one, answer, places) for arm, one in here.items()},
            )
        )
    comparison = compare({arm: [pair.outcomes[arm] for pair in pairs] for arm in arms})
    return Study(len(lines), tuple(pairs), comparison, _conditions(audited, tasks))


def _places(audited: Sequence[Audited], settings: Settings) -> invention.Places:
    named = set().union(*(invention.named_outside(one.run) for one in audited))
    if not named:
        return {}
    opened = snapshot.load(settings.corpus_dir)
    return invention.locate(named, chain(opened.sources, opened.playbook))


def _outcome(one: Audited, answer: KnownAnswer | None, places: invention.Places) -> Outcome:
    result = one.result
    return Outcome(
        custom_id=result.custom_id,
        state=State(result.state),
        ruling=Ruling(result.ruling) if result.ruling else None,
        known=answer.ruling if answer else None,
        on_line=answer is not None and answer.rests_on(result),
        invented=invention.inventions(one.run, places),
        seconds=result.seconds,
        prompt_tokens=result.prompt_tokens,
        completion_tokens=result.completion_tokens,
    )


def _conditions(audited: Sequence[Audited], tasks: str) -> Conditions:
    """What the runs themselves say; several, should the corpus have changed meanwhile."""
    attempts = [(one.arm, one.run.attempt) for one in audited if one.run.attempt is not None]
    asked = [tried for arm, tried in attempts if arm.asks_model and tried.generation is not None]
    return Conditions(
        tasks=tasks,
        model=_names(tried.generation.model for tried in asked if tried.generation is not None),
        corpus_version=_names(one.run.corpus_version for one in audited),
        gate_version=_names(tried.verdict.gate_version for _, tried in attempts if tried.verdict is not None),
        machine=machine(),
    )


def _names(names: Any) -> str:
    return ", ".join(sorted({str(name) for name in names if name})) or "none"
