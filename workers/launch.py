"""Start a worker from Replay's own command line: the same application and options as `celery -A workers.app worker`."""

from __future__ import annotations

import os
import socket

from broker.connection import connect
from replay import logs, tracing
from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.models.breaker import chain
from replay.settings import Settings
from replay.topology import Queue
from workers import writer
from workers.app import make_app

WRITER = "writer"
_QUEUES = {Tier.LOCAL: Queue.LOCAL, Tier.ESCALATION: Queue.ESCALATION}


def run_worker(settings: Settings, role: str, concurrency: int | None = None, *, log_level: str = "INFO") -> None:
    """Run a worker until it is told to stop.

    SIGTERM finishes what runs and exits; a second one hands it back after a few seconds (see `workers.shutdown`).

    Args:
        settings: From the composition root.
        role: `local`, `escalation` or `writer`.
        concurrency: Tasks at once; by default what the model server's slots ask for. A writer is one.
        log_level: Of the worker's logging.

    Raises:
        ConfigurationError: No such role, more than one writer, no such gate rule, or no endpoint or key for the model
            of the role.
        BrokerUnavailable: The broker does not answer.
        CorpusError: A local worker finds no corpus.
        EvidenceError: The writer cannot take the log, or a write failed.
        SystemExit: The worker ended with an exit code other than 0.
    """
    if role == WRITER:
        if concurrency not in (None, 1):
            raise ConfigurationError("the writer is one process for each log", hint="leave out --concurrency")
        writer.serve(settings, log_level=log_level)
        return
    if role not in _QUEUES:
        raise ConfigurationError(f"no worker has the role {role!r}", hint="the roles are: local, escalation, writer")
    # Until Celery sets up its own.
    logs.configure(settings, role, log_level)
    tracing.install(settings, f"worker-{role}")
    # Told here, in words, what Celery would tell in a traceback or retry for ever.
    connect(settings)
    tier = Tier(role)
    chain(tier, settings)
    app = make_app(settings)
    if role == Tier.LOCAL:
        app.runtime.retriever.load()
    queue = _QUEUES[tier].value
    worker = app.Worker(
        hostname=f"{role}-{os.getpid()}@{socket.gethostname()}",
        queues=[queue],
        concurrency=concurrency,
        pool_cls="prefork",
        loglevel=log_level,
        quiet=True,
    )
    worker.start()
    if worker.exitcode:
        raise SystemExit(worker.exitcode)
