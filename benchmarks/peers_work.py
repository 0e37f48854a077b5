"""The work of the peers' tasks, in a module that imports nothing: RQ imports it anew for each job."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any


def work(number: int) -> None:
    """Wait as long as a fast model takes, then note the end by one short write, which survives the process."""
    time.sleep(float(os.environ["PEER_TASK_S"]))
    _note(number)


async def work_async(number: int) -> None:
    """The same for an event loop."""
    await asyncio.sleep(float(os.environ["PEER_TASK_S"]))
    _note(number)


async def work_saq(_: Any, *, number: int) -> None:
    """The same as SAQ calls it."""
    await work_async(number)


def _note(number: int) -> None:
    fd = os.open(os.environ["PEER_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, b"%d %.6f\n" % (number, time.time()))
    os.close(fd)
