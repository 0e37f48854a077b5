"""Processes for tests: start one with its own environment and log, wait for what it does, stop it by its pid.

Fixtures live in `tests/conftest.py`; everything here works without pytest.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import redis

from broker import heartbeat
from broker.connection import connect
from broker.envelope import publish
from broker.queues import depths
from replay.contracts import TERMINAL, Tier
from replay.corpus import snapshot
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM, Queue, TaskName
from tests.factories import make_bundle, make_task

ROOT = Path(__file__).resolve().parent.parent

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], what: str, *, timeout_s: float = 30.0) -> Found:
    """Poll until the condition gives something true and return that.

    Raises:
        AssertionError: It did not within `timeout_s`; the message says what was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s for {what}; it was {found!r} to the end")
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A loopback port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_USUAL = {"result_cache": False, "escalate_undecidable": True}


def environment(data_dir: Path, **settings: object) -> dict[str, str]:
    """The environment of a child: this one without any `REPLAY_*`, then the given settings, named as in `Settings`.

    The result cache is off unless it is asked for: many tests ask one claim over and over, and each is to be generated.
    What no answer can decide is escalated all the same: most tests of the way to the large model do not care whether it
    could answer.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPLAY_")}
    given = {f"REPLAY_{name.upper()}": str(value) for name, value in (_USUAL | settings).items()}
    return kept | {"REPLAY_DATA_DIR": str(data_dir), "PYTHONWARNINGS": "default"} | given


class Process:
    """One started process, in a session of its own, with its output in a file.

    Args:
        command: What to run, in the root of the repository.
        env: Its whole environment.
        log: Where its output goes.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=dict(env),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is also that of its group."""
        return self._popen.pid

    @property
    def output(self) -> str:
        """What it wrote so far."""
        return self.log.read_text(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait for its end and return the exit code."""
        return self._popen.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, as an orchestrator does."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL it and everything that it started, and wait."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait(20)

    def stop(self, timeout_s: float = 20.0) -> int:
        """SIGTERM, then SIGKILL if that does not end it in time; returns the exit code."""
        if self.exit_code is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self.wait(timeout_s)
        self.kill()
        return self.wait()


@contextlib.contextmanager
def running(command: Sequence[str], env: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Run a process for the length of the block; what is left of it is killed at the end."""
    process = Process(command, env, log)
    try:
        yield process
    finally:
        process.kill()


def python(code: str) -> list[str]:
    """The command that runs a line of Python with this interpreter."""
    return [sys.executable, "-c", code]


def broker_command() -> list[str]:
    """The embedded broker of the environment's settings."""
    return python("from broker.embedded import serve; from replay.settings import Settings; serve(Settings())")


def writer_command() -> list[str]:
    """The evidence writer of the environment's settings."""
    return python(
        "from workers.launch import run_worker; from replay.settings import Settings; run_worker(Settings(), 'writer')"
    )


def worker_command(role: str, concurrency: int = 2) -> list[str]:
    """A worker of one lane, as `replay worker` starts it."""
    call = f"run_worker(Settings(), {role!r}, {concurrency})"
    return python(f"from workers.launch import run_worker; from replay.settings import Settings; {call}")


def answers(settings: Settings) -> redis.Redis | None:
    """A client of the broker if it answers, for `wait_for`."""
    try:
        return connect(settings)
    except BrokerUnavailable:
        return None


@contextlib.contextmanager
def embedded_broker(data_dir: Path) -> Iterator[Settings]:
    """A real embedded Valkey server on this data directory for the length of the block."""
    settings = Settings(data_dir=data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    with running(broker_command(), environment(data_dir), data_dir / "broker.log") as process:
        wait_for(lambda: answers(settings) or process.exit_code is not None, "the broker to answer")
        assert process.exit_code is None, process.output
        yield settings


def is_waited_at(client: redis.Redis, command: str) -> bool:
    """Tell whether some client is blocked inside the server by this command."""
    return any(other["cmd"] == command and "b" in other["flags"] for other in client.client_list())


class Stack:
    """A broker in use: a data directory with a small corpus, and the processes that a test starts on it.

    Args:
        data_dir: Evidence, corpus and logs.
        settings: As the processes see them: at least `broker_url` and `base_url`.
    """

    def __init__(self, data_dir: Path, **settings: object) -> None:
        settings = {"local_model": "scripted", "escalation_model": "scripted", "writer_linger_ms": 0} | settings
        self.settings = Settings(data_dir=data_dir, **settings)  # type: ignore[arg-type]  # names and values as given
        self.env = environment(data_dir, **settings)
        self.client = connect(self.settings, patience=20)
        self._owned = contextlib.ExitStack()
        self._started = 0
        self._read_to = 0
        self._records: list[dict[str, Any]] = []
        snapshot.write([hit.record for hit in make_bundle().passages], self.settings.corpus_dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._owned.close()
        self.client.close()

    def start(self, command: Sequence[str]) -> Process:
        """Start a process that is killed at the end of the block."""
        self._started += 1
        log = self.settings.data_dir / f"process-{self._started}.log"
        return self._owned.enter_context(running(command, self.env, log))

    def worker(self, role: str, concurrency: int = 2) -> Process:
        """Start a worker and wait until it consumes."""
        process = self.start(worker_command(role, concurrency))
        wait_for(lambda: self._beats(process) or process.exit_code is not None, f"the {role} worker to consume")
        assert process.exit_code is None, process.output
        return process

    def writer(self) -> Process:
        """Start the evidence writer."""
        return self.start(writer_command())

    def submit(self, count: int, *, batch_id: str = "batch_test", allow_escalation: bool = False) -> set[str]:
        """Put tasks on the local queue and return their run ids."""
        options = {"allow_escalation": allow_escalation}
        tasks = [
            make_task(f"Verify claim {n}.", custom_id=str(n), batch_id=batch_id, options=options) for n in range(count)
        ]
        publish(
            self.client,
            Queue.LOCAL,
            ((TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()) for task in tasks),
        )
        return {task.run_id for task in tasks}

    def evidence(self) -> list[dict[str, Any]]:
        """The records of the log without the writers' own, whole lines only; parsed once, since tests poll this."""
        log = self.settings.evidence_log
        if log.exists():
            with log.open("rb") as file:
                file.seek(self._read_to)
                content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read_to += len(whole)
            found = [json.loads(line) for line in whole.splitlines()]
            self._records += [record for record in found if record["schema"] != "replay_writer.v1"]
        return self._records

    def ended(self) -> list[str]:
        """The run id of each terminal record, as often as there is one."""
        return [record["run_id"] for record in self.evidence() if record.get("state") in TERMINAL]

    def wait_until_ended(self, count: int, *, timeout_s: float = 60.0) -> list[str]:
        """Wait for so many terminal records."""
        return (
            wait_for(lambda: len(found := self.ended()) >= count and found, f"{count} ends", timeout_s=timeout_s) or []
        )

    def wait_until_polling(self) -> None:
        """Wait until a worker waits at an empty queue."""
        wait_for(lambda: is_waited_at(self.client, "blmove"), "a worker to wait at the queue")

    def is_empty(self) -> bool:
        """True when nothing waits, is in flight, or is on the way to the writer."""
        found = depths(self.client)
        return not any([*found.waiting.values(), *found.in_flight.values(), found.evidence])

    def _beats(self, process: Process) -> bool:
        return any(beat.pid == process.pid for beat in heartbeat.alive(self.client))


def stream_records(client: redis.Redis) -> list[bytes]:
    """The records that lie on the evidence stream."""
    # redis-py's types allow every shape that a reply could have under any of its options.
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(EVIDENCE_STREAM))
    return [fields[b"record"] for _, fields in entries]
