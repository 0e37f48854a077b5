"""How a writer comes to its log: it stands by while another writes, then takes lock, lease and a new epoch."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import redis
from pydantic import ConfigDict, Field

from broker import writer_lease
from broker.connection import LOST
from broker.writer_lease import WriterLease
from evidence.format import prepare
from evidence.lock import lock_path
from evidence.log import EvidenceLog
from evidence.reader import EvidenceReader
from replay.contracts import Message
from replay.errors import EvidenceLocked
from replay.settings import Settings

logger = logging.getLogger(__name__)

# How often one that stands by looks whether it is its turn.
_LOOK_S = 1.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class LeaseLost(Exception):
    """Another writer may have the log by now: nothing was appended since, and nothing acknowledged."""


class WriterRecord(Message):
    """The first record of each writer: from here on it is this one that appends."""

    schema_: Literal["replay_writer.v1"] = Field("replay_writer.v1", alias="schema")
    id: str = Field(description="`writer_` and the number of this take-over in this log, from 1.")
    epoch: int = Field(description="Grows with each record, also where the broker lost its data.")
    holder: str = Field(description="Random name of the process's lease.")
    host: str
    pid: int
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True)
class Tenure:
    """A log that is open, and the lease that allows to append to it."""

    log: EvidenceLog
    lease: WriterLease

    def end(self) -> None:
        """Let both go. The log first: its last checkpoint needs the lease; where that is lost, nothing is written."""
        try:
            if self._holds():
                self.log.close()
            else:
                self.log.abandon()
        finally:
            with suppress(*LOST):
                self.lease.release()

    def _holds(self) -> bool:
        try:
            return self.lease.holds()
        except LOST:
            return False


def stand_by(
    settings: Settings, client: redis.Redis, beat: Callable[[str], None], stop_event: threading.Event
) -> Tenure | None:
    """Wait until this process may write; None if it was told to stop before.

    Args:
        settings: Which log, and how long a lease lasts.
        client: The broker.
        beat: Gives a sign of life, with what this writer waits for.
        stop_event: Ends the wait.

    Raises:
        EvidenceDamaged: The log is not what was written.
        AppendFailed: The disk said no.
    """
    said = ""
    while not stop_event.is_set():
        try:
            found = take(settings, client)
            if isinstance(found, Tenure):
                return found
            beat(f"standing by: {found}")
        except LOST as error:
            found = f"the broker is gone ({error})"
        if found != said:
            logger.info("standing by: %s", found)
            said = found
        stop_event.wait(min(_LOOK_S, settings.writer_lease_s / 3))
    return None


def take(settings: Settings, client: redis.Redis) -> Tenure | str:
    """Take log and lease, and write who has them into the log; or say why another has them.

    The lock file is taken first, then the lease, and only under both is the log opened: opening it recovers, and cuts a
    torn end.

    Raises:
        EvidenceDamaged: The log is not what was written.
        AppendFailed: The disk said no.
    """
    path = settings.evidence_log.absolute()
    held = writer_lease.holder(client)
    if held is not None and held.lock != lock_proof(path):
        return f"{held} holds the lease"
    permit = Permit(WriterLease(client, settings.writer_lease_s), path)
    try:
        log = EvidenceLog.of(settings, permit)
    except EvidenceLocked as locked:
        return locked.message
    except LeaseLost:
        permit.end()
        return "another writer was faster"
    except BaseException:
        permit.end()
        raise
    lease = permit.lease
    tenure = Tenure(log, lease)
    try:
        number, epoch = last_take_over(path)
        if not lease.raise_above(epoch):
            tenure.end()
            return "another writer was faster"
        record = WriterRecord(
            id=take_over_id(number + 1),
            epoch=lease.epoch,
            holder=lease.holder,
            host=socket.gethostname(),
            pid=os.getpid(),
            recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        permit()
        # Dies before this: the epoch is used up, and the next one is higher.
        log.append_prepared([prepare(record.wire())])
    except LeaseLost:
        tenure.end()
        return "another writer was faster"
    except BaseException:
        tenure.end()
        raise
    logger.info("this writer has the log, from epoch %d on", lease.epoch)
    return tenure


class Permit:
    """Allows to change the log while the lease holds; the first to ask, which has the lock file by then, takes it.

    Args:
        lease: Not taken yet.
        log: The log.
    """

    def __init__(self, lease: WriterLease, log: Path) -> None:
        self.lease = lease
        self._log = log

    def __call__(self) -> None:
        """Prove the lease, or take it.

        Raises:
            LeaseLost: Another one has it.
        """
        # The proof is made only now: the file of the lock may have come with this opening. Who held the lease with this
        # very lock is dead, or the lock would not be ours.
        if not (self.lease.holds() if self.lease.epoch else self.lease.acquire(lock=lock_proof(self._log))):
            raise LeaseLost

    def end(self) -> None:
        """Give back what was taken."""
        if self.lease.epoch:
            with suppress(*LOST):
                self.lease.release()


def take_over_id(number: int) -> str:
    """The record id of a take-over. Numbers have no gaps, since each is written by who holds the log."""
    return f"writer_{number:08d}"


def last_take_over(log: Path) -> tuple[int, int]:
    """Number and epoch of the last take-over in a log; zeros where there was none.

    The numbers have no gaps, so the last one is found by doubling and halving, whatever the size of the log.

    Raises:
        EvidenceDamaged: Another record stands where the index says.
    """
    reader = EvidenceReader(log)

    def epoch_of(number: int) -> int | None:
        entry = reader.get(take_over_id(number))
        return None if entry is None else int(str(entry.record["epoch"]))

    known, epoch, beyond = 0, 0, 1
    while (found := epoch_of(beyond)) is not None:
        known, epoch, beyond = beyond, found, beyond * 2
    while beyond - known > 1:
        middle = (known + beyond) // 2
        if (found := epoch_of(middle)) is None:
            beyond = middle
        else:
            known, epoch = middle, found
    return known, epoch


def lock_proof(log: Path) -> str:
    """Name the lock file of a log so that two processes of one kernel agree on it, in containers too.

    A lock of the kernel is held by one living process, so the same name under a lease that is not ours means that its
    holder is dead. Empty where there is no such name.
    """
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        there = lock_path(log).stat()
    except OSError:
        return ""
    return f"{boot}:{there.st_dev}:{there.st_ino}"
