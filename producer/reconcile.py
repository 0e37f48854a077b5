"""Manifest minus evidence is what is owed; what is owed and lies nowhere in the broker is enqueued again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
from redis.exceptions import RedisError

from broker import cancelled, heartbeat, queues
from evidence.reader import EvidenceReader
from producer import manifest
from producer.enqueue import enqueue
from producer.manifest import Batch
from producer.progress import Progress, Watch
from replay.errors import BrokerUnavailable

LOOK_APART_S = 10.0

OnProgress = Callable[[Progress], None]
OnTrouble = Callable[[str | None], None]


class Reconciler:
    """Finds what a broker lost, and enqueues it again.

    One look may miss a message that a worker hands back at that moment, so a run has to be missing in two looks that
    are `LOOK_APART_S` apart. Enqueuing what was not lost after all is harmless: evidence takes each attempt once.

    Args:
        batch: What was accepted.
        reader: Its evidence.
        client: The broker.
        batches_dir: Where the batch's mark of cancellation lies.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        batch: Batch,
        reader: EvidenceReader,
        client: redis.Redis,
        batches_dir: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._batch = batch
        self._reader = reader
        self._client = client
        self._batches_dir = batches_dir
        self._clock = clock
        self._missing_since: dict[str, float] = {}

    def look(self) -> int:
        """Look once; return how many runs were enqueued again.

        Raises:
            BrokerUnavailable: It does not answer.
            EvidenceDamaged: The log cannot be read.
        """
        batch_id = self._batch.batch_id
        try:
            if manifest.is_cancelled(self._batches_dir, batch_id):
                cancelled.cancel(self._client, batch_id)
            # The broker first: a message moves from there into evidence, and would be seen in neither the other way.
            visible = queues.visible_run_ids(self._client)
        except RedisError as error:
            raise BrokerUnavailable(
                f"the broker does not answer: {error}", hint="Start it with `replay up`."
            ) from error
        now = self._clock()
        states = self._reader.batch_states(batch_id)
        owed = [task for task in self._batch.tasks if not (task.run_id in states and states[task.run_id].terminal)]
        missing = {task.run_id: task for task in owed if task.run_id not in visible}
        self._missing_since = {run_id: self._missing_since.get(run_id, now) for run_id in missing}
        lost = [task for run_id, task in missing.items() if now - self._missing_since[run_id] >= LOOK_APART_S]
        if not lost:
            return 0
        count = enqueue(self._client, lost, states, self._reader)
        for task in lost:
            del self._missing_since[task.run_id]
        return count


def ignore(trouble: str | None) -> None:
    """Tell nobody."""
    del trouble


def wait(
    batch: Batch,
    reader: EvidenceReader,
    client: redis.Redis,
    batches_dir: Path,
    *,
    on_progress: OnProgress,
    on_trouble: OnTrouble = ignore,
    stop: threading.Event | None = None,
    poll_s: float = 0.5,
) -> Progress:
    """Watch a batch until all its tasks have ended, enqueuing again what the broker loses on the way.

    A broker that does not answer, or missing workers, are told and waited for: the batch ends once they are back.

    Args:
        batch: What to wait for.
        reader: Its evidence.
        client: The broker.
        batches_dir: Where the batches lie.
        on_progress: Gets each look.
        on_trouble: Gets what hinders the batch each time that this changes; None once nothing does any more.
        stop: Set it, and the present progress is returned at the next look.
        poll_s: Seconds between two looks; more where a look takes long.

    Raises:
        EvidenceDamaged: The log cannot be read.
    """
    ended = stop if stop is not None else threading.Event()
    watch = Watch(batch, reader, client)
    reconciler = Reconciler(batch, reader, client, batches_dir)
    told: str | None = None
    reconcile_at = 0.0
    while True:
        began = time.monotonic()
        progress = watch.look()
        on_progress(progress)
        if progress.finished or ended.is_set():
            return progress
        trouble = hindrance(progress, client)
        if began >= reconcile_at:
            try:
                reconciler.look()
            except BrokerUnavailable as error:
                trouble = error.message
            reconcile_at = began + LOOK_APART_S / 2
        if trouble != told:
            on_trouble(trouble)
            told = trouble
        ended.wait(max(poll_s, 5 * (time.monotonic() - began)))


def hindrance(progress: Progress, client: redis.Redis) -> str | None:
    """Which worker is missing for what is left of a batch, in words; None when nothing is."""
    if not progress.broker_answers:
        return "the broker does not answer; `replay up` starts it"
    try:
        roles = {worker.role for worker in heartbeat.alive(client)}
    except RedisError:
        return "the broker does not answer; `replay up` starts it"
    needed = ["writer"]
    if progress.queued:
        needed.append("local")
    if progress.escalated_waiting:
        needed.append("escalation")
    missing = [role for role in needed if role not in roles]
    if not missing:
        return None
    commands = ", ".join(f"`replay worker {role}`" for role in missing)
    return f"no {' and no '.join(missing)} worker is alive; start the stack with `replay up`, or {commands}"
