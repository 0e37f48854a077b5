"""How a worker stops: SIGTERM finishes what runs; a second SIGTERM gives it five seconds, then hands it back.

Seen with Celery 5.7 and the prefork pool: SIGTERM is a warm shutdown that waits for running tasks without a bound, and
further SIGTERMs do nothing; only SIGQUIT goes on to the soft and then the cold shutdown, which kills the children, and
the transport puts their messages back on the queue. An orchestrator that loses patience sends SIGKILL, and then the
messages wait for their leases to run out; a second SIGTERM is the gentler way.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import platforms, signals


def install() -> None:
    """Make a second SIGTERM do what SIGQUIT does."""
    signals.worker_shutting_down.connect(_escalate_next_sigterm, weak=False)


def _escalate_next_sigterm(sig: str, how: str, **_: Any) -> None:
    if sig == "SIGTERM" and how == "Warm":
        platforms.signals["SIGTERM"] = _as_sigquit


def _as_sigquit(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGQUIT)
