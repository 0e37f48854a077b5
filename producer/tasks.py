"""The tasks of a batch as a sequence that lies on the disk: counted at once, read one after the other, never held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

from producer import repeats
from replay import identity
from replay.compact import TextSet
from replay.contracts import ReplayTask

# In the canonical form of a task. Within a text of it a quote stands behind a backslash, so this is found there alone.
_RUN_ID = b',"run_id":"'
_RUN_ID_BYTES = len("run_") + 24


class StoredTasks(Sequence[ReplayTask]):
    """The tasks of a manifest, in their order, with the runs that stand for them now.

    Args:
        path: The manifest.
        start: Where its tasks begin.
        count: How many there are.
        superseded: Runs in whose place others stand.
    """

    def __init__(self, path: Path, start: int, count: int, superseded: TextSet | None = None) -> None:
        self._path = path
        self._start = start
        self._count = count
        self._superseded = superseded or TextSet()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[ReplayTask]:
        for _, line in self.lines():
            yield ReplayTask.model_validate_json(line)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # runs may be repeated

    def __repr__(self) -> str:
        return f"StoredTasks({self._path}, {self._count} tasks)"

    @overload
    def __getitem__(self, index: int) -> ReplayTask: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ReplayTask, ...]: ...
    def __getitem__(self, index: int | slice) -> ReplayTask | tuple[ReplayTask, ...]:
        if isinstance(index, slice):
            wanted = range(self._count)[index]
            held = {at: task for at, task in enumerate(self) if at in wanted}
            return tuple(held[at] for at in wanted)
        at = range(self._count)[index]
        return next(islice(self, at, None))

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Each task's run and its canonical JSON, as it lies in the manifest and in messages."""
        with self._path.open("rb", buffering=1 << 20) as file:
            file.seek(self._start)
            for line in islice(file, self._count):
                run_id = run_id_of(line)
                if self._superseded and run_id in self._superseded:
                    task = self._standing(ReplayTask.model_validate_json(line))
                    yield task.run_id, identity.canonical_json(task.wire())
                else:
                    yield run_id, line.rstrip(b"\n")

    def _standing(self, task: ReplayTask) -> ReplayTask:
        while task.run_id in self._superseded:
            task = repeats.repeated(task)
        return task


def lines_of(tasks: Sequence[ReplayTask]) -> Iterator[tuple[str, bytes]]:
    """Each task's run and its canonical JSON."""
    if isinstance(tasks, StoredTasks):
        yield from tasks.lines()
    else:
        for task in tasks:
            yield task.run_id, identity.canonical_json(task.wire())


def run_ids_of(tasks: Sequence[ReplayTask]) -> Iterator[str]:
    """Each task's run."""
    if isinstance(tasks, StoredTasks):
        yield from (run_id for run_id, _ in tasks.lines())
    else:
        yield from (task.run_id for task in tasks)


def run_id_of(line: bytes) -> str:
    """The run of a task in canonical form."""
    at = line.index(_RUN_ID) + len(_RUN_ID)
    return line[at : at + _RUN_ID_BYTES].decode("ascii")
