"""CPU time of processes and of all below them: what a system costs, also where the machine has other work."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def used(pids: Iterable[int]) -> float:
    """CPU seconds that these processes and all below them have used, with the children that have ended."""
    found: dict[int, psutil.Process] = {}
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    seconds = 0.0
    for process in found.values():
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds
