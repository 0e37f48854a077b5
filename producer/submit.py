"""Submitting a batch: checked, made durable, then enqueued. Reads downwards; each step may be the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import redis

from broker import queues
from broker.connection import connect
from broker.signing import Keyring
from evidence.reader import EvidenceReader
from producer import manifest
from producer.enqueue import enqueue
from producer.line import TaskLine
from producer.manifest import Batch
from producer.turn import turn
from replay.corpus import snapshot
from replay.errors import InputError
from replay.settings import Settings


@dataclass(frozen=True)
class Submission:
    """What a submit did.

    Attributes:
        batch: What was accepted.
        already_done: Runs that have ended in an earlier submission.
        already_queued: Runs that the broker holds from an earlier submission.
        enqueued: Messages put on queues now.
        resumed: Was the batch accepted before?
    """

    batch: Batch
    already_done: int
    already_queued: int
    enqueued: int
    resumed: bool

    @property
    def batch_id(self) -> str:
        """The batch's name."""
        return self.batch.batch_id

    @property
    def total(self) -> int:
        """Tasks of the batch."""
        return len(self.batch.tasks)


def submit(
    lines: Sequence[TaskLine],
    settings: Settings,
    *,
    source: str,
    nonce: str = "",
    client: redis.Redis | None = None,
) -> Submission:
    """Accept tasks and enqueue what of them is owed. The same tasks again are the same batch: it is resumed.

    Args:
        lines: The tasks, with `custom_id`s that differ.
        settings: Say where the broker, the corpus, the evidence and the batches are.
        source: Name of the file or command that they come from.
        nonce: Another value makes another batch of the same lines, on purpose.
        client: A connected broker; by default the one of the settings.

    Raises:
        InputError: There is no task, or the batch was cancelled.
        CorpusError: There is no corpus and a task wants retrieval.
        BrokerUnavailable: It does not answer (nothing is accepted), or went away in the middle (says how far it came).
        ConfigurationError: The data directory cannot be written, or the key of messages is none.
        UnavailableError: Another process works on the same batch, and does not end.
        AppendFailed: The manifest could not be made durable; nothing is accepted.
        EvidenceDamaged: The manifest of an earlier submission is not what was written.
    """
    if not lines:
        raise InputError(f"There is no task to submit in {source}.", hint='A line is {"custom_id": "…", "task": "…"}.')
    version = snapshot.current_version(settings.corpus_dir)
    if version is None and any(line.options.retrieval for line in lines):
        snapshot.load(settings.corpus_dir)  # raises, and says how to build one
    broker = client if client is not None else connect(settings)
    created_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    batch = manifest.plan(lines, source=source, corpus_version=version, created_at=created_at, nonce=nonce)

    keyring = Keyring.of(settings)

    with turn(settings.batches_dir, batch.batch_id):
        resumed = manifest.exists(settings.batches_dir, batch.batch_id)
        if resumed:
            batch = manifest.load(settings.batches_dir, batch.batch_id)
            if manifest.is_cancelled(settings.batches_dir, batch.batch_id):
                raise InputError(
                    f"Batch {batch.batch_id} was cancelled.", hint="`--again` submits the same tasks as a new batch."
                )
        else:
            manifest.write(batch, settings.batches_dir)
        # Dies here: the batch is accepted and nothing is enqueued; the same command, or a waiting one, goes on.
        reader = EvidenceReader(settings.evidence_log)
        # In this order: a message moves from a queue to evidence, so what is in neither was in neither at one time.
        look = queues.look(broker)
        states = reader.batch_states(batch.batch_id)
        owed = [task for task in batch.tasks if not (task.run_id in states and states[task.run_id].terminal)]
        due = [task for task in owed if task.run_id not in look.run_ids]
        # Dies inside: part of it is enqueued; the next one finds that part visible.
        looked_at = look.began_at if resumed else None
        enqueued = enqueue(broker, due, states, reader, keyring=keyring, looked_at=looked_at)
    return Submission(batch, len(batch.tasks) - len(owed), len(owed) - len(due), enqueued, resumed)
