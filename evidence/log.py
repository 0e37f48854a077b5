"""The only code that writes evidence."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from replay.errors import AppendFailed, EvidenceDamaged, EvidenceError, InputError
from replay.identity import Json

from . import durable
from .commit import Appended, GroupCommit
from .durable import KERNEL, SyscallSeam
from .format import Body, Head, prepare
from .index import Index
from .lock import WriterLock
from .recovery import Recovery, pending, recover
from .row import ended_run


class EvidenceLog:
    """The writer's handle of a log: one process, one thread. Made by `open`.

    `recovered` says what this opening had to cut off or found missing, if anything.
    """

    def __init__(self, *, path: Path, fd: int, index: Index, head: Head, seam: SyscallSeam, owned: ExitStack) -> None:
        self.path = path
        self.recovered: Recovery | None = None
        self._fd = fd
        self._index = index
        self._head = head
        self._seam = seam
        self._owned = owned
        self._stopped: EvidenceError | None = None

    @classmethod
    def open(cls, path: Path, *, testing_only_seam: SyscallSeam = KERNEL) -> EvidenceLog:
        """Take the log for writing, recovering what a crash left.

        Raises:
            EvidenceLocked: Another writer holds it.
            EvidenceDamaged: It is not what was written; nothing was changed.
            AppendFailed: The disk said no.
        """
        path = path.absolute()
        seam = testing_only_seam
        durable.make_folders(path.parent, seam)
        with ExitStack() as owned:
            owned.enter_context(WriterLock(path))
            fd = durable.create(path, seam)
            owned.callback(os.close, fd)
            try:
                index = Index(path)
                owned.callback(index.close)
                head = recover(path, fd, index, seam)
                log = cls(path=path, fd=fd, index=index, head=head, seam=seam, owned=owned)
                log._record_recovery()
            except sqlite3.Error as error:
                raise _index_failed(path, error) from error
            except OSError as error:
                raise durable.append_failed("recovery", path, error) from error
            log._owned = owned.pop_all()
            return log

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
        try:
            commit = GroupCommit(
                self._head,
                self._index.find([body.id for body in bodies]),
                self._index.ended([run for body in bodies if (run := ended_run(body.record)) is not None]),
                self._index.find,
            )
            for body in bodies:
                commit.add(body)
            if not commit.lines:
                return commit.placed

            self._refuse_if_changed()
            # Dies here, or inside the write: what part of the lines reached the file, whole lines stand and the torn
            # one is cut by recovery. None was acknowledged; those that stand will be found as duplicates.
            durable.append(self._fd, b"".join(commit.lines), self.path, self._seam)
            # Dies here: the lines are durable and the index is behind; it catches up when the log is opened.
            self._index.add(commit.rows, commit.head)
            # Dies here: durable and indexed, not acknowledged; the redelivery finds each of them.
            self._head = commit.head
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

    def close(self) -> None:
        """Let the log go. Nothing is flushed: what `append` returned is on the disk."""
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

    def _refuse_if_changed(self) -> None:
        ours = os.fstat(self._fd)
        try:
            there = self.path.stat()
        except FileNotFoundError as error:
            raise EvidenceDamaged(
                f"{self.path} was removed while it was being written",
                hint="Put the file back, then start the writer again.",
            ) from error
        except OSError as error:
            raise durable.append_failed("stat", self.path, error) from error
        if not os.path.samestat(ours, there):
            raise EvidenceDamaged(
                f"another file was put in the place of {self.path} while it was being written",
                hint="Put the first file back, then start the writer again.",
            )
        if ours.st_size != self._head.end:
            raise EvidenceDamaged(
                f"{self.path} has {ours.st_size} bytes, but this writer left it at byte {self._head.end}",
                hint="Something else writes to it or cut it. Find and stop that, then start the writer again.",
            )


def _index_failed(path: Path, error: sqlite3.Error) -> AppendFailed:
    return AppendFailed(
        f"the index of {path} failed: {error}",
        hint="Start the writer again: the index is made from the log. If it fails again, delete the index file.",
    )
