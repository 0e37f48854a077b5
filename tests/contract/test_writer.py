"""The writer's steps, on the real broker and a real log."""

from __future__ import annotations

import errno
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from broker import evidence_stream, heartbeat, writer_lease
from broker.evidence_stream import EvidenceStream
from broker.writer_lease import WriterLease
from evidence import recovery
from evidence.durable import SyscallSeam
from evidence.lock import lock_path
from evidence.log import EvidenceLog
from evidence.verify import verify
from replay.contracts import State
from replay.errors import AppendFailed, EvidenceDamaged
from replay.identity import canonical_json
from replay.pipeline import end_without_attempt
from replay.settings import Settings
from tests.factories import make_task
from tests.processes import wait_for
from workers import takeover
from workers.takeover import LeaseLost, Tenure, last_take_over, stand_by, take
from workers.writer import Pulse, Writer, run_writer


@pytest.fixture
def settings(data_dir: Path, broker_url: str) -> Settings:
    """Small batches, no linger."""
    return Settings(data_dir=data_dir, broker_url=broker_url, writer_batch=3, writer_linger_ms=0)


@pytest.fixture
def tenure(settings: Settings, valkey: redis.Redis) -> Iterator[Tenure]:
    """An empty log, locked, and the lease on it."""
    found = take(settings, valkey)
    assert isinstance(found, Tenure)
    yield found
    found.end()


def _writer(settings: Settings, valkey: redis.Redis, tenure: Tenure) -> Writer:
    return Writer(settings, valkey, tenure, Pulse(valkey))


def _record(n: int) -> bytes:
    run = end_without_attempt(make_task(custom_id=str(n)), State.CANCELLED, "test")
    return canonical_json(run.wire())


def _append(valkey: redis.Redis, count: int) -> None:
    for n in range(count):
        evidence_stream.append(valkey, _record(n))


def _lines(settings: Settings) -> list[dict[str, Any]]:
    """The records of the log but the writers' own."""
    return [line for line in _all_lines(settings) if line["schema"] != "replay_writer.v1"]


def _all_lines(settings: Settings) -> list[dict[str, Any]]:
    return [json.loads(line) for line in settings.evidence_log.read_bytes().splitlines()]


def test_a_step_appends_and_then_acknowledges(valkey: redis.Redis, settings: Settings, tenure: Tenure) -> None:
    """Batches of the set size end in the log, in order, and leave the stream."""
    _append(valkey, 7)
    writer = _writer(settings, valkey, tenure)
    for expected in (4, 1, 0):
        writer.step(threading.Event())
        assert evidence_stream.backlog(valkey) == expected
    assert [line["custom_id"] for line in _lines(settings)] == [str(n) for n in range(7)]
    [beat] = heartbeat.alive(valkey)
    assert (beat.role, beat.pid, beat.started, beat.state) == ("writer", os.getpid(), 0, "")


def test_a_failed_append_acknowledges_nothing(
    valkey: redis.Redis, settings: Settings, tenure: Tenure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error stops the writer, and the next one finds every record where it was."""

    def full_disk(_: object) -> None:
        raise AppendFailed("no space left on device")

    _append(valkey, 2)
    with monkeypatch.context() as patched:
        patched.setattr(tenure.log, "append_prepared", full_disk)
        with pytest.raises(AppendFailed):
            _writer(settings, valkey, tenure).step(threading.Event())
    assert evidence_stream.backlog(valkey) == 2

    _writer(settings, valkey, tenure).step(threading.Event())
    assert len(_lines(settings)) == 2
    assert evidence_stream.backlog(valkey) == 0


def test_a_crash_between_append_and_acknowledgement_doubles_nothing(
    valkey: redis.Redis, settings: Settings, tenure: Tenure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer reads the batch again, and the log finds each record by its id."""
    _append(valkey, 2)
    dying = _writer(settings, valkey, tenure)
    monkeypatch.setattr(dying._stream, "acknowledge", lambda _: None)
    dying.step(threading.Event())
    assert evidence_stream.backlog(valkey) == 2

    _writer(settings, valkey, tenure).step(threading.Event())
    assert len(_lines(settings)) == 2
    assert evidence_stream.backlog(valkey) == 0


@pytest.mark.parametrize("junk", [b"\xff\x00", b"[]", b"{}", b'{"schema": "x", "id": 7}', b'{"a": NaN}', b"[" * 99999])
def test_junk_on_the_stream_is_kept_as_a_dead_letter(
    valkey: redis.Redis, settings: Settings, tenure: Tenure, junk: bytes
) -> None:
    """Its bytes are in the log, once, and the good record beside it is not held up."""
    evidence_stream.append(valkey, junk)
    _append(valkey, 1)
    _writer(settings, valkey, tenure).step(threading.Event())
    letter, good = _lines(settings)
    assert (letter["schema"], letter["queue"], letter["payload_bytes"]) == (
        "replay_dead.v1",
        "replay.evidence",
        len(junk),
    )
    assert good["custom_id"] == "0"
    assert evidence_stream.backlog(valkey) == 0


def test_a_dead_letter_that_is_written_twice_is_one_record(
    valkey: redis.Redis, settings: Settings, tenure: Tenure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash before the acknowledgement makes no conflict of it, whether it is junk or has no record at all."""
    evidence_stream.append(valkey, b"junk")
    valkey.xadd("replay.evidence", {"text": "no record"})
    with monkeypatch.context() as patched:
        dying = _writer(settings, valkey, tenure)
        patched.setattr(dying._stream, "acknowledge", lambda _: None)
        dying.step(threading.Event())
    _writer(settings, valkey, tenure).step(threading.Event())
    assert [line["schema"] for line in _lines(settings)] == ["replay_dead.v1"] * 2
    assert evidence_stream.backlog(valkey) == 0


def test_a_broker_that_lost_its_data_is_served_again(valkey: redis.Redis, settings: Settings) -> None:
    """The lease is gone with them; the writer takes it anew, makes stream and group again, and goes on."""
    stop = threading.Event()
    running = threading.Thread(target=run_writer, args=(settings, stop))
    running.start()
    try:
        _append(valkey, 1)
        wait_for(lambda: settings.evidence_log.exists() and len(_lines(settings)) == 1, "the first record")
        valkey.flushall()
        evidence_stream.append(valkey, _record(1))
        wait_for(lambda: len(_lines(settings)) == 2, "the second record")
    finally:
        stop.set()
        running.join()
    assert [line["custom_id"] for line in _lines(settings)] == ["0", "1"]
    assert last_take_over(settings.evidence_log) == (2, 2)
    assert writer_lease.holder(valkey) is None


# --- one writer of several ------------------------------------------------------------------------------------------


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_the_first_record_of_a_writer_is_its_epoch(valkey: redis.Redis, settings: Settings) -> None:
    """Each take-over writes one; epochs grow, numbers have no gaps, the chain holds."""
    for _ in range(3):
        found = take(settings, valkey)
        assert isinstance(found, Tenure)
        found.end()
    records = _all_lines(settings)
    assert [(record["schema"], record["id"], record["epoch"]) for record in records] == [
        ("replay_writer.v1", f"writer_{n:08d}", n) for n in (1, 2, 3)
    ]
    assert {record["pid"] for record in records} == {os.getpid()}
    assert verify(settings.evidence_log).ok


def test_the_last_take_over_is_found_in_a_log_of_any_length(valkey: redis.Redis, settings: Settings) -> None:
    """By its number, which is found without reading the log."""
    assert last_take_over(settings.evidence_log) == (0, 0)
    for count in range(1, 10):
        found = take(settings, valkey)
        assert isinstance(found, Tenure)
        found.end()
        assert last_take_over(settings.evidence_log) == (count, count)


def test_a_broker_that_lost_its_data_sets_no_epoch_back(valkey: redis.Redis, settings: Settings) -> None:
    """The next epoch is above the last one in the log, and above the broker's count where that is higher."""
    epochs = []
    for lost in (False, False, True, False):
        if lost:
            valkey.flushall()
        found = take(settings, valkey)
        assert isinstance(found, Tenure)
        epochs.append(found.lease.epoch)
        found.end()
    valkey.set(writer_lease.EPOCH_KEY, 40)
    found = take(settings, valkey)
    assert isinstance(found, Tenure)
    found.end()
    assert [*epochs, found.lease.epoch] == [1, 2, 3, 4, 41]


def test_a_second_writer_stands_by_and_says_so(valkey: redis.Redis, settings: Settings, tenure: Tenure) -> None:
    """Its heartbeat names the holder; told to stop, it stops without having written."""
    before = _all_lines(settings)
    stop = threading.Event()
    pulse = Pulse(valkey)

    def beat(state: str) -> None:
        pulse.beat_if_due(state)
        stop.set()

    assert stand_by(settings, valkey, beat, stop) is None
    [alive] = heartbeat.alive(valkey)
    assert alive.role == "writer"
    assert alive.state.startswith("standing by: ")
    assert str(os.getpid()) in alive.state
    assert _all_lines(settings) == before


def test_a_writer_on_another_host_waits_for_the_lease(valkey: redis.Redis, settings: Settings) -> None:
    """The lock file cannot prove its death, so that its lease has to run out; then it is taken."""
    elsewhere = WriterLease(valkey, 60)
    assert elsewhere.acquire(lock="another kernel")
    assert "holds the lease" in str(take(settings, valkey))
    assert not settings.evidence_log.exists()
    valkey.delete(writer_lease.KEY)  # its time is over
    found = take(settings, valkey)
    assert isinstance(found, Tenure)
    assert found.lease.epoch == elsewhere.epoch + 1
    assert not elsewhere.holds()
    assert not elsewhere.renew()
    elsewhere.release()
    assert found.lease.holds()
    found.end()


@pytest.mark.parametrize("moment", ["before the lock file", "after it", "in the middle of recovery"])
def test_recovery_cuts_nothing_without_the_lease(
    valkey: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A torn end may be the line that a writer on another host is just writing: it stays until the lease is ours."""
    first = take(settings, valkey)
    assert isinstance(first, Tenure)
    first.end()
    with settings.evidence_log.open("ab") as log:
        log.write(b'{"half a')
    torn = settings.evidence_log.read_bytes()
    elsewhere = WriterLease(valkey, 60)

    def another_is_faster() -> None:
        valkey.delete(writer_lease.KEY)
        assert elsewhere.acquire(lock="another kernel")

    with monkeypatch.context() as patched:
        if moment == "before the lock file":
            another_is_faster()
        elif moment == "after it":
            # The look came too early: by the time that the lock file is ours, another host has the lease.
            patched.setattr(writer_lease, "holder", lambda _: None)
            another_is_faster()
        else:
            catch_up = recovery._catch_up

            def slow(*args: Any) -> Any:
                found = catch_up(*args)
                another_is_faster()
                return found

            patched.setattr(recovery, "_catch_up", slow)
        assert isinstance(take(settings, valkey), str)
    assert settings.evidence_log.read_bytes() == torn
    assert list(settings.evidence_log.parent.glob("*.torn-*")) == []
    assert elsewhere.holds()

    elsewhere.release()
    mended = take(settings, valkey)
    assert isinstance(mended, Tenure)
    mended.end()
    schemas = [line["schema"] for line in _all_lines(settings)]
    assert schemas == ["replay_writer.v1", "replay_recovery.v1", "replay_writer.v1"]
    assert mended.lease.epoch > elsewhere.epoch


def test_a_damaged_log_gives_the_lease_back(valkey: redis.Redis, settings: Settings) -> None:
    """Whoever cannot open the log leaves the lease to one that can."""
    settings.evidence_log.parent.mkdir(parents=True)
    settings.evidence_log.write_bytes(b"no record\n")
    with pytest.raises(EvidenceDamaged):
        take(settings, valkey)
    assert writer_lease.holder(valkey) is None


def test_the_lock_proves_that_a_holder_is_dead(valkey: redis.Redis, settings: Settings) -> None:
    """A writer that was killed on this machine is replaced at once, with its lease still running."""
    found = take(settings, valkey)
    assert isinstance(found, Tenure)
    found.log.close()  # as the kernel does; nobody gives the lease back
    second = take(settings, valkey)
    assert isinstance(second, Tenure)
    assert second.lease.epoch == 2
    assert not found.lease.holds()
    second.end()


def test_a_writer_that_was_suspended_appends_nothing(
    valkey: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading and appending its clock jumps: by the clock alone, and by the broker alone, it finds out."""
    clock = Clock()
    monkeypatch.setattr(takeover, "WriterLease", lambda client, ttl_s: WriterLease(client, ttl_s, clock=clock))
    _append(valkey, 2)
    found = take(settings, valkey)
    assert isinstance(found, Tenure)
    writer = _writer(settings, valkey, found)

    renew = found.lease.renew

    def slow_answer() -> bool:
        answer = renew()
        clock.now += settings.writer_lease_s
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(found.lease, "renew", slow_answer)
        with pytest.raises(LeaseLost):
            writer.step(threading.Event())
    valkey.delete(writer_lease.KEY)
    with pytest.raises(LeaseLost):
        writer.step(threading.Event())
    assert _lines(settings) == []
    assert evidence_stream.backlog(valkey) == 2
    found.end()


def test_what_another_writer_had_read_is_written_at_once(
    valkey: redis.Redis, settings: Settings, tenure: Tenure
) -> None:
    """Entries that are pending with a consumer of another name are taken over at the first step, in order."""
    _append(valkey, 5)
    dead = EvidenceStream(valkey, "another-host")
    dead.ensure_group()
    assert len(dead.read(3, 0)) == 3
    writer = _writer(settings, valkey, tenure)
    writer.step(threading.Event())
    assert [line["custom_id"] for line in _lines(settings)] == ["0", "1", "2"]
    writer.step(threading.Event())
    assert [line["custom_id"] for line in _lines(settings)] == ["0", "1", "2", "3", "4"]
    assert evidence_stream.backlog(valkey) == 0


def test_a_server_without_memory_lets_its_writer_in(valkey: redis.Redis, settings: Settings) -> None:
    """It refuses writes, the writer's heartbeat too, but the writer takes the lease and makes room."""
    _append(valkey, 2)
    EvidenceStream(valkey, "any").ensure_group()
    valkey.config_set("maxmemory", "1")
    try:
        found = take(settings, valkey)
        assert isinstance(found, Tenure)
        _writer(settings, valkey, found).step(threading.Event())
        found.end()
    finally:
        valkey.config_set("maxmemory", "0")
    assert len(_lines(settings)) == 2
    assert evidence_stream.backlog(valkey) == 0


# --- a disk that says no --------------------------------------------------------------------------------------------


def _refuses(number: int) -> Callable[[int, bytes], int]:
    def write(fd: int, data: bytes) -> int:
        raise OSError(number, os.strerror(number))

    return write


def _short(fd: int, data: bytes) -> int:
    return os.write(fd, data[: len(data) // 2])


def _fsync_after(good: int) -> Callable[[int], None]:
    calls = itertools.count()

    def fsync(fd: int) -> None:
        if next(calls) >= good:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(fd)

    return fsync


DISKS = {
    "full": lambda: SyscallSeam(write=_refuses(errno.ENOSPC)),
    "read-only": lambda: SyscallSeam(write=_refuses(errno.EROFS)),
    "short": lambda: SyscallSeam(write=_short),
    "failed fsync": lambda: SyscallSeam(fsync=_fsync_after(2)),
}


@pytest.mark.parametrize("disk", DISKS)
def test_a_disk_that_says_no_stops_the_writer_and_loses_nothing(
    valkey: redis.Redis, settings: Settings, disk: str
) -> None:
    """Nothing is acknowledged, and no further step is taken; the next writer has every record, once."""
    _append(valkey, 3)
    EvidenceLog.open(settings.evidence_log).close()
    lease = WriterLease(valkey, settings.writer_lease_s)
    assert lease.acquire(lock=str(lock_path(settings.evidence_log)))
    broken = Tenure(EvidenceLog.open(settings.evidence_log, testing_only_seam=DISKS[disk]()), lease)
    writer = _writer(settings, valkey, broken)
    for _ in range(2):
        with pytest.raises(AppendFailed):
            writer.step(threading.Event())
        writer.rewind()
        assert evidence_stream.backlog(valkey) == 3
    broken.end()

    mended = take(settings, valkey)
    assert isinstance(mended, Tenure)
    _writer(settings, valkey, mended).step(threading.Event())
    mended.end()
    assert evidence_stream.backlog(valkey) == 0
    runs = [line["custom_id"] for line in _lines(settings) if line["schema"] == "replay_run.v1"]
    assert runs == ["0", "1", "2"]
    assert verify(settings.evidence_log).ok
