"""One writer of several, as real processes: whoever dies or stands still, each record is in one log, once."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker import evidence_stream, heartbeat
from evidence.lock import lock_path
from evidence.verify import verify
from replay.contracts import State
from replay.identity import canonical_json
from replay.pipeline import end_without_attempt
from tests.factories import make_task
from tests.processes import Process, Stack, python, wait_for

pytestmark = pytest.mark.acceptance


@contextlib.contextmanager
def _stack(data_dir: Path, broker_url: str, **settings: object) -> Iterator[Stack]:
    with Stack(data_dir, broker_url=broker_url, base_url="http://127.0.0.1:1/v1", **settings) as stack:
        yield stack


def _append(stack: Stack, first: int, count: int, *, padding: int = 0) -> None:
    for n in range(first, first + count):
        reason = str(n) + "." * padding
        run = end_without_attempt(make_task(custom_id=str(n)), State.CANCELLED, reason)
        evidence_stream.append(stack.client, canonical_json(run.wire()))


def _written(stack: Stack) -> list[str]:
    return [record["custom_id"] for record in stack.evidence() if record["schema"] == "replay_run.v1"]


def _epochs(stack: Stack) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stack.settings.evidence_log.read_bytes().splitlines()]
    return [line for line in lines if line["schema"] == "replay_writer.v1"]


def _stands_by(stack: Stack, process: Process) -> bool:
    return any(beat.pid == process.pid and "standing by" in beat.state for beat in heartbeat.alive(stack.client))


def test_a_second_writer_takes_over_when_the_first_is_killed(data_dir: Path, broker_url: str) -> None:
    """It stands by and says so, in its heartbeat and its log; within seconds of the kill it writes, and nothing twice.

    The lease would run for a minute still: the lock, which the kernel has let go, proves that its holder is dead.
    """
    with _stack(data_dir, broker_url, writer_lease_s=60, writer_batch=4) as stack:
        first = stack.writer()
        _append(stack, 0, 20)
        wait_for(lambda: len(_written(stack)) == 20, "the first writer to write")
        second = stack.writer()
        wait_for(lambda: _stands_by(stack, second), "the second one to stand by")
        assert "standing by" in second.output
        _append(stack, 20, 40)
        first.kill()
        _append(stack, 60, 20)
        wait_for(lambda: len(_written(stack)) >= 80, "the second writer to write", timeout_s=10)
        wait_for(stack.is_empty, "the stream to be empty")
        assert sorted(map(int, _written(stack))) == list(range(80))
        assert [(record["epoch"], record["pid"]) for record in _epochs(stack)] == [(1, first.pid), (2, second.pid)]
        assert second.stop() == 0, second.output
        assert verify(stack.settings.evidence_log).ok


def test_a_frozen_writer_that_wakes_up_appends_nothing(data_dir: Path, broker_url: str) -> None:
    """Another one, whom the file lock does not hold back, has its lease: it lets the log go and stands by.

    The lock file is taken away to stand for a disk whose locks do not reach from host to host.
    """
    with _stack(data_dir, broker_url, writer_lease_s=1.5) as stack:
        frozen = stack.writer()
        _append(stack, 0, 3)
        wait_for(lambda: len(_written(stack)) == 3, "the first writer to write")
        frozen.signal(signal.SIGSTOP)
        lock_path(stack.settings.evidence_log).unlink()
        _append(stack, 3, 3)
        second = stack.writer()
        wait_for(lambda: len(_written(stack)) == 6, "the second writer to take over", timeout_s=15)
        size = stack.settings.evidence_log.stat().st_size
        frozen.signal(signal.SIGCONT)
        wait_for(lambda: "the lease is lost" in frozen.output, "the first writer to find out")
        wait_for(lambda: _stands_by(stack, frozen), "the first writer to stand by")
        assert stack.settings.evidence_log.stat().st_size == size
        _append(stack, 6, 3)
        wait_for(lambda: len(_written(stack)) == 9, "the second writer to go on")
        assert [record["pid"] for record in _epochs(stack)] == [frozen.pid, second.pid]
        assert verify(stack.settings.evidence_log).ok
        assert (frozen.exit_code, second.exit_code) == (None, None)


def test_a_full_disk_stops_the_writer_and_loses_nothing(data_dir: Path, broker_url: str) -> None:
    """It exits at once with code 4 and says why; nothing is acknowledged; with room, the next one writes all of it."""
    with _stack(data_dir, broker_url, writer_batch=16) as stack:
        _append(stack, 0, 64, padding=4000)
        limited = stack.start(
            python(
                "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
                "from cli.main import main; sys.argv = ['replay', 'worker', 'writer']; main()"
            )
        )
        assert limited.wait(30) == 4, limited.output
        assert "the writer stops" in limited.output
        assert "Make room" in limited.output
        assert "Traceback" not in limited.output
        written = len(_written(stack))
        assert 0 < written < 64
        assert evidence_stream.backlog(stack.client) >= 64 - written
        stack.writer()
        wait_for(stack.is_empty, "the stream to be empty")
        assert sorted(map(int, _written(stack))) == list(range(64))
        assert verify(stack.settings.evidence_log).ok
