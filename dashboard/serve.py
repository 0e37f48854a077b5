"""Serving the page in the foreground."""

from __future__ import annotations

import socket

import uvicorn

from dashboard.access.gate import Access
from dashboard.access.rules import rules
from dashboard.actions import Actions, Books
from dashboard.app import make_app
from replay.errors import ConfigurationError
from replay.settings import Settings


def serve(
    settings: Settings,
    host: str,
    port: int,
    *,
    operator: bool = False,
    books: Books | None = None,
    actions: Actions | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        settings: Say where everything lies, and who may come in.
        host: Address to listen on.
        port: Port to listen on.
        operator: Let everybody on this machine act without a token.
        books: Reads batches and dead letters.
        actions: Does what operators ask for.

    Raises:
        ConfigurationError: Another program listens there, or strangers could read or act.
    """
    access = Access.of(settings, rules(settings, host, operator=operator))
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
    app = make_app(settings, access=access, books=books, actions=actions)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Only who is named may say that a request comes from elsewhere: the address stands in the evidence.
        proxy_headers=bool(settings.dashboard_trusted_proxies),
        forwarded_allow_ips=settings.dashboard_trusted_proxies,
        # Open pages are let go with the next look; this is for those that do not read.
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    app.state.live.ending = lambda: server.should_exit
    server.run(sockets=[listener])
