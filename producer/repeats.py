"""Runs of a batch that are made once more, because an operator wants the end of the first one replaced.

A run ends once, and its end stays in the evidence. So a repetition is a run of its own, with the next `repeat` number
and an id that follows from it, and this file beside the manifest says that it now stands for its task. It is durable
before anything is enqueued: from then on the batch owes the new run, whatever becomes of its message.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from evidence import durable
from replay import identity
from replay.contracts import Message, ReplayTask
from replay.errors import EvidenceDamaged

FILE = "repeats.jsonl"


class Repeat(Message):
    """One repetition: the run that had ended, the one that takes its place, and the dead letter that it came from."""

    schema_: Literal["replay_repeat.v1"] = Field("replay_repeat.v1", alias="schema")
    letter_id: str
    run_id: str
    task: ReplayTask
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def read(folder: Path) -> tuple[Repeat, ...]:
    """The repetitions of a batch, oldest first.

    Raises:
        EvidenceDamaged: The file is not what was written.
    """
    path = folder / FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return ()
    try:
        return tuple(Repeat.model_validate_json(line) for line in lines)
    except ValidationError as error:
        raise EvidenceDamaged(
            f"{path} is not what was written: {error.errors()[0]['msg']}",
            hint="Put it back from a backup. Without it the first ends of repeated runs count again.",
        ) from error


def version(folder: Path) -> int:
    """A number that is another one after each repetition; 0 without any."""
    try:
        return (folder / FILE).stat().st_mtime_ns
    except OSError:
        return 0


def add(folder: Path, repeat: Repeat) -> None:
    """Make a repetition durable. Only for who holds the batch (`producer.turn`).

    Raises:
        AppendFailed: The disk said no; nothing is repeated.
        EvidenceDamaged: The file is not what was written.
    """
    kept = [*read(folder), repeat]
    durable.keep(folder / FILE, b"".join(identity.canonical_json(each.wire()) + b"\n" for each in kept))


def current(tasks: Iterable[ReplayTask], repeats: Iterable[Repeat]) -> tuple[ReplayTask, ...]:
    """The tasks of a batch with the runs that stand for them now, in their order."""
    successor = {repeat.run_id: repeat.task for repeat in repeats}
    if not successor:
        return tuple(tasks)
    return tuple(_last(task, successor) for task in tasks)


def repeated(task: ReplayTask) -> ReplayTask:
    """The same task as a new run; made twice of the same run, it is the same one."""
    number = task.options.repeat + 1
    return task.model_copy(
        update={
            "run_id": identity.run_id(task.batch_id, task.custom_id, f"{task.task_hash}#{number}"),
            "options": task.options.model_copy(update={"repeat": number}),
        }
    )


def _last(task: ReplayTask, successor: dict[str, ReplayTask]) -> ReplayTask:
    while (later := successor.get(task.run_id)) is not None:
        task = later
    return task
