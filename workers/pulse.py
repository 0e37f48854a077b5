"""A Celery worker's sign of life, written by a timer of its event loop: it stops when the loop hangs, as it should."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from celery import bootsteps
from celery.worker import state

from broker import heartbeat, lanes
from broker.connection import LOST, connect
from broker.heartbeat import Heartbeat
from replay.errors import BrokerUnavailable
from replay.topology import Queue

logger = logging.getLogger(__name__)

_ROLES = {Queue.LOCAL.value: "local", Queue.ESCALATION.value: "escalation"}


class Pulse(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery is not typed
    """Beats while the worker consumes."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._client: Any = None
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        """Beat now and then every two seconds."""
        self._beat(consumer)
        self._timer = consumer.timer.call_repeatedly(heartbeat.INTERVAL_S, self._beat, (consumer,))

    def stop(self, consumer: Any) -> None:
        """Stop beating; the consumer may start again after a lost connection."""
        if self._timer is not None:
            consumer.timer.cancel(self._timer)
            self._timer = None

    def shutdown(self, consumer: Any) -> None:
        """Leave the list of workers."""
        self.stop(consumer)
        if self._client is not None:
            try:
                heartbeat.leave(self._client, consumer.hostname)
            except LOST as error:
                logger.debug("could not sign off: %s", error)

    def _beat(self, consumer: Any) -> None:
        try:
            if self._client is None:
                self._client = connect(consumer.app.runtime.settings, patience=0)
            heartbeat.beat(self._client, self._now(consumer, self._hindered(consumer)))
            self._tell_counts(consumer)
        except (*LOST, BrokerUnavailable) as error:
            logger.debug("no heartbeat: %s", error)

    def _tell_counts(self, consumer: Any) -> None:
        """Flush what the channel has counted; Celery's own transport counts nothing."""
        counted = getattr(consumer.task_consumer.channel, "meters", None)
        if counted is not None:
            counted.flush(self._client)

    def _hindered(self, consumer: Any) -> str:
        """Why this worker takes no messages, although it lives; empty where it does."""
        doors = lanes.doors(consumer.app.runtime.settings)
        seen = [lanes.look(self._client, doors[queue]) for queue in _queues(consumer) if queue in doors]
        return "; ".join(text for status in seen if (text := str(status)))

    @staticmethod
    def _now(consumer: Any, hindered: str) -> Heartbeat:
        queues = _queues(consumer)
        return Heartbeat(
            worker=consumer.hostname,
            role="+".join(_ROLES.get(queue, queue) for queue in queues),
            host=socket.gethostname(),
            pid=os.getpid(),
            concurrency=consumer.pool.num_processes,
            in_flight=len(state.active_requests),
            started=sum(state.total_count.values()),
            state=hindered,
            slots=consumer.app.runtime.slots,
        )


def _queues(consumer: Any) -> list[str]:
    return sorted(consumer.app.amqp.queues.consume_from)
