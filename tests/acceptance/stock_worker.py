"""A plain Celery application as its manual shows it, on kombu's own Redis transport: what ours is compared with."""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery

app = Celery("stock", broker=os.environ["STOCK_BROKER"])
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task(name="replay.audit_local")  # type: ignore[untyped-decorator]  # Celery is not typed
def audit_local(payload: dict[str, str]) -> None:
    """Note that the task ran."""
    with Path(os.environ["STOCK_DONE"]).open("a") as done:
        done.write(f"{payload.get('text')}\n")
