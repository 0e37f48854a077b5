"""The processes of a measurement: broker, model server, our workers, Celery's workers. All on loopback, all ended."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from benchmarks import stock
from broker import heartbeat
from broker.connection import celery_url, connect, socket_path
from evidence.row import RUN_SCHEMA
from replay.contracts import TERMINAL, Record
from replay.corpus import snapshot
from replay.models.catalogue import find
from replay.models.embedded import PROMPT_CACHE_MIB, wait_ready
from replay.models.files import path_of
from replay.settings import Settings
from tests.processes import Process, embedded_broker, environment, free_port, running, wait_for

LIMIT_S = 120.0
_REPLAY = str(Path(sys.executable).parent / "replay")
_TERMINAL = tuple(f'"state":"{state}","task":'.encode() for state in TERMINAL)
_SERVE = (
    "import sys; from pathlib import Path; from replay.models.embedded import serve; "
    "serve(Path(sys.argv[1]), sys.argv[2], '127.0.0.1', int(sys.argv[3]), slots=int(sys.argv[4]), "
    "cache_mib=int(sys.argv[5]))"
)


@contextmanager
def broker(folder: Path) -> Iterator[redis.Redis]:
    """A real Valkey server, empty; `address` says where."""
    with embedded_broker(folder / "broker") as settings, connect(settings) as client:
        yield client


def address(folder: Path) -> str:
    """`REPLAY_BROKER_URL` of the broker in this folder."""
    return f"unix://{socket_path(Settings(data_dir=folder / 'broker'))}"


@contextmanager
def scripted_model(folder: Path, *, delay_ms: float = 0, slots: int = 0) -> Iterator[str]:
    """A scripted model server in a process of its own; its base URL."""
    port = free_port()
    options = ["--port", str(port), "--delay-ms", str(delay_ms), *(["--slots", str(slots)] if slots else [])]
    command = [sys.executable, "tests/scripted_model.py", *options]
    with running(command, environment(folder), folder / "scripted.log") as process:
        base_url = f"http://127.0.0.1:{port}/v1"
        wait_ready(base_url, 20, lambda: process.exit_code is None)
        yield base_url


@contextmanager
def embedded_model(folder: Path, model: str, *, slots: int, cache_mib: int | None = None) -> Iterator[str]:
    """The real embedded server, with nothing in its cache, and another size of it if wanted; its base URL."""
    port = free_port()
    file = path_of(find(model), Settings().cache_dir)
    cache = PROMPT_CACHE_MIB if cache_mib is None else cache_mib
    command = [sys.executable, "-c", _SERVE, str(file), model, str(port), str(slots), str(cache)]
    with running(command, environment(folder), folder / "model.log") as process:
        base_url = f"http://127.0.0.1:{port}/v1"
        wait_ready(base_url, 60, lambda: process.exit_code is None)
        yield base_url


class System:
    """Our system on a broker: a data directory with a corpus, and the real worker processes.

    Args:
        folder: A new one.
        records: The corpus.
        settings: As the processes see them; `broker_url` and `base_url` at least.
    """

    def __init__(self, folder: Path, records: Sequence[Record], **settings: object) -> None:
        self.settings = Settings(data_dir=folder, **settings)  # type: ignore[arg-type]  # names and values as given
        self._env = environment(folder, **settings)
        self._folder = folder
        snapshot.write(records, self.settings.corpus_dir)

    @contextmanager
    def working(self, client: redis.Redis, roles: Mapping[str, int | None], *, writer: bool = True) -> Iterator[None]:
        """Run workers of these roles and concurrencies (None: what they choose), and the writer, during the block."""
        with ExitStack() as owned:
            commands = [
                [_REPLAY, "worker", role, *(["--concurrency", str(count)] if count else [])]
                for role, count in roles.items()
            ]
            commands += [[_REPLAY, "worker", "writer"]] if writer else []
            started = [
                owned.enter_context(running(command, self._env, self._folder / f"worker-{number}.log"))
                for number, command in enumerate(commands)
            ]
            wait_for(lambda: _beating(client, started), "the workers", timeout_s=60)
            yield

    def wait_for_ends(self, count: int) -> float:
        """Wait until so many runs have ended in the log, and return when that was (Unix time)."""
        log = self.settings.evidence_log
        wait_for(log.exists, "the evidence log")
        with log.open("rb") as file:
            rest, ended = b"", 0

            def all_ended() -> bool:
                nonlocal rest, ended
                # Read on, never again from the start: that would take a core from what is measured.
                whole, newline, rest = (rest + file.read()).rpartition(b"\n")
                ended += sum(map((whole + newline).count, _TERMINAL))
                return ended >= count

            wait_for(all_ended, f"{count} ends", timeout_s=LIMIT_S)
        return time.time()

    def runs(self) -> list[dict[str, Any]]:
        """The attempts in the log, without the records that the writer makes of itself."""
        records = [json.loads(line) for line in self.settings.evidence_log.read_bytes().splitlines()]
        return [record for record in records if record["schema"] == RUN_SCHEMA]


def _beating(client: redis.Redis, processes: Sequence[Process]) -> bool:
    for process in processes:
        assert process.exit_code is None, process.output
    return {process.pid for process in processes} <= {beat.pid for beat in heartbeat.alive(client)}


class Stock:
    """Plain Celery on a broker.

    Args:
        folder: A new one.
        broker_url: As ours.
        model_url: Where `stock.ask` asks.
    """

    def __init__(self, folder: Path, broker_url: str, model_url: str = "") -> None:
        self.notes = folder / "notes"
        url = celery_url(Settings(broker_url=broker_url))
        named = {"STOCK_BROKER": url, "STOCK_NOTES": str(self.notes), "STOCK_MODEL": f"{model_url}/chat/completions"}
        self._env = environment(folder) | named
        self._folder = folder
        self.app = stock.make_app(url)

    @contextmanager
    def working(self, lanes: Mapping[str, int], pool: str = "prefork") -> Iterator[None]:
        """Run one worker for each queue with its concurrency, for the length of the block."""
        with ExitStack() as owned:
            for queue, count in lanes.items():
                quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
                celery = [sys.executable, "-m", "celery", "-A", "benchmarks.stock", "worker", "-Q", queue, *quiet]
                command = [*celery, "--pool", pool, "--concurrency", str(count), "--hostname", f"{queue}@localhost"]
                owned.enter_context(running(command, self._env, self._folder / f"{queue}.log"))
            yield

    def wait_for_ends(self, count: int) -> list[float]:
        """Wait for so many notes and return their times, in order."""

        def ends() -> list[float]:
            if not self.notes.exists():
                return []
            lines = self.notes.read_bytes().splitlines()
            return sorted(float(line.split(b" ", 1)[0]) for line in lines) if len(lines) >= count else []

        return wait_for(ends, f"{count} ends of Celery tasks", timeout_s=LIMIT_S)
