"""A group commit while it is put together: what is new, what is known, what contradicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from .conflict import conflict
from .format import MAX_LINE_BYTES, Body, Head, prepare, seal
from .index import Known
from .merkle import Tree
from .row import ended_run, values_of

_CONFLICT_BYTES = MAX_LINE_BYTES - 1024


class Outcome(StrEnum):
    """What became of a record that was to be appended."""

    APPENDED = "appended"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


class Appended(NamedTuple):
    """Where a record lies. For a conflict, where the conflict record lies, and its id.

    `written` is false where the log had it before.
    """

    id: str
    outcome: Outcome
    written: bool
    seq: int
    offset: int
    length: int


class GroupCommit:
    """Places records behind `head`, one after the other; knows the log only through what it is given.

    Args:
        head: The end of the log.
        tree: The Merkle tree over it; grows with each line, so give a copy.
        known: The records that the log has, of those to be added, by id.
        ended: The records that ended the runs which those to be added would end, by run.
        find: Looks up further record ids; asked only about conflicts, which are rare.
    """

    def __init__(
        self,
        head: Head,
        tree: Tree,
        known: dict[str, Known],
        ended: dict[str, Known],
        find: Callable[[Sequence[str]], dict[str, Known]],
    ) -> None:
        self.head = head
        self.tree = tree
        self.lines: list[bytes] = []
        self.rows: list[tuple[Any, ...]] = []
        self.placed: list[Appended] = []
        self._known = known
        self._ended = ended
        self._find = find

    def add(self, body: Body) -> None:
        """Place one record."""
        run = ended_run(body.record)
        first = self._known.get(body.id) or (self._ended.get(run) if run is not None else None)
        if first is None:
            self._write(body, run, Outcome.APPENDED)
        elif (first.id, first.body_hash) == (body.id, body.hash):
            self._found(first, Outcome.DUPLICATE)
        else:
            self._contradict(first, body)

    def _contradict(self, first: Known, other: Body) -> None:
        body = prepare(conflict(first.id, first.seq, first.body_hash, other).wire(), _CONFLICT_BYTES)
        told = self._known.get(body.id) or self._find([body.id]).get(body.id)
        if told is None:
            self._write(body, None, Outcome.CONFLICT)
        else:
            self._found(told, Outcome.CONFLICT)

    def _found(self, known: Known, outcome: Outcome) -> None:
        self.placed.append(
            Appended(known.id, outcome, written=False, seq=known.seq, offset=known.offset, length=known.length)
        )

    def _write(self, body: Body, run: str | None, outcome: Outcome) -> None:
        offset = self.head.end
        line = seal(body, self.head.seq + 1, self.head.hash)
        self.head = self.head.after(line)
        self.tree.add(line.chain.hash)
        self.lines.append(line.data)
        self.rows.append(values_of(line, offset))
        known = Known(body.id, body.hash, run, self.head.seq, offset, len(line.data))
        self._known[body.id] = known
        if run is not None:
            self._ended[run] = known
        self.placed.append(Appended(body.id, outcome, written=True, seq=known.seq, offset=offset, length=known.length))
