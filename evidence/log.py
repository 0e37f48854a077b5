"""The only code that writes evidence."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from replay.errors import AppendFailed, EvidenceError, InputError
from replay.identity import Json
from replay.settings import Settings

from . import durable
from .active import Active
from .checkpoints import Checkpoints, Policy
from .commit import Appended, GroupCommit
from .durable import KERNEL, SyscallSeam
from .format import Body, Head, prepare
from .index import Index
from .lock import WriterLock
from .merkle import Tree
from .recovery import Recovery, pending, recover
from .row import ended_run

SEGMENT_BYTES = 256 * 1024 * 1024
"""Size from which on a log begins a new segment, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a log is made of, once it has recovered."""

    active: Active
    index: Index
    checkpoints: Checkpoints
    head: Head
    tree: Tree


class EvidenceLog:
    """The writer's handle of a log: one process, one thread. Made by `open`.

    `recovered` says what this opening had to cut off or found missing, if anything; `sync_s` how long the last append
    waited for the disk, 0 where it had nothing new.
    """

    def __init__(self, *, path: Path, parts: _Parts, segment_bytes: int, owned: ExitStack) -> None:
        self.path = path
        self.recovered: Recovery | None = None
        self._active = parts.active
        self._index = parts.index
        self._checkpoints = parts.checkpoints
        self._head = parts.head
        self._tree = parts.tree
        self._segment_bytes = segment_bytes
        self._owned = owned
        self._stopped: EvidenceError | None = None
        self.sync_s = 0.0

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        checkpoints: Policy = Policy(),  # noqa: B008  a frozen value
        permit: Callable[[], None] = lambda: None,
        forgiven: Collection[str] = (),
        testing_only_seam: SyscallSeam = KERNEL,
        testing_only_clock: Callable[[], float] = time.monotonic,
    ) -> EvidenceLog:
        """Take the log for writing, recovering what a crash left.

        Args:
            path: The log; the folders above it are made.
            segment_bytes: Size from which on the active file is closed and another one begun.
            checkpoints: When the state of the log is written down, where, and who signs it.
            permit: What else allows to write, besides the lock file. Asked once that is held, before anything is
                changed, and again before each change that recovery makes; it forbids by raising.
            forgiven: Checkpoints that it need not extend: for `loss.accept` alone.
            testing_only_seam: The system calls.
            testing_only_clock: Seconds that only rise.

        Raises:
            EvidenceLocked: Another writer holds it.
            EvidenceDamaged: It is not what was written, or does not extend its last checkpoint; nothing was changed.
            AppendFailed: The disk said no.
        """
        path = path.absolute()
        seam = testing_only_seam
        durable.make_folders(path.parent, seam)
        with ExitStack() as owned:
            owned.enter_context(WriterLock(path))
            permit()
            noted = Checkpoints(path, checkpoints, seam, testing_only_clock, forgiven)
            owned.callback(noted.close)
            active = Active.open(path, seam)
            owned.callback(active.close)
            try:
                index = Index(path)
                owned.callback(index.close)
                parts = _Parts(active, index, noted, *recover(path, active, index, seam, permit))
                log = cls(path=path, parts=parts, segment_bytes=segment_bytes, owned=owned)
                permit()
                log._record_recovery()
            except sqlite3.Error as error:
                raise _index_failed(path, error) from error
            except OSError as error:
                raise durable.append_failed("recovery", path, error) from error
            log._owned = owned.pop_all()
            return log

    @classmethod
    def of(
        cls, settings: Settings, permit: Callable[[], None] = lambda: None, forgiven: Collection[str] = ()
    ) -> EvidenceLog:
        """Take the log that the settings name, as they say.

        Args:
            settings: Which log, and how it is written.
            permit: See `open`.
            forgiven: See `open`.

        Raises:
            ConfigurationError: The key that is to sign checkpoints cannot be read.
            EvidenceError: See `open`.
        """
        return cls.open(
            settings.evidence_log,
            segment_bytes=settings.evidence_segment_bytes,
            checkpoints=Policy.of(settings),
            permit=permit,
            forgiven=forgiven,
        )

    @property
    def head(self) -> Head:
        """The end of the log."""
        return self._head

    def append(self, records: Sequence[Mapping[str, Json]]) -> list[Appended]:
        """Append records as one group commit: when this returns they are on the disk. All of them or none is new.

        A record that the log has is found, not written again. One that contradicts the log - the same id with other
        content, or a second end of one run - is appended as a `replay_conflict.v1` record that holds it.

        Args:
            records: JSON objects with text in `schema` and `id`, without `chain`.

        Returns:
            For each record, in order, where it lies.

        Raises:
            InputError: A record cannot be stored; none was, and the log can go on (`format.prepare` says which it is).
            AppendFailed: The disk said no. The process must stop; whatever was not acknowledged comes back to it.
            EvidenceDamaged: Somebody else wrote to the log, cut it or put another in its place. As above.
        """
        if self._stopped is not None:
            raise self._stopped
        return self.append_prepared([prepare(record) for record in records])

    def append_prepared(self, bodies: Sequence[Body]) -> list[Appended]:
        """`append` for records that `format.prepare` has encoded already: encoding is the dearest part of it."""
        if self._stopped is not None:
            raise self._stopped
        self.sync_s = 0.0
        try:
            commit = GroupCommit(
                self._head,
                self._tree.copy(),
                self._index.find([body.id for body in bodies]),
                self._index.ended([run for body in bodies if (run := ended_run(body.record)) is not None]),
                self._index.find,
            )
            for body in bodies:
                commit.add(body)
            if not commit.lines:
                return commit.placed

            if self._head.end - self._active.start >= self._segment_bytes:
                # Dies inside: every step leaves the log whole (`active.Active.rotate`). Nothing new is written yet.
                self._active.rotate(self._head)
            # Dies here, or inside the write: what part of the lines reached the file, whole lines stand and the torn
            # one is cut by recovery. None was acknowledged; those that stand will be found as duplicates.
            writing = time.monotonic()
            self._active.append(b"".join(commit.lines), self._head.end)
            self.sync_s = time.monotonic() - writing
            # Dies here: the lines are durable and the index is behind; it catches up when the log is opened.
            self._index.add(commit.rows, commit.head, commit.tree)
            # Dies here: durable and indexed, not acknowledged; the redelivery finds each of them.
            self._head, self._tree = commit.head, commit.tree
            if self._checkpoints.due(self._head):
                # Dies here: the next one says the same.
                self._checkpoints.write(self._head, self._tree)
        except sqlite3.Error as error:
            self._stopped = _index_failed(self.path, error)
            raise self._stopped from error
        except InputError:
            raise
        except EvidenceError as error:
            self._stopped = error
            raise
        except BaseException:
            self._stopped = AppendFailed(f"an append to {self.path} was interrupted", hint="Start the writer again.")
            raise
        return commit.placed

    def checkpoint_if_due(self) -> None:
        """Write down where the log stands, if there is something new and it is time. For a writer that is idle.

        Raises:
            AppendFailed: The disk said no.
        """
        if self._stopped is None and self._checkpoints.due(self._head):
            self._checkpoints.write(self._head, self._tree)

    def set_checkpoints_aside(self, notes: Collection[str]) -> list[Path]:
        """Begin a new file of checkpoints where one ends in one of these notes; the new names of the old ones.

        Raises:
            AppendFailed: The disk said no.
        """
        return self._checkpoints.set_aside(notes)

    def close(self) -> None:
        """Write a last checkpoint and let the log go. What `append` returned is on the disk anyway.

        Raises:
            AppendFailed: The disk refused the checkpoint; the log was let go all the same.
        """
        with self._owned:
            if self._stopped is None:
                self._stopped = AppendFailed(f"{self.path} is closed", hint="Open it again.")
                self._checkpoints.write(self._head, self._tree, sync=True)

    def abandon(self) -> None:
        """Let the log go and write nothing, not even a last checkpoint: another writer may have it by now."""
        self._stopped = self._stopped or AppendFailed(f"{self.path} was let go", hint="Open it again.")
        self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _record_recovery(self) -> None:
        recovery = pending(self.path, self._head, self._index)
        if recovery is not None and self._index.find([recovery.id]):
            # An earlier opening died between these two steps: the loss is told already.
            self._index.forget_seen()
            recovery = pending(self.path, self._head, self._index)
        if recovery is None:
            return
        # Dies before this: the cut file and the index still ask for it.
        self.append([recovery.wire()])
        # Dies here: the cut file is behind the end of the log now, and a loss is found by its id.
        self._index.forget_seen()
        self.recovered = recovery


def _index_failed(path: Path, error: sqlite3.Error) -> AppendFailed:
    return AppendFailed(
        f"the index of {path} failed: {error}",
        hint="Start the writer again: the index is made from the log. If it fails again, delete the index file.",
    )
