"""Serving the page in the foreground."""

from __future__ import annotations

import socket

import uvicorn

from dashboard.app import make_app
from replay.errors import ConfigurationError
from replay.settings import Settings


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        ConfigurationError: Another program listens there.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"the dashboard cannot listen on {host}:{port}: {error.strerror}",
            hint="Choose another port: replay dashboard --port 8500",
        ) from error
    print(f"dashboard on http://{host}:{port}/", flush=True)  # noqa: T201  the one line that says where to look
    config = uvicorn.Config(make_app(settings), log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listener])
