"""One writer: an exclusive lock on a file of its own, which says who holds it.

`flock`, so the kernel drops the lock with the process, however it dies; the file stays, and what it says of a dead
holder means nothing. A second writer waits for a while and says for whom, then gives up with that name. The lock holds
on local disks; on a network file system it holds as far as that one implements `flock`.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import CorpusError

WAIT_S = 30.0
"""How long a second writer waits. A build of a million records takes about twice that."""

_POLL_S = 0.02


@contextmanager
def held(path: Path, what: str, *, wait_s: float | None = None, watcher: Watcher = UNWATCHED) -> Iterator[None]:
    """Hold the lock `path` while the block runs.

    Args:
        path: The lock file; its folder exists.
        what: What is being locked, as the subject of a sentence: "the corpus in data/corpus".
        wait_s: Seconds to wait for another holder, by default `WAIT_S`.
        watcher: Is told once, before waiting, who holds it.

    Raises:
        CorpusError: Another process, or another thread of this one, holds it all the time.
        OSError: The lock file cannot be made.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, what, WAIT_S if wait_s is None else wait_s, watcher)
        _sign(descriptor)
        yield
    finally:
        # The file stays: unlinking it would let two writers lock two files.
        os.close(descriptor)


def _take(descriptor: int, what: str, wait_s: float, watcher: Watcher) -> None:
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            if time.monotonic() >= deadline:
                waited = f", and has been for the {wait_s:.0f} s that this command waited" if wait_s else ""
                raise CorpusError(
                    f"{what} is held by {holder}{waited}",
                    hint="Wait until it has finished, or stop it, then run the command again.",
                ) from None
            if not told and wait_s > 0:
                watcher.say(f"waiting: {what} is held by {holder}")
                told = True
            time.sleep(_POLL_S)
        else:
            return


def _sign(descriptor: int) -> None:
    signature = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(signature).encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {said['pid']} on {said['host']} (`{said['command']}`, since {said['since']})"
    except (ValueError, KeyError, TypeError):
        return "a process that is just starting"
