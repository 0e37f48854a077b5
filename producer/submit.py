"""Submitting a batch: checked, made durable, then enqueued. Reads downwards; each step may be the last one.

The tasks are held nowhere: they are read one after the other into a temporary file (`producer.draft`), from there into
the manifest, and from there to the queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import redis

from broker import queues
from broker.connection import connect
from broker.signing import Keyring
from evidence.ledger import BatchLedger, Standing
from evidence.reader import EvidenceReader
from producer import manifest, marks
from producer.draft import Draft
from producer.enqueue import Feed, Owed, WhenFull, enqueue
from producer.line import TaskLine
from producer.manifest import Batch, Header
from producer.marks import Priority
from producer.tasks import lines_of
from producer.turn import turn
from replay.compact import TextSet
from replay.corpus import snapshot
from replay.errors import InputError
from replay.settings import Settings

# Told of so many lines together.
_TELL_EVERY = 1000


class Stage(StrEnum):
    """Where a submission is."""

    READING = "reading"
    WRITING = "writing"
    ENQUEUING = "enqueuing"


@dataclass(frozen=True)
class Step:
    """How far a submission is.

    Attributes:
        stage: What is done now.
        done: Tasks that are done with in this stage.
        total: Tasks of this stage; None while the file is being read.
        waiting: Messages in the queue that was last put on.
        is_full: The queue holds as much as it may, and room is waited for.
    """

    stage: Stage
    done: int
    total: int | None = None
    waiting: int = 0
    is_full: bool = False


OnStep = Callable[[Step], object]


class BatchCancelled(InputError):
    """The batch was cancelled, and is not resumed.

    Args:
        batch_id: Which one.
        message: What happened.
        hint: What to do next.
    """

    def __init__(self, batch_id: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.batch_id = batch_id


@dataclass(frozen=True)
class Submission:
    """What a submit did.

    Attributes:
        batch: What was accepted.
        already_done: Runs that have ended in an earlier submission.
        already_queued: Runs that the broker holds from an earlier submission.
        enqueued: Messages put on queues now.
        resumed: Was the batch accepted before?
        left: Runs that are owed and were not enqueued, for want of room or since the batch is paused. The scheduler
            enqueues them when there is room, and resuming when it is paused.
    """

    batch: Batch
    already_done: int
    already_queued: int
    enqueued: int
    resumed: bool
    left: int = 0

    @property
    def batch_id(self) -> str:
        """The batch's name."""
        return self.batch.batch_id

    @property
    def total(self) -> int:
        """Tasks of the batch."""
        return len(self.batch.tasks)


def submit(
    lines: Iterable[TaskLine],
    settings: Settings,
    *,
    source: str,
    nonce: str = "",
    client: redis.Redis | None = None,
    priority: Priority | None = None,
    when_full: WhenFull = WhenFull.LEAVE,
    on_step: OnStep = lambda _: None,
    on_accepted: Callable[[str], object] = lambda _: None,
) -> Submission:
    """Accept tasks and enqueue what of them is owed. The same tasks again are the same batch: it is resumed.

    Args:
        lines: The tasks, with `custom_id`s that differ; iterated once and not held.
        settings: Say where the broker, the corpus, the evidence and the batches are.
        source: Name of the file or command that they come from.
        nonce: Another value makes another batch of the same lines, on purpose.
        client: A connected broker; by default the one of the settings.
        priority: Where in the queue its messages are put, now and later; None: as it was, or normal.
        when_full: What to do when the queue holds `submit_max_waiting` messages: by default the rest is left to the
            scheduler, and this returns at once; `WhenFull.WAIT` may take as long as the batch.
        on_step: Told how far it is.
        on_accepted: Told the batch's id when its manifest is there, before anything is enqueued, and also where the
            batch was cancelled.

    Raises:
        InputError: There is no task, or the batch was cancelled.
        CorpusError: There is no corpus and a task wants retrieval.
        BrokerUnavailable: It does not answer (nothing is accepted), or went away in the middle or is full (says how far
            it came).
        ConfigurationError: The data directory cannot be written, or the key of messages is none.
        UnavailableError: Another process works on the same batch, and does not end.
        AppendFailed: The manifest could not be made durable; nothing is accepted.
        EvidenceDamaged: The manifest of an earlier submission is not what was written.
    """
    keyring = Keyring.of(settings)
    brokers = [client] if client is not None else []

    def ready() -> None:
        if not brokers:
            brokers.append(connect(settings))

    # Dies while it reads: nothing is accepted.
    with drafted(lines, settings, source=source, ready=ready, on_step=on_step) as draft:
        broker = brokers[0]
        batch_id = draft.batch_id(nonce)
        with turn(settings.batches_dir, batch_id):
            resumed = manifest.exists(settings.batches_dir, batch_id)
            if resumed:
                batch = manifest.load(settings.batches_dir, batch_id)
                on_accepted(batch_id)
                if manifest.is_cancelled(settings.batches_dir, batch_id):
                    raise BatchCancelled(
                        batch_id,
                        f"Batch {batch_id} was cancelled.",
                        hint="`--again` submits the same tasks as a new batch.",
                    )
            else:
                batch = _accepted(draft, batch_id, source, settings, on_step)
                on_accepted(batch_id)
            # Enqueuing may take as long as the batch, and the manifest has all of it.
            draft.close()
            if priority is not None:
                marks.set_priority(settings.batches_dir, batch_id, priority)
            # Dies here: the batch is accepted and nothing is enqueued; the same command, or a waiting one, goes on.
            feed = Feed.of(settings, keyring, marks.priority_of(settings.batches_dir, batch_id), when_full)
            return _enqueued(batch, settings, broker, feed, on_step, resumed=resumed)


@contextmanager
def drafted(
    lines: Iterable[TaskLine],
    settings: Settings,
    *,
    source: str,
    ready: Callable[[], object] = lambda: None,
    on_step: OnStep = lambda _: None,
) -> Iterator[Draft]:
    """Read tasks into a draft, which is gone at the end.

    Args:
        lines: The tasks.
        settings: Where the corpus is, and where a large draft may lie.
        source: Name of the file or command that they come from.
        ready: Called when the first task is there, before the others are read: what else may be missing is told then,
            and not after a long file.
        on_step: Told how far it is.

    Raises:
        InputError: There is no task.
        CorpusError: There is no corpus and a task wants retrieval.
    """
    has_corpus = snapshot.current_version(settings.corpus_dir) is not None
    with Draft(settings.batches_dir) as draft:
        for line in lines:
            if not has_corpus and line.options.retrieval:
                snapshot.load(settings.corpus_dir)  # raises, and says how to build one
            if not draft.count:
                ready()
            draft.add(line)
            if draft.count % _TELL_EVERY == 0:
                on_step(Step(Stage.READING, draft.count))
        if not draft.count:
            raise InputError(
                f"There is no task to submit in {source}.", hint='A line is {"custom_id": "…", "task": "…"}.'
            )
        yield draft


def _accepted(draft: Draft, batch_id: str, source: str, settings: Settings, on_step: OnStep) -> Batch:
    """Write the manifest."""
    head = Header(
        batch_id=batch_id,
        created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        source=source,
        count=draft.count,
        corpus_version=snapshot.current_version(settings.corpus_dir),
        tasks_sha256="0" * 64,
    )

    def told() -> Iterator[bytes]:
        for number, line in enumerate(draft.lines(batch_id), start=1):
            if number % _TELL_EVERY == 0:
                on_step(Step(Stage.WRITING, number, draft.count))
            yield line

    return manifest.write_lines(head, told(), settings.batches_dir)


def _enqueued(
    batch: Batch, settings: Settings, broker: redis.Redis, feed: Feed, on_step: OnStep, *, resumed: bool
) -> Submission:
    reader = EvidenceReader(settings.evidence_log)
    # Of a new batch nothing can be there; where its manifest was moved away something may, and doubles cost nothing.
    look = queues.look(broker) if resumed else None
    # In this order: a message moves from a queue to evidence, so what is in neither was in neither at one time.
    standing = BatchLedger(reader, batch.batch_id).standing()
    done = queued = 0
    # Its manifest may have been moved away and made anew; what is in evidence counts all the same.
    if resumed or len(standing.ended):
        done, queued = _found(batch, standing, look)
    due = len(batch.tasks) - done - queued
    place = settings.batches_dir

    def stopped() -> bool:
        return manifest.is_cancelled(place, batch.batch_id) or marks.is_paused(place, batch.batch_id)

    def told(enqueued: int, waiting: int) -> None:
        on_step(Step(Stage.ENQUEUING, enqueued, due, waiting, waiting >= feed.bound))

    # Dies inside: part of it is enqueued; the next one finds that part visible.
    enqueued = enqueue(
        broker,
        owed(batch, standing, look.run_ids if look is not None else TextSet()),
        standing,
        reader,
        total=due,
        feed=replace(feed, stop=stopped, on_step=told),
        looked_at=look.began_at if look is not None else None,
    )
    if manifest.is_cancelled(place, batch.batch_id):
        raise BatchCancelled(
            batch.batch_id,
            f"Batch {batch.batch_id} was cancelled while it was being submitted; {enqueued} tasks were enqueued.",
            hint="All of them end as cancelled. `--again` submits the same tasks as a new batch.",
        )
    return Submission(batch, done, queued, enqueued, resumed, due - enqueued)


def owed(batch: Batch, standing: Standing, visible: TextSet) -> Iterator[Owed]:
    """The runs of a batch that have no end and are not in the broker, in their order."""
    for run_id, line in lines_of(batch.tasks):
        if run_id not in standing.ended and run_id not in visible:
            yield run_id, line


def _found(batch: Batch, standing: Standing, look: queues.Look | None) -> tuple[int, int]:
    """How many runs of a batch have ended, and how many of the others the broker holds."""
    done = queued = 0
    for run_id, _ in lines_of(batch.tasks):
        if run_id in standing.ended:
            done += 1
        elif look is not None and run_id in look.run_ids:
            queued += 1
    return done, queued
