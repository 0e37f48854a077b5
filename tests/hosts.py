"""Several hosts on one machine: network namespaces on a switch, each with an address, a loopback and a name of its own.

Files are shared, as nothing else is; a test keeps the data of its hosts apart by folders.
"""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.debian import program
from tests.processes import Process, running

_NAMED = "import os, socket, sys; socket.sethostname(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"


class Hosts:
    """A network, for the length of a block; everything that runs on it is killed at the end.

    Args:
        names: Of the hosts.
    """

    def __init__(self, *names: str) -> None:
        self._ip = program("ip", "iproute2")
        self._unshare = program("unshare", "util-linux")
        if os.geteuid() != 0:
            reason = "network namespaces need root"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        self._mark = uuid.uuid4().hex[:6]
        self.addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, start=1)}
        self._owned = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._namespace("switch")
            self._run("-n", self._of("switch"), "link", "add", "bridge", "type", "bridge")
            self._run("-n", self._of("switch"), "link", "set", "bridge", "up")
            for name, address in self.addresses.items():
                self._host(name, address)
        except BaseException:
            self._owned.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> Process:
        """Start a process on a host; it is killed at the end of the block."""
        words = [self._ip, "netns", "exec", self._of(name), self._unshare, "--uts"]
        words += [sys.executable, "-c", _NAMED, name, *command]
        return self._owned.enter_context(running(words, env, log))

    def unplug(self, name: str) -> None:
        """Pull the cable: nothing that is sent arrives, and nobody is told."""
        self._run("-n", self._of("switch"), "link", "set", name, "down")

    def plug(self, name: str) -> None:
        """Put it back."""
        self._run("-n", self._of("switch"), "link", "set", name, "up")

    def _host(self, name: str, address: str) -> None:
        self._namespace(name)
        here, switch = self._of(name), self._of("switch")
        self._run("link", "add", "eth0", "netns", here, "type", "veth", "peer", "name", name, "netns", switch)
        self._run("-n", switch, "link", "set", name, "master", "bridge", "up")
        self._run("-n", here, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            self._run("-n", here, "link", "set", device, "up")

    def _namespace(self, name: str) -> None:
        self._run("netns", "add", self._of(name))
        self._owned.callback(self._run, "netns", "delete", self._of(name))

    def _of(self, name: str) -> str:
        return f"replay-{self._mark}-{name}"

    def _run(self, *words: str) -> None:
        done = subprocess.run([self._ip, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr)
