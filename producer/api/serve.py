"""Serving the API in the foreground."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import uvicorn

from evidence import durable
from producer.api.access import Access, is_loopback
from producer.api.app import make_app
from producer.api.desk import Desk
from producer.api.disk import folder
from replay import logs, tracing
from replay.errors import ConfigurationError, UnavailableError
from replay.settings import Settings

DEFAULT_PORT = 8413


def serve(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; what an earlier server has begun goes on.

    Raises:
        ConfigurationError: Another program listens there, the address is reachable from elsewhere and there is no
            token, or the tokens cannot be used.
        UnavailableError: Another server works on the same files.
        EvidenceDamaged: The database of the API is none.
        AppendFailed: The data directory cannot be written.
    """
    if Access(settings).is_open and not is_loopback(host):
        raise ConfigurationError(
            f"Whoever reaches {host} could use this API: there is no token.",
            hint="Set REPLAY_API_TOKENS or REPLAY_API_TOKENS_FILE, or listen on 127.0.0.1.",
        )
    logs.configure(settings, "api")
    tracing.install(settings, "api")
    place = folder(settings)
    durable.make_folders(place)
    with _listen(host, port) as listener, _alone(place):
        config = uvicorn.Config(make_app(Desk.of(settings)), log_level="warning", access_log=False, server_header=False)
        shown = f"[{host}]" if ":" in host else host
        print(f"batch API on http://{shown}:{listener.getsockname()[1]}/v1, its calls on /docs", flush=True)  # noqa: T201  where to look
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _alone(place: Path) -> Iterator[None]:
    """Hold the folder: a second server would take this one's uploads for what a killed one left."""
    lock = filelock.FileLock(place / "lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UnavailableError(
            f"Another `replay api` serves the files in {place.absolute()}.",
            hint="Stop that one, or give this one a REPLAY_DATA_DIR of its own.",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"the API cannot listen on {host}:{port}: {error.strerror}",
            hint=f"Choose another port: replay api --port {port + 1}",
        ) from error
    return listener
