"""One writer: an exclusive lock on a file of its own beside the log.

`flock` and a separate file, because a POSIX record lock on the log would be lost as soon as anything in this process
opened and closed the log (Tessera's POSIX storage does the same). The kernel drops the lock with the process, however
it dies; the file stays, and what it says of a dead holder means nothing. A forked child keeps the lock: do not fork.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from replay.errors import EvidenceLocked

from .durable import append_failed


def lock_path(log: Path) -> Path:
    """Where the lock of a log lies."""
    return log.with_name(log.name + ".lock")


class WriterLock:
    """The right to write a log, held from construction until `release`.

    Args:
        log: The log, not the lock file.

    Raises:
        EvidenceLocked: Another process, or this one, holds it.
        AppendFailed: The lock file cannot be made.
    """

    def __init__(self, log: Path) -> None:
        path = lock_path(log)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise append_failed("open", path, error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        except BlockingIOError as error:
            holder = _holder(self._fd)
            os.close(self._fd)
            raise EvidenceLocked(
                f"{log} is being written by {holder}",
                hint="One writer is enough. Let it run, or stop it and start this one again.",
            ) from error
        except OSError as error:
            os.close(self._fd)
            raise append_failed("lock", path, error) from error

    def release(self) -> None:
        """Let the next writer in. The file stays: unlinking it would let two writers lock two files."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


def _holder(fd: int) -> str:
    try:
        holder = json.loads(os.pread(fd, 4096, 0))
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "a process that is just starting"
