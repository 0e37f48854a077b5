"""The scheduler: a small process that sees to it that nothing which was accepted is forgotten, also when nobody waits.

At an interval it submits the recurring replays that are due, reconciles every batch that owes anything, tells the
broker of cancellations, and sweeps the queues whose workers are all gone. One scheduler works, further ones stand by.
It imports no Celery.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.exceptions import RedisError

from broker import heartbeat, meters, queues
from broker.claims import Claims
from broker.connection import connect
from broker.heartbeat import Heartbeat
from broker.limits.recount import recount
from broker.meters import Meters
from broker.signing import Keyring
from broker.singleton import Singleton
from evidence import durable
from evidence.reader import EvidenceReader
from producer import manifest, marks, reconcile, repeats
from producer.schedules.firing import Firing
from producer.turn import turn
from replay import identity, logs, tracing
from replay.errors import (
    AppendFailed,
    BrokerUnavailable,
    ConfigurationError,
    EvidenceDamaged,
    InputError,
    UnavailableError,
)
from replay.settings import Settings
from replay.topology import Queue

logger = logging.getLogger(__name__)

ROLE = "scheduler"

LEASE_S = 10.0
_TICK_S = 1.0
_LONGEST_PAUSE_S = 5.0
# A round takes at most this share of the time.
_SHARE = 0.05
# Batches that have ended are looked at again this often: an evidence log that was put back from a backup owes again.
_REMEMBER_S = 3600.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_ROLE_OF = {Queue.LOCAL: "local", Queue.ESCALATION: "escalation"}


@dataclass(frozen=True)
class Round:
    """What one round did.

    Attributes:
        owing: Batches that owe something.
        enqueued: Runs that were enqueued again.
        swept: Messages that were put back on a queue without a worker.
        fired: Recurring replays that were due and are submitted.
    """

    owing: int
    enqueued: int
    swept: int
    fired: int = 0


class Rounds:
    """The rounds of one scheduler. What has ended is remembered, so a round costs what is owed and not what ever was.

    Args:
        settings: Where batches, evidence and broker are.
        client: The broker, without retries: the loop is the retry.
        keyring: Signs what is enqueued.
        alive: Called between two batches, to give a sign of life.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        keyring: Keyring,
        *,
        alive: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client = client
        self._keyring = keyring
        self._alive = alive
        self._clock = clock
        self._claims = Claims(client, keyring)
        self._reader = EvidenceReader(settings.evidence_log)
        self._ended: dict[str, int] = {}
        self._forget_at = clock() + _REMEMBER_S
        self._told: set[str] = set()
        self._firing = Firing(settings, client, alive=alive)

    def make(self) -> Round:
        """Make one round.

        Raises:
            BrokerUnavailable: It does not answer.
            RedisError: The same, met elsewhere.
        """
        # First: a broker that came back without its data must not spend again what the evidence knows to be spent.
        self._recount()
        swept = self._sweep()
        fired = self._firing.fire()
        owing = self._owing()
        enqueued = 0
        look: queues.Look | None = None
        for batch_id in owing:
            self._alive()
            try:
                self._agree(batch_id)
                if marks.is_paused(self._settings.batches_dir, batch_id):
                    continue
                look = look or queues.look(self._client)
                # The one look serves every batch; what it finds missing is looked at again while the batch is held.
                if reconcile.examine(batch_id, self._settings, self._client, look).missing:
                    enqueued += self._reconcile(batch_id)
            except (AppendFailed, ConfigurationError, EvidenceDamaged, InputError) as error:
                self._tell_once(batch_id, error.message)  # one batch that cannot be held stops no other
            except BrokerUnavailable:
                raise
            except UnavailableError as error:
                with logs.bound(batch_id=batch_id):
                    logger.info("%s: not looked at this time: %s", batch_id, error.message)
        return Round(len(owing), enqueued, swept, fired)

    def _agree(self, batch_id: str) -> None:
        reconcile.tell_cancellation(batch_id, self._settings, self._client)
        try:
            with turn(self._settings.batches_dir, batch_id, patience_s=0):
                reconcile.tell_wishes(batch_id, self._settings, self._client)
        except BrokerUnavailable:
            raise
        except UnavailableError:
            return  # somebody works on it: the next round sees

    def _reconcile(self, batch_id: str) -> int:
        done = reconcile.reconcile(batch_id, self._settings, self._client, self._keyring, patience_s=0)
        if done.enqueued:
            with logs.bound(batch_id=batch_id):
                logger.warning(
                    "%s: %d runs were owed and not in the broker; they are enqueued", batch_id, done.enqueued
                )
        return done.enqueued

    def _owing(self) -> list[str]:
        if self._clock() >= self._forget_at:
            self._ended.clear()
            self._forget_at = self._clock() + _REMEMBER_S
        owing = []
        for batch_id in manifest.known(self._settings.batches_dir):
            # Made again after its end, a run is owed anew.
            version = repeats.version(manifest.folder(self._settings.batches_dir, batch_id))
            if self._ended.get(batch_id) == version:
                continue
            self._alive()
            try:
                if reconcile.owes(batch_id, self._settings, self._reader):
                    owing.append(batch_id)
                else:
                    self._ended[batch_id] = version
                    # Told again if it ever owes anything; until then the broker need not remember.
                    reconcile.forget_wishes(batch_id, self._settings, self._client)
            except (EvidenceDamaged, InputError) as error:
                self._tell_once(batch_id, error.message)
        return owing

    def _sweep(self) -> int:
        # Where a worker lives it sweeps by itself, and by its own visibility timeout.
        alive = {role for beat in heartbeat.alive(self._client) for role in beat.role.split("+")}
        swept = 0
        for queue in queues.WORK:
            if _ROLE_OF[queue] in alive:
                continue
            found = self._claims.sweep(queue, self._settings.visibility_timeout_s)
            if found.leases or found.claims:
                with logs.bound(queue=queue.value):
                    logger.warning("%s: no worker lives; %d messages are back", queue, found.leases + found.claims)
            swept += found.leases + found.claims
        return swept

    def _recount(self) -> None:
        try:
            recount(self._client, self._settings)
        except (ConfigurationError, EvidenceDamaged) as error:
            self._tell_once("budget", error.message)

    def _tell_once(self, batch_id: str, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            with logs.bound(batch_id=batch_id):
                logger.error("%s: %s", batch_id, message)


def serve(settings: Settings, *, log_level: str = "INFO") -> None:
    """Run the scheduler as a process until SIGTERM or SIGINT.

    Raises:
        BrokerUnavailable: The broker does not answer at the start.
        ConfigurationError: The key of messages is none.
    """
    logs.configure(settings, ROLE, log_level)
    tracing.install(settings, ROLE)
    stop_event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_event.set())
    run_scheduler(settings, stop_event)


def lease_name(settings: Settings) -> str:
    """What one scheduler at a time works on: these very batches, seen from whichever container of this machine.

    A scheduler that sees other batches, or none, must not keep the one of these from its work. Where hosts share them
    over a network each host has a name of its own, and their schedulers work side by side, which does no harm.

    Raises:
        AppendFailed: The folder of the batches cannot be made.
    """
    durable.make_folders(settings.batches_dir)
    there = settings.batches_dir.stat()
    try:
        machine = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        machine = socket.gethostname()
    return f"replay.scheduler.{identity.digest([machine, there.st_dev, there.st_ino])[7:23]}"


def run_scheduler(settings: Settings, stop_event: threading.Event) -> None:
    """Make rounds until told to stop, or stand by while another scheduler does. A lost broker is waited for.

    Raises:
        BrokerUnavailable: The broker does not answer at the start.
        ConfigurationError: The key of messages is none.
        AppendFailed: The folder of the batches cannot be made.
    """
    keyring = Keyring.of(settings)
    client = connect(settings, patience=0)
    watch = _Watch(client, lease_name(settings))
    rounds = Rounds(settings, client, keyring, alive=watch.works)
    next_at = float("-inf")
    pause_s = _TICK_S
    while not stop_event.is_set():
        try:
            if watch.works() and time.monotonic() >= next_at:
                began = time.monotonic()
                done = rounds.make()
                watch.enqueued += done.enqueued
                took_s = time.monotonic() - began
                watch.count(done, took_s)
                next_at = time.monotonic() + max(settings.reconcile_interval_s, took_s / _SHARE)
            pause_s = _TICK_S
        except (RedisError, BrokerUnavailable) as error:
            logger.warning("the broker is gone (%s); trying again in %.1f s", error, pause_s)
            # It may come back without its data: then everything is owed, and nobody should wait for the next round.
            next_at = float("-inf")
            stop_event.wait(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        stop_event.wait(_TICK_S)
    with suppress(RedisError):
        watch.sign_off()


class _Watch:
    """The lease and the sign of life of one scheduler."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.enqueued = 0
        self._meters = Meters()
        self._client = client
        self._lease = Singleton(client, name, LEASE_S)
        self._name = f"scheduler-{os.getpid()}@{socket.gethostname()}"
        self._due_at = float("-inf")
        self._holds = False

    def works(self) -> bool:
        """Renew what is due; False where another scheduler is at work."""
        if time.monotonic() < self._due_at:
            return self._holds
        self._due_at = time.monotonic() + heartbeat.INTERVAL_S
        holds = self._lease.hold()
        if holds != self._holds:
            logger.info("this scheduler is at work" if holds else "another scheduler has taken over")
        self._holds = holds
        mine = Heartbeat(
            worker=self._name,
            role=ROLE,
            host=socket.gethostname(),
            pid=os.getpid(),
            concurrency=1,
            in_flight=0,
            started=self.enqueued,
            state="" if holds else "standing by: another scheduler is at work",
        )
        heartbeat.beat(self._client, mine)
        self._meters.flush(self._client)
        return holds

    def count(self, done: Round, took_s: float) -> None:
        """Count a round; the next sign of life tells the broker."""
        self._meters.count(meters.ROUNDS)
        self._meters.observe(meters.ROUND_TIME, took_s)
        self._meters.count(meters.ENQUEUED, by=done.enqueued)
        self._meters.count(meters.SWEPT, by=done.swept)

    def sign_off(self) -> None:
        """Let the next scheduler in, and leave the list of workers."""
        self._meters.flush(self._client)
        self._lease.release()
        heartbeat.leave(self._client, self._name)
