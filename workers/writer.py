"""The evidence writer: one process that reads the stream, appends to the log, and only then acknowledges."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
import time

import redis
from redis.exceptions import ResponseError

from broker import dead, heartbeat
from broker.connection import LOST, connect
from broker.evidence_stream import Entry, EvidenceStream
from broker.heartbeat import Heartbeat
from evidence.format import Body, prepare
from evidence.log import EvidenceLog
from replay.errors import InputError
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM

logger = logging.getLogger(__name__)

_BLOCK_MS = 1000
# A writer that has not acknowledged for this long is dead or stuck: its entries are taken over, and the log drops what
# it had appended already.
_TAKE_OVER_MS = 60_000
_LONGEST_PAUSE_S = 5.0


def run_writer(settings: Settings, stop_event: threading.Event) -> None:
    """Write evidence until told to stop; the batch in hand is finished.

    A lost broker is waited for. What was read and not acknowledged is read again; the log finds what it has already.

    Raises:
        EvidenceLocked: Another writer holds the log.
        EvidenceDamaged: The log is not what was written.
        AppendFailed: The disk said no. Nothing of the batch was acknowledged; the process must stop.
        BrokerUnavailable: The broker does not answer at the start.
    """
    with EvidenceLog.open(settings.evidence_log) as log:
        client = connect(settings, patience=0)
        writer = Writer(settings, client, log)
        pause_s = 0.1
        while not stop_event.is_set():
            try:
                writer.step(stop_event)
                pause_s = 0.1
            except LOST as error:
                logger.warning("the broker is gone (%s); trying again in %.1f s", error, pause_s)
                writer.rewind()
                stop_event.wait(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        writer.sign_off()


def serve(settings: Settings, *, log_level: str = "INFO") -> None:
    """Run the writer as a process: SIGTERM and SIGINT finish the batch and return.

    Raises:
        ReplayError: As `run_writer`.
    """
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)s %(message)s")
    stop_event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_event.set())
    run_writer(settings, stop_event)


class Writer:
    """One writer at work.

    Args:
        settings: Batch size and linger.
        client: The broker, without retries: this loop is the retry.
        log: The evidence log, locked.
    """

    def __init__(self, settings: Settings, client: redis.Redis, log: EvidenceLog) -> None:
        self._settings = settings
        self._client = client
        self._log = log
        # The log's lock admits one writer to a log, so the host is name enough, and a restart finds what it had read.
        self._stream = EvidenceStream(client, socket.gethostname())
        self._name = f"writer@{socket.gethostname()}"
        self._written = 0
        self._beat_at = float("-inf")
        self._take_over_at = time.monotonic() + _TAKE_OVER_MS / 1000
        self._group_known = False

    def step(self, stop_event: threading.Event) -> None:
        """Read one batch, append it, acknowledge it."""
        self._beat_if_due()
        entries = self._read(stop_event)
        if not entries:
            return
        bodies = [_body(entry) for entry in entries if entry.record]
        # Dies before or in this: nothing is acknowledged, all of it is read again.
        self._log.append_prepared(bodies)
        # Dies here: it is in the log and still pending; it is read again, and the log finds each record by its id.
        self._stream.acknowledge([entry.entry_id for entry in entries])
        self._written += len(bodies)

    def rewind(self) -> None:
        """Read again what was not acknowledged, and look after the group: the broker may have lost its data."""
        self._group_known = False
        self._stream.rewind()

    def sign_off(self) -> None:
        """Leave the list of workers."""
        try:
            heartbeat.leave(self._client, self._name)
        except LOST as error:
            logger.debug("could not sign off: %s", error)

    def _read(self, stop_event: threading.Event) -> list[Entry]:
        count = self._settings.writer_batch
        if not self._group_known:
            self._stream.ensure_group()
            self._group_known = True
        if time.monotonic() >= self._take_over_at:
            self._take_over_at = time.monotonic() + _TAKE_OVER_MS / 1000
            if taken := self._stream.take_over(_TAKE_OVER_MS, count):
                logger.warning("took over %d records that another writer had read and not acknowledged", len(taken))
                return taken
        try:
            entries = self._stream.read(count, _BLOCK_MS)
            if entries and len(entries) < count and self._settings.writer_linger_ms:
                # A little patience makes one fsync cover more records.
                stop_event.wait(self._settings.writer_linger_ms / 1000)
                entries += self._stream.read(count - len(entries), 0)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            logger.warning("%s has lost its group: the broker lost its data", EVIDENCE_STREAM)
            self.rewind()
            return []
        return entries

    def _beat_if_due(self) -> None:
        if time.monotonic() - self._beat_at < heartbeat.INTERVAL_S:
            return
        self._beat_at = time.monotonic()
        mine = Heartbeat(
            worker=self._name,
            role="writer",
            host=socket.gethostname(),
            pid=os.getpid(),
            concurrency=1,
            in_flight=0,
            started=self._written,
        )
        heartbeat.beat(self._client, mine)


def _body(entry: Entry) -> Body:
    """The record of an entry, or, where the log could not store it, a dead letter that keeps its bytes."""
    try:
        record = json.loads(entry.record)
        if not isinstance(record, dict):
            raise InputError("not a JSON object")  # noqa: TRY301  told apart from a storable record just below
        return prepare(record)
    except (ValueError, RecursionError, InputError) as error:
        letter = dead.letter(EVIDENCE_STREAM, f"evidence: {error}", entry.record)
        logger.error("an entry of the evidence stream is no record (%s); kept as %s", error, letter.id)  # noqa: TRY400
        return prepare(letter.model_copy(update={"id": _entry_letter_id(entry)}).wire())


def _entry_letter_id(entry: Entry) -> str:
    # From the entry and not random: read twice, it is one letter.
    return f"dead_entry_{entry.entry_id.decode()}"
