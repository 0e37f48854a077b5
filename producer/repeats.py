"""Runs of a batch that are made once more, because an operator wants the end of the first one replaced.

A run ends once, and its end stays in the evidence. So a repetition is a run of its own, with the next `repeat` number
and an id that follows from it, and this file beside the manifest says that it now stands for its task. It is durable
before anything is enqueued: from then on the batch owes the new run, whatever becomes of its message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
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
    return tuple(each(folder))


def each(folder: Path) -> Iterator[Repeat]:
    """As `read`, one after the other: a batch may have many, each with its task."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            for line in file:
                repeat = Repeat.model_validate_json(line)
                task = repeat.task
                if task.run_id != _run_id(task, task.options.repeat):
                    raise EvidenceDamaged(f"{path} is not what was written: {task.run_id}", hint=_HINT)
                yield repeat
    except FileNotFoundError:
        return
    except ValidationError as error:
        raise EvidenceDamaged(
            f"{path} is not what was written: {error.errors()[0]['msg']}",
            hint=_HINT,
        ) from error


def superseded(folder: Path) -> tuple[str, ...]:
    """The runs of a batch in whose place others stand, in the order in which they were repeated.

    Which ones stand there follows from them (`repeated`); that the file says the same is proved.

    Raises:
        EvidenceDamaged: The file is not what was written.
    """
    return tuple(repeat.run_id for repeat in each(folder))


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
    add_all(folder, [repeat])


# openat(temporary, O_CREAT) -> write what is there, write what is new -> fsync -> rename(temporary, path) -> fsync
def add_all(folder: Path, repeats: Iterable[Repeat]) -> int:
    """As `add`, of many, all or none; how many they were.

    Raises:
        AppendFailed: The disk said no; nothing is repeated.
        EvidenceDamaged: The file is not what was written.
    """
    path = folder / FILE
    temporary = path.with_name(f"{FILE}.tmp")
    count = 0
    try:
        with temporary.open("wb", buffering=1 << 20) as file:
            for kept in each(folder):
                file.write(identity.canonical_json(kept.wire()) + b"\n")
            for repeat in repeats:
                count += 1
                file.write(identity.canonical_json(repeat.wire()) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if count:
            temporary.rename(path)
            durable.sync_folder(folder)
        else:
            temporary.unlink()
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise durable.append_failed("write", path, error) from error
    return count


def repeated(task: ReplayTask) -> ReplayTask:
    """The same task as a new run; made twice of the same run, it is the same one."""
    number = task.options.repeat + 1
    return task.model_copy(
        update={
            "run_id": _run_id(task, number),
            "options": task.options.model_copy(update={"repeat": number}),
        }
    )


def _run_id(task: ReplayTask, number: int) -> str:
    return identity.run_id(task.batch_id, task.custom_id, f"{task.task_hash}#{number}")


_HINT = "Put it back from a backup. Without it the first ends of repeated runs count again."
