"""`replay metrics`: what Prometheus is told, once or as an exporter of its own."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from cli.output import console
from replay.settings import Settings

_PORT = 8414


def metrics(
    serve: Annotated[bool, typer.Option("--serve", help="Serve them at /metrics in the foreground.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on, with --serve.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on, with --serve.")] = _PORT,
    as_json: console.AsJson = False,
) -> None:
    """Print the metrics of the whole system once, or serve them for Prometheus where no dashboard runs.

    All processes on all hosts keep their counts in the broker, so one exporter tells of all of them; the dashboard
    serves the same at /metrics. Without a broker that answers, `replay_broker_up` is 0. Rules and a Grafana dashboard
    are in deploy/.

    Example: replay metrics --serve --host 0.0.0.0
    """
    from dashboard import metrics as exporter  # noqa: PLC0415  the web server is for this command and the dashboard only

    settings = Settings()
    if serve:
        stop_event = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop_event.set())
        exporter.serve(settings, host, port, stop_event)
        return
    if as_json:
        console.print_json(exporter.samples(settings))
    else:
        console.out.print(exporter.exposition(settings)[0].decode(), end="", soft_wrap=True)
