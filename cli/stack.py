"""`replay up`, `down`, `status` and `dashboard`: the local stack."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from broker import heartbeat, queues
from broker.connection import connect
from broker.limits.snapshot import snapshot
from cli.lane import app as lane
from cli.output import console
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from stack import supervise
from stack.progress import Step


def show_step(step: Step) -> None:
    """Say one step of a start or stop."""
    console.note(f"{step.program:>18}  {step.doing}{f'  ({step.detail})' if step.detail else ''}")


def up(
    only: Annotated[list[str] | None, typer.Argument(help="Programs to start; by default all.")] = None,
    as_json: console.AsJson = False,
) -> None:
    """Start the local stack under supervision: broker, model servers, workers, writer, scheduler, dashboard.

    With REPLAY_API_PORT also the Batch API. What is configured to run elsewhere (REPLAY_BROKER_URL, REPLAY_BASE_URL) is
    not started. A program that crashes is started again. Logs lie in data/logs.

    Example: replay up
    """
    settings = Settings()
    _print_programs(supervise.up(settings, only or None, on_step=show_step), as_json)


def down(as_json: console.AsJson = False) -> None:
    """Stop the local stack; what is being generated is finished and written first.

    Example: replay down
    """
    stopped = supervise.down(Settings(), on_step=show_step)
    if as_json:
        console.print_json({"stopped": stopped})
    else:
        console.out.print("stopped" if stopped else "nothing ran")


def status(as_json: console.AsJson = False) -> None:
    """Show programs, queues, lanes and workers. Exit code 3 when the broker does not answer.

    With --json queues, lanes and workers are null then: what is in the broker is unknown.

    Example: replay status --json
    """
    settings = Settings()
    programs = supervise.status(settings)
    try:
        broker = connect(settings)
    except BrokerUnavailable:
        if as_json:
            console.print_json({"programs": _rows(programs), "queues": None, "lanes": None, "workers": None})
        else:
            _print_programs(programs, as_json=False)
        raise
    with broker:
        depths = queues.depths(broker)
        found = snapshot(broker, settings)
        workers = heartbeat.alive(broker)
    if as_json:
        console.print_json(
            {
                "programs": _rows(programs),
                "queues": dataclasses.asdict(depths),
                "lanes": [status.as_json() for status in found],
                "workers": [dataclasses.asdict(worker) for worker in workers],
            }
        )
        return
    _print_programs(programs, as_json=False)
    console.out.print()
    table = Table("queue", "waiting", "in flight", "oldest lease", box=None, header_style="dim")
    for name, waiting in depths.waiting.items():
        lease = depths.oldest_lease_s[name]
        table.add_row(name, str(waiting), str(depths.in_flight[name]), "" if lease is None else f"{lease:.0f} s")
    table.add_row("evidence, not yet written", str(depths.evidence))
    table.add_row("dead letters", str(depths.dead))
    console.out.print(table)
    console.out.print()
    console.out.print(lane.table([one.status for one in found]))
    console.out.print()
    console.out.print(lane.limits_table(found))
    console.out.print()
    table = Table("worker", "busy", "started", "hindered by", box=None, header_style="dim")
    for worker in workers:
        busy = f"{worker.in_flight} of {worker.concurrency}"
        table.add_row(worker.worker, busy, str(worker.started), Text(worker.state))
    console.out.print(table if workers else "no worker gives a sign of life")


def dashboard(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port to listen on; by default REPLAY_DASHBOARD_PORT.")] = None,
    operator: Annotated[
        bool, typer.Option("--operator", help="On the loopback, without tokens: let who is on this machine act.")
    ] = False,
) -> None:
    """Serve the monitoring dashboard in the foreground.

    On the loopback everybody on this machine may look, and nobody may act. To act, sign in with a token
    (REPLAY_DASHBOARD_OPERATOR_TOKEN), or give --operator. On any other address it does not start without tokens:
    docs/dashboard-access.md.

    Example: replay dashboard --port 8500
    """
    from cli.dashboard.actions import ProducerActions  # noqa: PLC0415  the web server is for this command only
    from cli.dashboard.books import ProducerBooks  # noqa: PLC0415
    from dashboard import serve  # noqa: PLC0415

    settings = Settings()
    serve.serve(
        settings,
        host,
        port or settings.dashboard_port,
        operator=operator,
        books=ProducerBooks(settings),
        actions=ProducerActions(settings),
    )


def _rows(programs: list[supervise.ProgramStatus]) -> list[dict[str, object]]:
    return [dataclasses.asdict(program) | {"log": str(program.log)} for program in programs]


def _print_programs(programs: list[supervise.ProgramStatus], as_json: bool) -> None:
    if as_json:
        console.print_json(_rows(programs))
        return
    table = Table("program", "state", "pid", "up", "log", box=None, header_style="dim")
    for program in programs:
        colour = "green" if program.state == "running" else "yellow"
        table.add_row(
            program.name,
            Text.assemble((program.state, colour), " ", program.problem),
            str(program.pid or ""),
            f"{program.uptime_s} s" if program.uptime_s else "",
            str(program.log),
        )
    console.out.print(table)
