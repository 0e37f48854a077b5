# mypy: allow-untyped-calls
# kombu says that it is typed and hardly is.
"""The Celery application. `celery -A workers.app worker -Q replay.local` works as Celery users expect.

This is a composition root: importing it reads the settings from the environment, since `celery -A` needs the object.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Celery, signals
from celery.apps.worker import Worker
from kombu.entity import Exchange
from kombu.entity import Queue as KombuQueue

from broker import lanes
from broker.connection import celery_url
from broker.limits import bounds
from broker.signing import Keyring
from replay import logs, tracing
from replay.contracts import Tier
from replay.errors import ConfigurationError, ReplayError
from replay.models import slots
from replay.models.slots import Concurrency
from replay.settings import Settings
from replay.topology import ROUTES, Queue, TaskName
from workers import shutdown, tasks, transport
from workers.pulse import Pulse
from workers.runtime import Runtime

logger = logging.getLogger(__name__)

# A task that was asked to stop gets this long to end by itself before its process is killed and its message goes back.
SOFT_SHUTDOWN_S = 5.0


class ReplayWorker(Worker):  # type: ignore[misc]  # Celery is not typed
    """Celery's worker without the chatter between workers, which grows with the square of their number.

    Celery has no settings for these, only options of `celery worker`; a plain `celery worker` must be quiet as well.
    """

    def __init__(self, **options: Any) -> None:
        settings: Settings = self.app.runtime.settings
        options |= {"without_gossip": True, "without_mingle": True}
        if not settings.remote_control:
            options["without_heartbeat"] = True
        chosen = None
        if not options.get("concurrency"):
            chosen = default_concurrency(settings, options.get("queues"))
            options["concurrency"] = chosen.tasks
            self.app.runtime.slots = chosen.slots
        super().__init__(**options)
        # Only now does the log go where it should.
        if chosen is not None:
            logger.info("%s", chosen.why)

    def setup_logging(self, colorize: bool | None = None) -> Any:
        """Let what Celery logs be written as everything else is."""
        handled = super().setup_logging(colorize)
        queues = sorted(self.app.amqp.queues.consume_from)
        role = "+".join(name.removeprefix("replay.") for name in queues)
        ours = logs.formatter(self.app.runtime.settings, role)
        for name in ("", "celery.task"):
            for handler in logging.getLogger(name).handlers:
                handler.setFormatter(ours)
        logs.quieten()
        tracing.install(self.app.runtime.settings, f"worker-{role}")
        return handled


class ReplayCelery(Celery):  # type: ignore[misc]  # Celery is not typed
    """A Celery application that carries what its workers hold."""

    runtime: Runtime

    @property
    def Worker(self) -> Any:  # noqa: N802  Celery's name
        """The class that `celery worker` starts."""
        return self.subclass_with_self(ReplayWorker)


def default_concurrency(settings: Settings, queues: list[str] | str | None) -> Concurrency:
    """Tasks at once where nobody says otherwise: the model server is asked for its slots (`replay.models.slots`).

    Each task is one message, and none is fetched beyond them.
    """
    names = queues.split(",") if isinstance(queues, str) else queues
    return slots.chosen(Tier.ESCALATION if names == [Queue.ESCALATION.value] else Tier.LOCAL, settings)


def make_app(settings: Settings) -> ReplayCelery:
    """Build the application of these settings.

    Raises:
        ConfigurationError: Messages are to be signed, or limited, but Celery's own transport is to bring them, which
            looks at neither; or the prices cannot be read.
    """
    if not settings.atomic_claim and settings.message_key is not None:
        raise ConfigurationError(
            "REPLAY_ATOMIC_CLAIM=0 takes messages without looking at their signatures, and REPLAY_MESSAGE_KEY is set",
            hint="Unset one of the two.",
        )
    if not settings.atomic_claim and (limits := list(bounds.named(settings))):
        raise ConfigurationError(
            f"REPLAY_ATOMIC_CLAIM=0 takes messages whatever the limits are, and {', '.join(limits)} is set",
            hint="Unset one of the two.",
        )
    transport.install(atomic_claim=settings.atomic_claim)
    app = ReplayCelery("replay", set_as_current=False)
    app.conf.update(configuration(settings))
    app.runtime = Runtime(settings)
    app.steps["consumer"].add(Pulse)
    tasks.register(app, app.runtime)
    return app


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's configuration. What a line answers was measured on Celery 5.7; see `docs/decisions.md`."""
    exchange = Exchange("replay", type="direct")
    return {
        "broker_url": celery_url(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": settings.visibility_timeout_s,
            # Stock: a sweep each 100 s whatever the visibility timeout is.
            "unacked_restore_interval": max(1.0, settings.visibility_timeout_s / 12),
            "unacked_restore_throttle": 1,
            # For the stock sweep of foreign queues: one that dies must not hold the lock for five minutes.
            "unacked_mutex_expire": 30,
            # One list for each queue: priorities of stock producers are accepted and ignored.
            "priority_steps": [0],
            "health_check_interval": 10,
            "socket_keepalive": True,
            transport.KEYRING_OPTION: Keyring.of(settings),
            transport.DOORS_OPTION: lanes.doors(settings),
        },
        "task_queues": [KombuQueue(name.value, exchange, routing_key=name.value) for name in ROUTES.values()],
        "task_routes": {task.value: {"queue": queue.value} for task, queue in ROUTES.items()},
        "task_default_queue": Queue.LOCAL.value,
        "task_default_exchange": "replay",
        "task_default_routing_key": Queue.LOCAL.value,
        "task_create_missing_queues": False,
        # At least once: acknowledge what is done, hand back what a dying process held; `starts` ends the loops.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": False,
        "task_time_limit": settings.task_time_limit_s,
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": 1000,
        # After a lost connection the running tasks go on: their leases are renewed by themselves.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN_S,
        # The evidence is the result.
        "task_ignore_result": True,
        "result_backend": None,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # Off unless asked for: events cost 42 % of the throughput, remote control leaks reply queues.
        "worker_enable_remote_control": settings.remote_control,
        "worker_send_task_events": settings.remote_control,
        "task_send_sent_event": settings.remote_control,
        "worker_hijack_root_logger": True,
        "enable_utc": True,
    }


@signals.worker_init.connect  # type: ignore[untyped-decorator]  # Celery is not typed
def load_before_fork(sender: Any, **_: Any) -> None:
    """Load the corpus of a local worker before its children are forked, so that they share it; or refuse to start."""
    app = sender.app
    if isinstance(app, ReplayCelery) and Queue.LOCAL.value in app.amqp.queues.consume_from:
        try:
            app.runtime.retriever.load()
        except ReplayError as error:
            # A signal handler's errors are swallowed; an exit is not.
            raise SystemExit(f"{error.message}\n{error.hint}") from error


@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # Celery is not typed
def send_last_spans(**_: Any) -> None:
    """Send what a child of the pool has not sent yet."""
    tracing.shutdown()


shutdown.install()
app = make_app(Settings())

__all__ = ["TaskName", "app", "configuration", "default_concurrency", "make_app"]
