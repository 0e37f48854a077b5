"""Plain Celery on kombu's own Redis transport: the baseline. Settings come from `STOCK_*` variables.

As careful as ours where Celery can be: prefork, late acknowledgement, prefetch 1, no results, no chatter. A task notes
its end by one short write to a file, which costs a microsecond or two and survives whatever happens to the process.
"""

from __future__ import annotations

import os
import time
from typing import Any

import httpx
from celery import Celery, chain

LOCAL, ESCALATION = "stock.local", "stock.escalation"


class Notes:
    """A file with the time of each end."""

    def __init__(self) -> None:
        self._fd: int | None = None

    def add(self, text: bytes = b"", *, sync: bool = False) -> None:
        """One write at the end of the file, and on the disk if so asked."""
        if self._fd is None:
            self._fd = os.open(os.environ["STOCK_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(self._fd, b"%.6f %b\n" % (time.time(), text))
        if sync:
            os.fsync(self._fd)


notes = Notes()
http = httpx.Client(trust_env=False)


def make_app(broker_url: str | None) -> Celery:
    """The application on one broker; a pool of connections belongs to it."""
    app = Celery("stock", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_ignore_result=True,
        task_default_queue=LOCAL,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    for name, work in (("noop", noop), ("ask", ask), ("append", append)):
        app.task(work, name=name, shared=False)
    return app


def noop(_: dict[str, Any], *, last: bool) -> None:
    """Nothing; the last one of a chain notes its end."""
    if last:
        notes.add()


def ask(payload: dict[str, Any], *, last: bool) -> None:
    """One chat completion."""
    http.post(os.environ["STOCK_MODEL"], json=payload).raise_for_status()
    if last:
        notes.add()


def append(text: str) -> None:
    """One record on the disk."""
    notes.add(text.encode(), sync=True)


def enqueue(app: Celery, name: str, payload: dict[str, Any], length: int) -> None:
    """A chain of one or two messages, the second one on the other queue."""
    work = app.tasks[name]
    steps = [work.si(payload, last=length == 1).set(queue=LOCAL)]
    if length == 2:
        steps.append(work.si(payload, last=True).set(queue=ESCALATION))
    chain(*steps, app=app).apply_async()


app = make_app(os.environ.get("STOCK_BROKER"))
