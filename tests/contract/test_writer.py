"""The writer's steps, on the real broker and a real log."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import evidence_stream, heartbeat
from evidence.log import EvidenceLog
from replay.contracts import State
from replay.errors import AppendFailed
from replay.identity import canonical_json
from replay.pipeline import end_without_attempt
from replay.settings import Settings
from tests.factories import make_task
from workers.writer import Writer


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    """Small batches, no linger."""
    return Settings(data_dir=data_dir, writer_batch=3, writer_linger_ms=0)


@pytest.fixture
def log(settings: Settings) -> Iterator[EvidenceLog]:
    """An empty, locked log."""
    with EvidenceLog.open(settings.evidence_log) as opened:
        yield opened


def _record(n: int) -> bytes:
    run = end_without_attempt(make_task(custom_id=str(n)), State.CANCELLED, "test")
    return canonical_json(run.wire())


def _append(valkey: redis.Redis, count: int) -> None:
    for n in range(count):
        evidence_stream.append(valkey, _record(n))


def _lines(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in settings.evidence_log.read_bytes().splitlines()]


def test_a_step_appends_and_then_acknowledges(valkey: redis.Redis, settings: Settings, log: EvidenceLog) -> None:
    """Batches of the set size end in the log, in order, and leave the stream."""
    _append(valkey, 7)
    writer = Writer(settings, valkey, log)
    for expected in (4, 1, 0):
        writer.step(threading.Event())
        assert evidence_stream.backlog(valkey) == expected
    assert [line["custom_id"] for line in _lines(settings)] == [str(n) for n in range(7)]
    assert [(beat.role, beat.worker.split("@")[0]) for beat in heartbeat.alive(valkey)] == [("writer", "writer")]


def test_a_failed_append_acknowledges_nothing(
    valkey: redis.Redis, settings: Settings, log: EvidenceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error stops the writer, and the next one finds every record where it was."""

    def full_disk(_: object) -> None:
        raise AppendFailed("no space left on device")

    _append(valkey, 2)
    with monkeypatch.context() as patched:
        patched.setattr(log, "append_prepared", full_disk)
        with pytest.raises(AppendFailed):
            Writer(settings, valkey, log).step(threading.Event())
    assert evidence_stream.backlog(valkey) == 2

    Writer(settings, valkey, log).step(threading.Event())
    assert len(_lines(settings)) == 2
    assert evidence_stream.backlog(valkey) == 0


def test_a_crash_between_append_and_acknowledgement_doubles_nothing(
    valkey: redis.Redis, settings: Settings, log: EvidenceLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer reads the batch again, and the log finds each record by its id."""
    _append(valkey, 2)
    dying = Writer(settings, valkey, log)
    monkeypatch.setattr(dying._stream, "acknowledge", lambda _: None)
    dying.step(threading.Event())
    assert evidence_stream.backlog(valkey) == 2

    Writer(settings, valkey, log).step(threading.Event())
    assert len(_lines(settings)) == 2
    assert evidence_stream.backlog(valkey) == 0


@pytest.mark.parametrize("junk", [b"\xff\x00", b"[]", b"{}", b'{"schema": "x", "id": 7}', b'{"a": NaN}', b"[" * 99999])
def test_junk_on_the_stream_is_kept_as_a_dead_letter(
    valkey: redis.Redis, settings: Settings, log: EvidenceLog, junk: bytes
) -> None:
    """Its bytes are in the log, once, and the good record beside it is not held up."""
    evidence_stream.append(valkey, junk)
    _append(valkey, 1)
    Writer(settings, valkey, log).step(threading.Event())
    letter, good = _lines(settings)
    assert (letter["schema"], letter["queue"], letter["payload_bytes"]) == (
        "replay_dead.v1",
        "replay.evidence",
        len(junk),
    )
    assert good["custom_id"] == "0"
    assert evidence_stream.backlog(valkey) == 0


def test_a_broker_that_lost_its_data_is_served_again(valkey: redis.Redis, settings: Settings, log: EvidenceLog) -> None:
    """The writer makes stream and group anew and goes on."""
    writer = Writer(settings, valkey, log)
    _append(valkey, 1)
    writer.step(threading.Event())
    valkey.flushall()
    writer.step(threading.Event())
    evidence_stream.append(valkey, _record(1))
    writer.step(threading.Event())
    assert [line["custom_id"] for line in _lines(settings)] == ["0", "1"]
