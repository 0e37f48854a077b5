"""`compose.yaml` as processes: the same commands, environments, order and health checks, without containers.

What a container has and a process of this machine has not is translated in one place, `Composed.translated`: names of
other services, published ports, the address of all interfaces, and the paths at which volumes are mounted. What an
image brings is translated in another, `Composed.command`: `replay`, `python` and Valkey's server and client.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import yaml

from broker import embedded
from replay.settings import Settings
from tests.command_line import REPLAY
from tests.processes import ROOT, Process, environment, free_port, running, wait_for

FILE = ROOT / "compose.yaml"
DOCKERFILE = ROOT / "Dockerfile"
TOOLS = "tools"

_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
_PORTS = (6379, 8410, 8411, 8412)
# The package that brings the server brings no `valkey-cli`; this sends the same PING and wants the same PONG.
_PING = "import redis, sys; sys.exit(not redis.Redis(host='127.0.0.1', port=int(sys.argv[1])).ping())"

Service = dict[str, Any]


def services() -> dict[str, Service]:
    """Every service of the file, by name."""
    return cast("dict[str, Service]", yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"])


def declared_volumes() -> set[str]:
    """The named volumes that the file declares."""
    return set(yaml.safe_load(FILE.read_text(encoding="utf-8"))["volumes"])


def entry_point() -> list[str]:
    """What our image puts before a service's command."""
    found = re.search(r"^ENTRYPOINT (\[.*\])$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, "the Dockerfile has no ENTRYPOINT in the exec form"
    return cast("list[str]", json.loads(found[1]))


def header_commands() -> list[list[str]]:
    """What the file's header tells people to type, without `docker compose run --rm replay`."""
    text = FILE.read_text(encoding="utf-8")
    return [line.split() for line in re.findall(r"^# .*docker compose run --rm replay (.*)$", text, re.MULTILINE)]


def start_order(names: Mapping[str, Service]) -> list[str]:
    """Names of the services that `docker compose up` starts, each after what it depends on."""
    ordered: list[str] = []
    wanted = [name for name, service in names.items() if not service.get("profiles")]
    while wanted:
        ready = [name for name in wanted if set(names[name].get("depends_on", ())) <= set(ordered)]
        assert ready, f"{wanted} wait for each other"
        ordered += ready
        wanted = [name for name in wanted if name not in ordered]
    return ordered


class Composed:
    """The topology of the file on this machine.

    Args:
        folder: Volumes and logs go there.
        replaced: Commands of services that something else stands in for; they are run as given.
        volumes: Where named volumes lie; by default under `folder`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replaced: Mapping[str, Sequence[str]] | None = None,
        volumes: Mapping[str, Path] | None = None,
    ) -> None:
        self.services = services()
        self.folder = folder
        self.ports = {port: free_port() for port in _PORTS}
        self._replaced = dict(replaced or {})
        self._volumes = {name: folder / "volumes" / name for name in declared_volumes()} | dict(volumes or {})
        self._owned = contextlib.ExitStack()
        self._started = 0
        for volume in self._volumes.values():
            volume.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()

    def volume(self, name: str) -> Path:
        """The folder of a named volume."""
        return self._volumes[name]

    def translated(self, name: str, word: str) -> str:
        """A word of a service's command or environment as it has to be on this machine."""
        word = _DEFAULT.sub(r"\1", word)
        for port, here in self.ports.items():
            word = re.sub(rf"\b({'|'.join(self.services)}):{port}\b", f"127.0.0.1:{here}", word)
            word = str(here) if word == str(port) else word
        for mount in self.services[name].get("volumes", ()):
            volume, target = mount.split(":")
            if word == target or word.startswith(f"{target}/"):
                word = str(self._volumes[volume]) + word.removeprefix(target)
        return "127.0.0.1" if word == "0.0.0.0" else word  # noqa: S104  translated, not bound

    def environment(self, name: str) -> dict[str, str]:
        """A service's environment: what the file gives it, and nothing else that is ours."""
        given = self.services[name].get("environment", {})
        clean = {key: value for key, value in environment(self.folder).items() if not key.startswith("REPLAY_")}
        # A key without a value is handed through from the caller's environment, which has none of ours.
        return clean | {key: self.translated(name, str(value)) for key, value in given.items() if value is not None}

    def command(self, name: str, words: Sequence[str]) -> list[str]:
        """The words as a command of this machine."""
        program, *rest = (self.translated(name, word) for word in words)
        broker = str(self.ports[6379])
        match program:
            case "replay":
                return [REPLAY, *rest]
            case "python":
                return [sys.executable, *rest]
            case "valkey-server":
                server = embedded.command(Settings(data_dir=self.folder))[0]
                return [server, "--port", broker, "--bind", "127.0.0.1", *rest]
            case "valkey-cli":
                assert rest == ["ping"]
                return [sys.executable, "-c", _PING, broker]
        raise AssertionError(f"{name} runs {program!r}, which nothing here stands for")

    def argv(self, name: str) -> list[str]:
        """What a service's container runs: the image's entry point, if it is ours, and the command."""
        service = self.services[name]
        return self.command(name, [*(entry_point() if "build" in service else ()), *service["command"]])

    def start(self, name: str) -> Process:
        """Start a service once everything that it depends on is healthy."""
        for other, need in self.services[name].get("depends_on", {}).items():
            assert need == {"condition": "service_healthy"}
            assert self.is_healthy(other), f"{name} was started before {other} was healthy"
        self._started += 1
        log = self.folder / f"{name}-{self._started}.log"
        words = [self.translated(name, word) for word in self._replaced.get(name, ())] or self.argv(name)
        return self._owned.enter_context(running(words, self.environment(name), log))

    def wait_until_healthy(self, name: str, process: Process, timeout_s: float = 60.0) -> None:
        """Run the service's own health check until it is green."""
        wait_for(
            lambda: self.is_healthy(name) or process.exit_code is not None, f"{name} to be healthy", timeout_s=timeout_s
        )
        assert process.exit_code is None, process.output

    def is_healthy(self, name: str) -> bool:
        """Run the service's own health check once."""
        kind, *words = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(name, self.command(name, words)).returncode == 0

    def run_tool(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """`docker compose run --rm replay …`."""
        for other in self.services["replay"]["depends_on"]:
            assert self.is_healthy(other)
        return self.run("replay", self.command("replay", [*entry_point(), *words]))

    def run(self, name: str, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end with a service's environment."""
        env = self.environment(name)
        return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
