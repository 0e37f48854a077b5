"""The tasks of the study and what is known of them, and the names under which each round asks them.

A run's name follows from study, arm, phase, round and task, so an interrupted round finds what it has already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from replay import identity
from replay.contracts import ReplayTask, Ruling, TaskOptions
from replay.study.loop.arms import LoopArm, Phase


class Place(BaseModel):
    """Another line that decides as well."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    path: str
    pattern: str


class Gold(BaseModel):
    """What is known of a task; the line decides by itself only where nothing is absent."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    custom_id: str
    ruling: Ruling = Field(alias="verdict")
    part: str = "work"
    path: str | None = None
    pattern: str | None = None
    expected: str | None = None
    found: str | None = None
    absent: str | None = None
    also: tuple[Place, ...] = ()

    @property
    def places(self) -> frozenset[tuple[str, str]]:
        """Path and text of the lines that decide it; none where something is absent, for no line shows that."""
        if self.path is None or self.pattern is None or self.absent is not None:
            return frozenset()
        return frozenset((path, line.strip()) for path, line in self._named())

    def _named(self) -> list[tuple[str, str]]:
        first = [(self.path, self.pattern)] if self.path is not None and self.pattern is not None else []
        return first + [(place.path, place.pattern) for place in self.also]


@dataclass(frozen=True)
class StudyTask:
    """A task of the study with what is known of it. Nobody who answers sees `gold`, but for a stand-in that says so."""

    custom_id: str
    text: str
    checklist: tuple[str, ...]
    tags: tuple[str, ...]
    gold: Gold


def asked(
    tasks: Sequence[StudyTask], study: str, arm: LoopArm, phase: Phase, number: int, *, escalates: bool
) -> list[ReplayTask]:
    """The tasks of one round as they are asked. Answers are never reused, and the probe never escalates."""
    hashes = [identity.task_hash(task.text, task.checklist) for task in tasks]
    keys = [(task.custom_id, hashed) for task, hashed in zip(tasks, hashes, strict=True)]
    batch = identity.batch_id(keys, f"{study} {arm} {phase} {number}")
    options = TaskOptions(
        allow_escalation=escalates and phase is Phase.WORK,
        retrieval=arm is not LoopArm.NO_RETRIEVAL,
        reuse=False,
    )
    return [
        ReplayTask(
            run_id=identity.run_id(batch, task.custom_id, hashed),
            batch_id=batch,
            custom_id=task.custom_id,
            task_hash=hashed,
            text=task.text,
            checklist=task.checklist,
            tags=task.tags,
            options=options,
        )
        for task, hashed in zip(tasks, hashes, strict=True)
    ]
