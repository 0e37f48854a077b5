"""The Celery tasks: decode the delivery, call the handler. Nothing else belongs here."""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject
from redis.exceptions import RedisError

from broker.envelope import Envelope
from replay import logs, tracing
from replay.errors import BrokerUnavailable
from replay.topology import ROUTES, TaskName
from workers import handlers
from workers.handlers import Lane
from workers.lease import Lease
from workers.runtime import Runtime
from workers.stock import StockLease

logger = logging.getLogger(__name__)


def register(app: Celery, runtime: Runtime) -> None:
    """Register the tasks of both lanes, for this application alone: Celery would share them with every other one."""

    @app.task(name=TaskName.AUDIT_LOCAL.value, bind=True, shared=False)  # type: ignore[untyped-decorator]  # Celery is not typed
    def audit_local(self: Task, payload: dict[str, Any]) -> None:
        _run(self, handlers.LOCAL, TaskName.AUDIT_LOCAL, payload, runtime)

    @app.task(name=TaskName.AUDIT_ESCALATION.value, bind=True, shared=False)  # type: ignore[untyped-decorator]  # see above
    def audit_escalation(self: Task, payload: dict[str, Any]) -> None:
        _run(self, handlers.ESCALATION, TaskName.AUDIT_ESCALATION, payload, runtime)


def _lease(task: Task, name: TaskName, payload: dict[str, Any], tag: str, runtime: Runtime) -> Lease:
    queue, timeout_s = ROUTES[name].value, runtime.settings.visibility_timeout_s
    if runtime.settings.atomic_claim:
        return Lease(runtime.claims, queue, tag, timeout_s)
    item = Envelope(name, task.request.id, payload).sealed(queue)
    return StockLease(runtime.claims, queue, tag, timeout_s, client=runtime.desk.client, item=item)


def _run(task: Task, lane: Lane, name: TaskName, payload: dict[str, Any], runtime: Runtime) -> None:
    tag = task.request.properties["delivery_tag"]
    try:
        lease = _lease(task, name, payload, tag, runtime)
        try:
            parent = task.request.get(tracing.HEADER)
            with (
                tracing.processing(lease.queue, str(task.request.id), parent, tier=lane.tier.value),
                logs.bound(queue=lease.queue, trace_id=tracing.current_trace_id(), **logs.ids_of(payload)),
            ):
                handlers.handle(lane, payload, lease, runtime.desk)
        except (RedisError, BrokerUnavailable):
            raise
        except Exception as error:
            # Celery would count it as failed and drop the message.
            logger.exception("%s: a bug in the handling of a message; it is kept as a dead letter", name)
            lease.condemn(f"unforeseen: {type(error).__name__}")
    except (RedisError, BrokerUnavailable) as error:
        # Nothing was published. The message goes back now or, if the broker cannot be told, when its lease runs out.
        raise Reject(str(error), requeue=True) from error
