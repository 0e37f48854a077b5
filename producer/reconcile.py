"""Manifest minus evidence is what is owed; what is owed and lies nowhere in the broker is enqueued again."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import redis
from redis.exceptions import RedisError

from broker import cancelled, heartbeat, paused, queues
from broker.paused import Wish
from broker.signing import Keyring
from evidence.ledger import BatchLedger, Standing
from evidence.reader import EvidenceReader
from producer import letters, manifest, marks, repeats
from producer.enqueue import Feed, WhenFull, enqueue
from producer.manifest import Batch
from producer.progress import Progress, Watch
from producer.tasks import lines_of, run_ids_of
from producer.turn import PATIENCE_S, turn
from replay.compact import TextSet
from replay.errors import BrokerUnavailable, UnavailableError
from replay.settings import Settings

EVERY_S = 5.0

_PAUSED = "the batch is paused; `replay batch resume` lets it go on"

OnProgress = Callable[[Progress], None]
OnTrouble = Callable[[str | None], None]


@dataclass(frozen=True)
class Account:
    """Where the runs of a batch are. Each is in exactly one of `ended` … `missing`.

    Attributes:
        batch_id: The batch.
        accepted: Its runs.
        ended: With terminal evidence.
        in_broker: Waiting, in flight, or as evidence on the way to the log.
        dead: Held back: their messages died `max_starts` times; `replay dead` shows and requeues them.
        missing: Owed, and nowhere.
        paused: The batch is paused: what is missing stays so until somebody resumes it.
    """

    batch_id: str
    accepted: int
    ended: int
    in_broker: int
    dead: int
    missing: int
    paused: bool = False

    @property
    def owed(self) -> int:
        """Runs without an end."""
        return self.accepted - self.ended


@dataclass(frozen=True)
class Reconciled:
    """The account of a batch, and how many of its missing runs were enqueued again."""

    account: Account
    enqueued: int


def account(batch: Batch, standing: Standing, visible: TextSet, held: Collection[str]) -> Account:
    """Count where the runs of a batch are.

    Args:
        batch: What was accepted.
        standing: Which runs have evidence, read after the broker.
        visible: Runs that the broker holds.
        held: Runs that died too often to be enqueued again unasked.
    """
    ended = in_broker = dead = missing = 0
    for run_id in run_ids_of(batch.tasks):
        if run_id in standing.ended:
            ended += 1
        elif run_id in visible:
            in_broker += 1
        elif run_id in held:
            dead += 1
        else:
            missing += 1
    return Account(batch.batch_id, len(batch.tasks), ended, in_broker, dead, missing)


def ended(batch_id: str, settings: Settings, reader: EvidenceReader) -> int:
    """How many tasks of a batch have an end that stands, without reading the tasks.

    Raises:
        EvidenceDamaged: The log or the file of repetitions cannot be read.
    """
    superseded = repeats.superseded(manifest.folder(settings.batches_dir, batch_id))
    return BatchLedger(reader, batch_id, superseded).tally().done


def owes(batch_id: str, settings: Settings, reader: EvidenceReader) -> bool:
    """Does a batch have runs without an end?

    Raises:
        EvidenceDamaged: The manifest or the log cannot be read.
    """
    return ended(batch_id, settings, reader) < manifest.header(settings.batches_dir, batch_id).count


def examine(batch_id: str, settings: Settings, client: redis.Redis, look: queues.Look | None = None) -> Account:
    """Say where the runs of a batch are; changes nothing.

    Args:
        batch_id: Which one.
        settings: Where batches and evidence lie.
        client: The broker.
        look: A look at the broker that was made already; by default one is made now.

    Raises:
        BrokerUnavailable: It does not answer.
        UnavailableError: Its messages never came to rest.
        EvidenceDamaged: The log or the manifest cannot be read.
    """
    return _examined(batch_id, settings, client, look).account


def reconcile(
    batch_id: str, settings: Settings, client: redis.Redis, keyring: Keyring, *, patience_s: float = PATIENCE_S
) -> Reconciled:
    """Enqueue exactly what a batch owes and the broker does not hold, as much of it as its queues may hold.

    Of a batch that is paused nothing is enqueued. One look is enough to know what is missing (`queues.look`), and the
    batch is held meanwhile, so what another process enqueues is seen. A message that is there twice all the same, by a
    producer on another machine, costs nothing: a worker drops it (`broker.claims.Claims.begin`).

    Args:
        batch_id: Which one.
        settings: Where batches and evidence lie.
        client: The broker.
        keyring: Signs the messages.
        patience_s: How long to wait for another process that works on the batch.

    Raises:
        BrokerUnavailable: It does not answer.
        UnavailableError: Another process works on the batch, or the broker's messages never came to rest.
        EvidenceDamaged: The log or the manifest cannot be read.
    """
    with turn(settings.batches_dir, batch_id, patience_s=patience_s):
        tell_wishes(batch_id, settings, client)
        found = _examined(batch_id, settings, client, None)
        if not found.account.missing or found.account.paused:
            return Reconciled(found.account, 0)
        count = enqueue(
            client,
            (
                (run_id, line)
                for run_id, line in lines_of(found.batch.tasks)
                if not (run_id in found.standing.ended or run_id in found.look.run_ids or run_id in found.held)
            ),
            found.standing,
            EvidenceReader(settings.evidence_log),
            total=found.account.missing,
            feed=Feed.of(settings, keyring, marks.priority_of(settings.batches_dir, batch_id), WhenFull.LEAVE),
            looked_at=found.look.began_at,
        )
        return Reconciled(found.account, count)


@dataclass(frozen=True)
class _Examined:
    """What is known of a batch and of the broker after a look."""

    account: Account
    batch: Batch
    look: queues.Look
    standing: Standing
    held: Collection[str]


def _examined(batch_id: str, settings: Settings, client: redis.Redis, look: queues.Look | None) -> _Examined:
    batch = manifest.load(settings.batches_dir, batch_id)
    is_paused = marks.is_paused(settings.batches_dir, batch_id)
    held: Collection[str] = ()
    try:
        # The broker first: a message moves from there into evidence, and would be seen in neither the other way.
        look = look or queues.look(client)
        standing = BatchLedger(EvidenceReader(settings.evidence_log), batch_id).standing()
        found = account(batch, standing, look.run_ids, held)
        if found.missing:
            # The dead queue is read only where it matters: each of its letters may have 64 KiB.
            held = _held_back(client, settings.max_starts)
            found = account(batch, standing, look.run_ids, held) if held else found
    except RedisError as error:
        raise _no_answer(error) from error
    return _Examined(replace(found, paused=is_paused), batch, look, standing, held)


def _held_back(client: redis.Redis, deaths: int) -> set[str]:
    """Runs of which so many letters lie on the dead queue: enqueued without end, they would die without end."""
    counts = Counter(letters.run_id_of(letter) for _, letter in letters.on_the_queue(client))
    return {run_id for run_id, count in counts.items() if run_id is not None and count >= deaths}


def tell_cancellation(batch_id: str, settings: Settings, client: redis.Redis) -> None:
    """Tell the broker that a batch is cancelled, if it is: it may have lost that, or never learned it.

    Raises:
        BrokerUnavailable: It does not answer.
    """
    try:
        if manifest.is_cancelled(settings.batches_dir, batch_id):
            cancelled.cancel(client, batch_id)
    except RedisError as error:
        raise _no_answer(error) from error


def tell_wishes(batch_id: str, settings: Settings, client: redis.Redis) -> None:
    """Let the marks of a batch and what the broker says of it agree. Only for who holds the batch.

    A mark of which the broker knows nothing is told to it: it may have lost it. What somebody said to the broker alone,
    as the dashboard does, becomes a mark.

    Raises:
        BrokerUnavailable: It does not answer.
        AppendFailed: A mark could not be made durable.
    """
    place = settings.batches_dir
    tell_cancellation(batch_id, settings, client)
    try:
        match paused.wish(client, batch_id):
            case Wish.CANCELLED if not manifest.is_cancelled(place, batch_id):
                manifest.mark_cancelled(place, batch_id)
            case Wish.PAUSED if not marks.is_paused(place, batch_id):
                marks.pause(place, batch_id)
            case Wish.RESUMED:
                # Dies between the two: it is done once more. Paused between them: the next look makes the mark again.
                marks.resume(place, batch_id)
                paused.forget_resumed(client, batch_id)
            case Wish.NOTHING if marks.is_paused(place, batch_id):
                paused.pause(client, batch_id)
            case _:
                pass
    except RedisError as error:
        raise _no_answer(error) from error


def forget_wishes(batch_id: str, settings: Settings, client: redis.Redis) -> None:
    """Take what was said of a batch that has ended out of the broker's memory; the marks stay.

    Raises:
        RedisError: It does not answer.
    """
    if manifest.is_cancelled(settings.batches_dir, batch_id):
        cancelled.restore(client, batch_id)
    if marks.is_paused(settings.batches_dir, batch_id):
        paused.forget(client, batch_id)


def _no_answer(error: RedisError) -> BrokerUnavailable:
    return BrokerUnavailable(f"the broker does not answer: {error}", hint="Start it with `replay up`.")


def ignore(trouble: str | None) -> None:
    """Tell nobody."""
    del trouble


def wait(
    batch: Batch,
    settings: Settings,
    client: redis.Redis,
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
        settings: Where batches and evidence lie, and with which key messages are signed.
        client: The broker.
        on_progress: Gets each look.
        on_trouble: Gets what hinders the batch each time that this changes; None once nothing does any more.
        stop: Set it, and the present progress is returned at the next look.
        poll_s: Seconds between two looks; more where a look takes long.

    Raises:
        EvidenceDamaged: The log cannot be read.
        ConfigurationError: The key of messages is none.
    """
    ended = stop if stop is not None else threading.Event()
    watch = Watch(batch, EvidenceReader(settings.evidence_log), client)
    keyring = Keyring.of(settings)
    told: str | None = None
    reconcile_at = 0.0
    place = manifest.folder(settings.batches_dir, batch.batch_id)
    version: int | None = None
    while True:
        began = time.monotonic()
        # Runs that are made again meanwhile: both ends of a task would count, and the batch never be at its end.
        if (now := repeats.version(place)) != version:
            watch.leave_out(repeats.superseded(place))
            version = now
        progress = watch.look()
        on_progress(progress)
        if progress.finished or ended.is_set():
            return progress
        is_paused = marks.is_paused(settings.batches_dir, batch.batch_id)
        trouble = _PAUSED if is_paused else hindrance(progress, client)
        if began >= reconcile_at:
            trouble = _enqueue_missing(batch.batch_id, settings, client, keyring) or trouble
            # A batch that takes long to look through is looked through less often.
            reconcile_at = began + max(EVERY_S, 10 * (time.monotonic() - began))
        if trouble != told:
            on_trouble(trouble)
            told = trouble
        ended.wait(max(poll_s, 5 * (time.monotonic() - began)))


def _enqueue_missing(batch_id: str, settings: Settings, client: redis.Redis, keyring: Keyring) -> str | None:
    """Reconcile without waiting for anybody; returns what is in the way, if that is worth telling."""
    try:
        if examine(batch_id, settings, client).missing:
            reconcile(batch_id, settings, client, keyring, patience_s=0)
    except BrokerUnavailable as error:
        return error.message
    except UnavailableError:
        # Another process is at it, or messages do not come to rest: the next round sees.
        return None
    return None


def hindrance(progress: Progress, client: redis.Redis) -> str | None:
    """Which worker is missing for what is left of a batch, in words; None when nothing is."""
    if not progress.broker_answers:
        return "the broker does not answer; `replay up` starts it"
    try:
        roles = {role for worker in heartbeat.alive(client) for role in worker.role.split("+")}
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
