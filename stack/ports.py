"""Who holds a loopback port."""

from __future__ import annotations

import socket

import psutil


def is_free(port: int) -> bool:
    """Can a server of ours listen on this loopback port now?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT is free, one that is listened on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder_pid(port: int) -> int | None:
    """Pid of the process that listens on a port, if this user may know it."""
    try:
        for connection in psutil.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                return connection.pid
    except psutil.Error:
        # macOS shows other users' sockets to root only.
        return None
    return None


def holder(port: int) -> str:
    """The process that listens on a port, in words: name and pid, or that it is another user's."""
    pid = holder_pid(port)
    if pid is None:
        return "another process"
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"
