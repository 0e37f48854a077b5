"""The processes of a stack: its supervisor, what a killed supervisor left behind, and how they are ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence
from contextlib import suppress

import psutil

from stack.ownership import Ownership
from stack.paths import StackPaths


def supervisor_process(paths: StackPaths) -> psutil.Process | None:
    """The living supervisord of this stack, by its pid file, its command line and proof that it is ours."""
    try:
        process = psutil.Process(int(paths.pidfile.read_text(encoding="ascii")))
        named = str(paths.conf) in process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return process if named and Ownership(paths).proves(process) else None


def left_behind(paths: StackPaths) -> list[psutil.Process]:
    """Living processes of this stack other than its supervisor and the caller with its ancestors."""
    supervisor = supervisor_process(paths)
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    if supervisor is not None:
        spared.add(supervisor.pid)
    ownership = Ownership(paths)
    return [process for process in psutil.process_iter() if process.pid not in spared and ownership.proves(process)]


def end(processes: Iterable[psutil.Process], *, patience_s: float) -> list[int]:
    """Send TERM, TERM again after a quarter of the patience, KILL after all of it; return the pids that were killed.

    Only the heads of process trees get the TERM: a worker's children finish their work at their parent's word. The
    second one makes a worker hand back what it has not finished within five seconds.
    """
    everyone = list(processes)
    pids = {process.pid for process in everyone}
    alive = everyone
    for wait_s in (patience_s / 4, patience_s * 3 / 4):
        for process in alive:
            with suppress(psutil.Error):
                if process.ppid() not in pids:
                    process.terminate()
        _, alive = psutil.wait_procs(alive, timeout=wait_s)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=5)
    return [process.pid for process in alive]


def terminate(pid: int) -> None:
    """Send TERM to one process."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)


def kill_group(pid: int) -> None:
    """Kill a program with its children. supervisord makes each program the leader of a process group of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_left_behind(paths: StackPaths, stop_order: Sequence[Sequence[str]], *, patience_s: float) -> list[int]:
    """End what a killed supervisor left running, in the order in which a stack stops. Returns the pids that were ended.

    Args:
        paths: The stack.
        stop_order: Names of programs, in groups; what belongs to none of them ends last.
        patience_s: Seconds that each group gets between TERM and KILL.
    """
    ended: list[int] = []
    for names in (*stop_order, None):
        group = [process for process in left_behind(paths) if names is None or _program_of(process) in names]
        ended += [process.pid for process in group]
        end(group, patience_s=patience_s)
    return ended


def has_ended(process: psutil.Process) -> bool:
    """Is the process gone, or only waiting for its parent to notice?"""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_frozen(process: psutil.Process) -> bool:
    """Is the process stopped by a signal?"""
    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.Error:
        return False


def _program_of(process: psutil.Process) -> str:
    try:
        return process.environ().get("SUPERVISOR_PROCESS_NAME", "")
    except (psutil.Error, OSError):
        return ""
