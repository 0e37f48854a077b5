"""Proof that a process belongs to a stack. A pid alone proves nothing, since the system gives it again to others.

The first proof is the environment: supervisord and all that it starts carry `REPLAY_STACK=<run directory>`. Some
programs write their title over it (Valkey does, and Celery where `setproctitle` is installed). The second proof is the
session: everything below a supervisord has its pid as session id, and the kernel gives no pid to a new process as long
as a session has it as its id.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from stack.paths import OWNER_VARIABLE, StackPaths

_CLOCK_S = 2.0  # by which the creation time of one process may differ between two looks, when the clock is set


class Session(BaseModel):
    """The session of a supervisord: its pid, when that process was created (Unix time), and where it was started."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    created: float
    folder: Path

    @classmethod
    def of(cls, supervisor: psutil.Process) -> Session:
        """The session that this supervisord leads."""
        return cls(pid=supervisor.pid, created=supervisor.create_time(), folder=Path(supervisor.cwd()))


class Ownership:
    """Tells the processes of one stack from all others.

    Args:
        paths: The stack; what is recorded of its session is read once.
    """

    def __init__(self, paths: StackPaths) -> None:
        self._run_dir = paths.run_dir
        self._session = _recorded(paths)

    def proves(self, process: psutil.Process) -> bool:
        """Is this a living process of the stack?"""
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return self._by_environment(process) or self._by_session(process)
        except (psutil.Error, OSError):
            # Another user's process, or one that has just ended: not ours either way.
            return False

    def _by_environment(self, process: psutil.Process) -> bool:
        return process.environ().get(OWNER_VARIABLE) == str(self._run_dir)

    def _by_session(self, process: psutil.Process) -> bool:
        session = self._session
        if session is None or os.getsid(process.pid) != session.pid:
            return False
        folder = Path(process.cwd())
        return (
            process.uids().real == os.getuid()
            and process.create_time() > session.created - _CLOCK_S
            and (folder == session.folder or folder.is_relative_to(self._run_dir))
        )


def record(supervisor: psutil.Process, paths: StackPaths) -> None:
    """Keep what proves a process by its session."""
    paths.session.write_text(Session.of(supervisor).model_dump_json(), encoding="utf-8")


def _recorded(paths: StackPaths) -> Session | None:
    """The recorded session, unless it is of an earlier boot or its pid has gone to another process."""
    try:
        session = Session.model_validate_json(paths.session.read_bytes())
    except (OSError, ValidationError):
        return None
    if session.created < psutil.boot_time() - _CLOCK_S:
        return None
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(session.pid)
        if abs(leader.create_time() - session.created) > _CLOCK_S:
            return None
    return session
