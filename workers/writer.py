"""The evidence writer: one process that reads the stream, appends to the log, and only then acknowledges.

Any number of writers may be started; one of them writes, the others stand by (`takeover`).
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
import time

import redis
from redis.exceptions import ResponseError

from broker import evidence_stream, heartbeat
from broker.connection import LOST, connect
from broker.evidence_stream import Entry, EvidenceStream
from broker.heartbeat import Heartbeat
from broker.meters import Meters
from broker.signing import Keyring
from evidence.format import Body, prepare
from evidence.received import receive
from replay import logs, tracing
from replay.errors import EvidenceError, InputError
from replay.settings import Settings
from replay.topology import EVIDENCE_STREAM
from workers import tally
from workers.takeover import LeaseLost, Tenure, stand_by

logger = logging.getLogger(__name__)

_BLOCK_MS = 1000
# A writer that has not acknowledged for this long is dead or stuck: its entries are taken over, and the log drops what
# it had appended already.
_TAKE_OVER_MS = 60_000
_LONGEST_PAUSE_S = 5.0


def run_writer(settings: Settings, stop_event: threading.Event) -> None:
    """Write evidence until told to stop, or stand by while another writer does; the batch in hand is finished.

    A lost broker is waited for. What was read and not acknowledged is read again; the log finds what it has already.

    Raises:
        EvidenceDamaged: The log is not what was written.
        AppendFailed: The disk said no. Nothing of the batch was acknowledged; the process must stop.
        BrokerUnavailable: The broker does not answer at the start.
    """
    client = connect(settings, patience=0)
    pulse = Pulse(client)
    try:
        while (tenure := stand_by(settings, client, pulse.beat_if_due, stop_event)) is not None:
            try:
                _write(settings, client, tenure, pulse, stop_event)
            except LeaseLost:
                logger.warning("the lease is lost: another writer may have the log, so this one lets it go")
            finally:
                tenure.end()
    except EvidenceError as error:
        logger.critical("the writer stops: %s; what was not acknowledged comes back. %s", error.message, error.hint)
        raise
    finally:
        pulse.sign_off()


def _write(settings: Settings, client: redis.Redis, tenure: Tenure, pulse: Pulse, stop_event: threading.Event) -> None:
    writer = Writer(settings, client, tenure, pulse)
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


def serve(settings: Settings, *, log_level: str = "INFO") -> None:
    """Run the writer as a process: SIGTERM and SIGINT finish the batch and return.

    Raises:
        ReplayError: As `run_writer`.
    """
    logs.configure(settings, "writer", log_level)
    collect_seldom()
    stop_event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_event.set())
    with tracing.traced(settings, "writer"), logs.bound(queue=EVIDENCE_STREAM):
        run_writer(settings, stop_event)


def collect_seldom() -> None:
    """Let the garbage collector of this process look seldom, and never at what was there at the start.

    Records are trees without cycles, which end with their last reference. The collector only walks them, again and
    again, and that is a fifth of a writer's time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


class Pulse:
    """The sign of life of this process, whether it writes or stands by.

    Args:
        client: The broker.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.written = 0
        self.meters = Meters()
        self._client = client
        self._name = f"writer-{os.getpid()}@{socket.gethostname()}"
        self._beat_at = float("-inf")
        self._said = ""

    def beat_if_due(self, state: str = "") -> None:
        """Beat every two seconds, and at once where the state is another; `state` is empty for who writes."""
        if time.monotonic() - self._beat_at < heartbeat.INTERVAL_S and state == self._said:
            return
        self._beat_at, self._said = time.monotonic(), state
        mine = Heartbeat(
            worker=self._name,
            role="writer",
            host=socket.gethostname(),
            pid=os.getpid(),
            concurrency=1,
            in_flight=0,
            started=self.written,
            state=state,
        )
        try:
            heartbeat.beat(self._client, mine)
        except ResponseError as error:
            # A server without memory takes no heartbeat; the writer is what makes room in it.
            logger.debug("no heartbeat: %s", error)
        self.meters.flush(self._client)

    def sign_off(self) -> None:
        """Leave the list of workers."""
        self.meters.flush(self._client)
        try:
            heartbeat.leave(self._client, self._name)
        except LOST as error:
            logger.debug("could not sign off: %s", error)


class Writer:
    """One writer at work.

    Args:
        settings: Batch size and linger.
        client: The broker, without retries: this loop is the retry.
        tenure: The evidence log, locked, and the lease.
        pulse: The sign of life of this process.
    """

    def __init__(self, settings: Settings, client: redis.Redis, tenure: Tenure, pulse: Pulse) -> None:
        self._settings = settings
        self._log = tenure.log
        self._lease = tenure.lease
        self._pulse = pulse
        # A name for each tenure: what one that is frozen has read is never mistaken for what this one has.
        self._stream = EvidenceStream(client, f"{socket.gethostname()}:{tenure.lease.epoch}", Keyring.of(settings))
        self._block_ms = min(_BLOCK_MS, int(settings.writer_lease_s * 1000 / 3))
        self._take_over_at = float("-inf")
        self._group_known = False

    def step(self, stop_event: threading.Event) -> None:
        """Read one batch, append it, acknowledge it.

        Raises:
            LeaseLost: This writer may not append any more.
        """
        if not self._lease.renew_if_due():
            raise LeaseLost
        self._pulse.beat_if_due()
        entries = self._read(stop_event)
        bodies = [_body(entry) for entry in entries if entry.record]
        # This process, or its whole machine, may have stood still since it read: then another one has the lease.
        if not self._lease.holds():
            raise LeaseLost
        if not entries:
            self._log.checkpoint_if_due()
            return
        # Dies before or in this: nothing is acknowledged, all of it is read again.
        began, began_ns = time.monotonic(), time.time_ns()
        placed = self._log.append_prepared(bodies)
        took_s = time.monotonic() - began
        # Dies here: it is in the log and still pending; it is read again, and the log finds each record by its id.
        self._stream.acknowledge([entry.entry_id for entry in entries])
        self._pulse.written += len(bodies)
        tally.count(self._pulse.meters, bodies, placed, took_s=took_s, sync_s=self._log.sync_s)
        if tracing.is_on():
            ended_ns = time.time_ns()
            for entry in entries:
                tracing.past("append evidence", entry.traceparent, began_ns, ended_ns, replay__batch=len(bodies))

    def rewind(self) -> None:
        """Read again what was not acknowledged, and look after the group: the broker may have lost its data."""
        self._group_known = False
        self._stream.rewind()

    def _read(self, stop_event: threading.Event) -> list[Entry]:
        count = self._settings.writer_batch
        if not self._group_known:
            self._stream.ensure_group()
            self._group_known = True
        if time.monotonic() >= self._take_over_at:
            # At the beginning whatever others hold: with this lease, nobody else appends. Later only what lies for
            # long: read by one that was frozen before it could find out.
            idle_ms = 0 if self._take_over_at < 0 else _TAKE_OVER_MS
            self._take_over_at = time.monotonic() + _TAKE_OVER_MS / 1000
            if taken := self._stream.inherit(idle_ms):
                logger.warning("took over %d records that another writer had read and not acknowledged", taken)
        try:
            entries = self._stream.read(count, self._block_ms)
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


def _body(entry: Entry) -> Body:
    """The record of an entry, or, where the log could not store it, a dead letter that keeps its bytes."""
    try:
        return receive(entry.record)
    except (ValueError, RecursionError, InputError) as error:
        letter = evidence_stream.letter_of(entry.entry_id, f"evidence: {error}", entry.record)
        logger.error("an entry of the evidence stream is no record (%s); kept as %s", error, letter.id)  # noqa: TRY400
        return prepare(letter.wire())
