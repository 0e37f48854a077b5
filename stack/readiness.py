"""How a program of the stack says that it is ready. A probe looks once and never waits."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

Probe = Callable[[int | None], str | None]
"""Given the program's pid, says what is still missing, in words; None when nothing is."""


@dataclass(frozen=True)
class HttpHealth:
    """A server that answers 200 at a URL. llama.cpp's server says 503 while it loads its model."""

    url: str
    timeout_s: float = 2.0

    def __call__(self, pid: int | None) -> str | None:
        """Ask once; a refused connection is a server that is not up yet."""
        import httpx  # noqa: PLC0415  asked at a start only; who asks for the status loads this module too

        del pid
        try:
            # A proxy of the environment has no business with a loopback address.
            answer = httpx.get(self.url, timeout=self.timeout_s, trust_env=False)
        except httpx.HTTPError:
            return f"{self.url} to answer"
        if answer.status_code != httpx.codes.OK:
            return f"{self.url} to be healthy (it says {answer.status_code})"
        return None


@dataclass(frozen=True)
class Listening:
    """Something that accepts connections on a loopback port."""

    port: int
    timeout_s: float = 1.0

    def __call__(self, pid: int | None) -> str | None:
        """Connect once and hang up."""
        del pid
        try:
            with socket.create_connection(("127.0.0.1", self.port), self.timeout_s):
                return None
        except OSError:
            return f"port {self.port} to accept connections"
