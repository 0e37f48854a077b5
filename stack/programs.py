"""The programs of the local stack, as values."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from replay.contracts import Tier
from replay.models import routing
from replay.settings import Settings
from stack import questions
from stack.paths import StackPaths
from stack.readiness import HttpHealth, Probe

BROKER, SERVERS, WORKERS = 0, 1, 2
_WRITER_STARTS = 100_000


@dataclass(frozen=True)
class Program:
    """One supervised process.

    Attributes:
        name: Its name in `replay status` and in its log's file name.
        argv: The command.
        log: Where its output goes.
        order: Programs of a higher order start when all of the lower ones are ready, and stop before them.
        ready: Says when it does its work; None: when it has run for `settle_s`.
        ready_within_s: Longest wait for that.
        settle_s: A program that ends sooner than this after its start has failed to start.
        start_retries: Failed starts in a row before the supervisor gives up.
        stop_wait_s: Longest wait between TERM and KILL.
        stop_as_group: Does TERM go to its children too? Not for Celery: its pool finishes at the parent's word.
        before_stop: What has to be waited for before it is told to stop.
        port: Loopback port that it listens on.
        port_variable: The setting of that port, for the hint when something else holds it.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    order: int
    ready: Probe | None = None
    ready_within_s: float = 60.0
    settle_s: int = 5
    start_retries: int = 3
    stop_wait_s: int = 30
    stop_as_group: bool = True
    before_stop: Probe | None = None
    port: int | None = None
    port_variable: str = ""


def local_stack(settings: Settings) -> tuple[Program, ...]:
    """The whole system on this machine, without what the settings say runs elsewhere.

    Raises:
        ConfigurationError: A model's endpoint or key is missing or cannot be used.
    """
    elsewhere = set() if settings.broker_url is None else {"broker"}
    elsewhere |= {f"model-{tier}" for tier in Tier if routing.embedded_model(tier, settings) is None}
    elsewhere |= set() if settings.api_port is not None else {"api"}
    return tuple(program for program in every_program(settings) if program.name not in elsewhere)


def every_program(settings: Settings) -> tuple[Program, ...]:
    """All programs that a stack can have, whatever the settings make of them now."""
    return (
        _broker(settings),
        _model(settings, Tier.LOCAL, settings.local_port, "REPLAY_LOCAL_PORT"),
        _model(settings, Tier.ESCALATION, settings.escalation_port, "REPLAY_ESCALATION_PORT"),
        _worker(settings, "writer", SERVERS, before_stop=partial(questions.stream_to_drain, settings)),
        _dashboard(settings),
        _api(settings),
        _worker(settings, "scheduler", WORKERS),
        _worker(settings, "local", WORKERS),
        _worker(settings, "escalation", WORKERS),
    )


def _broker(settings: Settings) -> Program:
    return _replay(
        settings,
        "broker",
        ("broker", "serve"),
        BROKER,
        ready=partial(questions.broker_to_answer, settings),
        ready_within_s=30.0,
    )


def _model(settings: Settings, tier: Tier, port: int, variable: str) -> Program:
    return _replay(
        settings,
        f"model-{tier}",
        ("models", "serve", tier),
        SERVERS,
        ready=HttpHealth(f"http://127.0.0.1:{port}/health"),
        # A cold disk and two loads at once on two cores: 20 s are usual, this is the bound.
        ready_within_s=180.0,
        port=port,
        port_variable=variable,
    )


def _dashboard(settings: Settings) -> Program:
    return _replay(
        settings,
        "dashboard",
        ("dashboard", "--port", str(settings.dashboard_port)),
        SERVERS,
        ready=HttpHealth(f"http://127.0.0.1:{settings.dashboard_port}/healthz"),
        port=settings.dashboard_port,
        port_variable="REPLAY_DASHBOARD_PORT",
    )


def _api(settings: Settings) -> Program:
    port = settings.api_port
    return _replay(
        settings,
        "api",
        ("api", *(("--port", str(port)) if port is not None else ())),
        SERVERS,
        ready=HttpHealth(f"http://127.0.0.1:{port}/healthz"),
        port=port,
        port_variable="REPLAY_API_PORT",
    )


def _worker(settings: Settings, role: str, order: int, *, before_stop: Probe | None = None) -> Program:
    return _replay(
        settings,
        role if role in {"writer", "scheduler"} else f"worker-{role}",
        ("worker", role),
        order,
        ready=partial(questions.worker_to_report, settings, role),
        stop_as_group=False,
        # A full disk ends the writer at each start until there is room; supervisord waits a second longer each time.
        start_retries=_WRITER_STARTS if role == "writer" else 3,
        # One generation on a CPU takes a minute at worst; a killed one runs again after the visibility timeout.
        stop_wait_s=min(settings.task_time_limit_s, 180),
        before_stop=before_stop,
    )


def _replay(
    settings: Settings,
    name: str,
    command: tuple[str, ...],
    order: int,
    *,
    ready: Probe | None = None,
    ready_within_s: float = 60.0,
    start_retries: int = 3,
    stop_wait_s: int = 30,
    stop_as_group: bool = True,
    before_stop: Probe | None = None,
    port: int | None = None,
    port_variable: str = "",
) -> Program:
    return Program(
        name=name,
        # -P: a folder named `cli` where the user happens to stand is not our `cli`.
        argv=(sys.executable, "-P", "-m", "cli.main", *command),
        log=StackPaths.of(settings).logs_dir / f"{name}.log",
        order=order,
        ready=ready,
        ready_within_s=ready_within_s,
        start_retries=start_retries,
        stop_wait_s=stop_wait_s,
        stop_as_group=stop_as_group,
        before_stop=before_stop,
        port=port,
        port_variable=port_variable,
    )
