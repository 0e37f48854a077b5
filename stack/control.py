"""Talking to a running supervisord: XML-RPC over its Unix socket.

The transport is our own few lines and not `supervisor.xmlrpc.SupervisorTransport`: that one has no timeout, so a frozen
supervisord would freeze `replay status` too.
"""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from supervisor.xmlrpc import Faults

from replay.errors import UnavailableError

_HARMLESS_ON_START = frozenset({Faults.ALREADY_STARTED})
_HARMLESS_ON_STOP = frozenset({Faults.NOT_RUNNING})


class ProgramState(StrEnum):
    """supervisord's process states, by its names in small letters."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    EXITED = "exited"
    FATAL = "fatal"
    UNKNOWN = "unknown"


ALIVE = frozenset({ProgramState.STARTING, ProgramState.RUNNING})
ENDED = frozenset({ProgramState.STOPPED, ProgramState.EXITED, ProgramState.FATAL, ProgramState.UNKNOWN})


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of one program. `pid` is None where it does not run; `uptime_s` is 0 then."""

    name: str
    state: ProgramState
    pid: int | None
    uptime_s: int
    problem: str


class Control:
    """The control socket of one supervisord.

    Args:
        path: The Unix socket.
        timeout_s: Bound on each call.

    Every method raises `UnavailableError` when supervisord does not answer.
    """

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def answers(self) -> bool:
        """Does a supervisord answer on the socket, and is it not on its way out?"""
        try:
            return bool(self._call("supervisor.getState")["statename"] == "RUNNING")
        except UnavailableError:
            return False

    def processes(self) -> dict[str, ProcessInfo]:
        """Every program by its name."""
        return {info["name"]: _process_info(info) for info in self._call("supervisor.getAllProcessInfo")}

    def start(self, name: str) -> None:
        """Start a program and do not wait. Starting a running one is nothing; a failed spawn shows in its state."""
        self._ignoring(_HARMLESS_ON_START | {Faults.SPAWN_ERROR}, "supervisor.startProcess", name, False)

    def stop(self, name: str) -> None:
        """Send a program its stop signal and do not wait. Stopping a stopped one is nothing."""
        self._ignoring(_HARMLESS_ON_STOP, "supervisor.stopProcess", name, False)

    def shutdown(self) -> None:
        """Ask supervisord itself to end."""
        self._ignoring(frozenset({Faults.SHUTDOWN_STATE}), "supervisor.shutdown")

    def _ignoring(self, harmless: frozenset[int], method: str, *arguments: object) -> None:
        try:
            self._call(method, *arguments)
        except _RefusedError as refusal:
            if refusal.code not in harmless:
                raise

    def _call(self, method: str, *arguments: object) -> Any:
        with _server(self._path, self._timeout_s) as server:
            try:
                return getattr(server, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                raise _RefusedError(fault.faultCode, f"supervisord refused {method}: {fault.faultString}") from fault
            except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
                raise UnavailableError(
                    f"The supervisor does not answer at {self._path}: {error}", hint="Start the stack with `replay up`."
                ) from error


class _RefusedError(UnavailableError):
    """supervisord answered with a fault."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message, hint="`replay status` shows the programs; `replay down` ends the stack.")
        self.code = code


def _process_info(info: dict[str, Any]) -> ProcessInfo:
    running = bool(info["pid"])
    try:
        state = ProgramState(str(info["statename"]).lower())
    except ValueError:
        state = ProgramState.UNKNOWN
    return ProcessInfo(
        name=info["name"],
        state=state,
        pid=info["pid"] or None,
        uptime_s=max(0, info["now"] - info["start"]) if running else 0,
        problem=info["spawnerr"] or "",
    )


@contextmanager
def _server(path: Path, timeout_s: float) -> Iterator[xmlrpc.client.ServerProxy]:
    transport = _UnixTransport(path, timeout_s)
    try:
        yield xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    finally:
        with suppress(OSError):
            transport.close()


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC's HTTP, over a Unix socket and with a timeout; one connection for one call."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._unix = _UnixConnection(path, timeout_s)

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002  the socket is the address
        return self._unix

    def close(self) -> None:
        self._unix.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(cast("float", self.timeout))
        self.sock.connect(str(self._path))
