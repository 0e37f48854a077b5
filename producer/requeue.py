"""What an operator does with a dead letter: give its run another chance, or throw it away. Both go into the evidence.

A run ends once. So a run that has ended as failed, as every poisoned one has, is given another chance as a new run with
the next `repeat` number (`producer.repeats`), which stands for the task from then on: its end is what `replay results`
shows, and the first end stays in the evidence. A run that has not ended goes back to its queue as it is.

The message is made anew from the batch's manifest and evidence wherever the run is in a manifest, since that is what
the message should have been: whole, undamaged and signed with today's key. Only without a manifest the letter's own
bytes go back, if they are whole and would be accepted now.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import redis
from redis.exceptions import RedisError

from broker import action, exhume, queues
from broker.action import Action
from broker.claims import Push
from broker.envelope import TASK_OF, Envelope, EnvelopeFault, Press, opened, tier_of
from broker.signing import Keyring
from evidence.ledger import BatchLedger
from evidence.reader import EvidenceReader
from evidence.row import ended_run
from producer import letters, manifest, repeats
from producer.enqueue import entry_for
from producer.letters import Lying
from producer.manifest import Batch
from producer.repeats import Repeat
from producer.turn import turn
from replay import identity
from replay.contracts import EscalationOrder, ReplayTask, State, Tier
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from replay.topology import ROUTES, Queue


class Fate(StrEnum):
    """What became of a letter."""

    REQUEUED = "requeued"
    REPEATED = "repeated"
    DISCARDED = "discarded"
    LEFT = "left"


@dataclass(frozen=True)
class Dealt:
    """What was done with a letter.

    Attributes:
        letter_id: The letter.
        fate: What became of it; `left`: it lies where it lay.
        why: Why it was left; or what else there is to say.
        run_id: The run that it was about, where that is known.
        new_run_id: The run that takes that one's place.
        queue: Where the message lies now.
    """

    letter_id: str
    fate: Fate
    why: str = ""
    run_id: str | None = None
    new_run_id: str | None = None
    queue: str | None = None


@dataclass(frozen=True)
class _Plan:
    """What is to go to a queue for a letter."""

    push: Push
    attempt_id: str
    new_run_id: str | None = None


class _Leave(Exception):
    """The letter stays where it is; the text says why."""


class Desk:
    """Deals with dead letters, one at a time.

    Args:
        settings: Where batches and evidence lie.
        client: The broker.
        who: Whose doing it is; by default this process's user.

    Raises:
        ConfigurationError: The key of messages is none.
    """

    def __init__(self, settings: Settings, client: redis.Redis, *, who: str | None = None) -> None:
        self._who = who or action.who()
        self._settings = settings
        self._client = client
        self._reader = EvidenceReader(settings.evidence_log)
        self._keyring = Keyring.of(settings)

    def requeue(self, lying: Lying) -> Dealt:
        """Give the run of a letter another chance, or say why it gets none.

        Raises:
            BrokerUnavailable: It does not answer.
            UnavailableError: Another process works on the batch.
            AppendFailed: The repetition could not be made durable; nothing was done.
            EvidenceDamaged: Manifest or evidence cannot be read.
        """
        run_id = letters.run_id_of(lying.letter)
        batch_id = letters.batch_id_of(lying.letter) or self._batch_of(run_id)
        try:
            if run_id is None or batch_id is None or not manifest.exists(self._settings.batches_dir, batch_id):
                return self._take(lying, self._as_it_is(lying, run_id), run_id, batch_id)
            with turn(self._settings.batches_dir, batch_id):
                batch = manifest.load(self._settings.batches_dir, batch_id)
                # Dies in or after this: the repetition, if there is one, is owed, and asking again finds it.
                plan = self._from_manifest(lying, run_id, batch)
                return self._take(lying, plan, run_id, batch_id)
        except _Leave as reason:
            return Dealt(lying.letter.id, Fate.LEFT, str(reason), run_id)
        except RedisError as error:
            raise BrokerUnavailable(
                f"the broker does not answer: {error}", hint="Start it with `replay up`, then try again."
            ) from error

    def discard(self, lying: Lying) -> Dealt:
        """Throw a letter away; its copy stays in the evidence. A run that is owed is enqueued by the reconciler.

        Raises:
            BrokerUnavailable: It does not answer.
        """
        run_id = letters.run_id_of(lying.letter)
        try:
            return self._take(lying, None, run_id, letters.batch_id_of(lying.letter) or self._batch_of(run_id))
        except RedisError as error:
            raise BrokerUnavailable(
                f"the broker does not answer: {error}", hint="Start it with `replay up`, then try again."
            ) from error

    def _from_manifest(self, lying: Lying, run_id: str, batch: Batch) -> _Plan:
        if manifest.is_cancelled(self._settings.batches_dir, batch.batch_id):
            raise _Leave(
                f"its batch {batch.batch_id} was cancelled: the run would end as cancelled; discard the letter"
            )
        look = queues.look(self._client)
        standing = BatchLedger(self._reader, batch.batch_id).standing()
        task = next((task for task in batch.tasks if task.run_id == run_id), None)
        if task is None:
            task = self._repetition_of(lying, run_id, batch)
        elif run_id in look.run_ids:
            raise _Leave("its run waits, is being worked on, or its evidence is on the way to the log; try again later")
        elif run_id in standing.ended:
            task = self._new_run(lying, task, self._end_of(run_id), batch)
        has_evidence = task.run_id in standing.ended or task.run_id in standing.escalated
        if task.run_id != run_id and (task.run_id in look.run_ids or has_evidence):
            raise _Leave(f"run {task.run_id} has its place already; discard the letter")
        name, message_id, argument = entry_for(
            task.run_id, identity.canonical_json(task.wire()), standing, self._reader
        )
        queue = ROUTES[name]
        message = Press(name, queue.value, self._keyring).sealed(message_id, argument)
        attempt_id = identity.attempt_id(task.run_id, tier_of(queue), task.options.repeat)
        new_run_id = task.run_id if task.run_id != run_id else None
        return _Plan(Push(queue.value, message), attempt_id, new_run_id)

    def _end_of(self, run_id: str) -> str | None:
        records = [entry.record for entry in self._reader.run(run_id)]
        return next((each["state"] for each in records if ended_run(each) is not None), None)

    def _repetition_of(self, lying: Lying, run_id: str, batch: Batch) -> ReplayTask:
        """The repetition that was begun for this very letter, when the command died in the middle."""
        for repeat in repeats.read(manifest.folder(self._settings.batches_dir, batch.batch_id)):
            if (repeat.run_id, repeat.letter_id) == (run_id, lying.letter.id):
                return repeat.task
            if repeat.run_id == run_id:
                raise _Leave(f"its run was repeated already, as {repeat.task.run_id}; discard the letter")
        raise _Leave(f"batch {batch.batch_id} has no such run; discard the letter")

    def _new_run(self, lying: Lying, task: ReplayTask, state: str | None, batch: Batch) -> ReplayTask:
        if state != State.FAILED:
            raise _Leave(f"its run has ended as {state} meanwhile; discard the letter")
        new = repeats.repeated(task)
        repeat = Repeat(letter_id=lying.letter.id, run_id=task.run_id, task=new, recorded_at=action.now())
        repeats.add(manifest.folder(self._settings.batches_dir, batch.batch_id), repeat)
        return new

    def _as_it_is(self, lying: Lying, run_id: str | None) -> _Plan:
        """The letter's own bytes, for a message of somebody who keeps no manifest here."""
        letter = lying.letter
        if letter.queue not in TASK_OF:
            raise _Leave(f"it did not lie on a queue of tasks but on {letter.queue!r}; discard it")
        queue = Queue(letter.queue)
        if not letters.is_whole(letter):
            raise _Leave(
                f"only a part of its {letter.payload_bytes} bytes was kept, and no batch here has its run; discard it"
            )
        # As with a manifest: the broker first, for what leaves it meanwhile is found in the log.
        if run_id is not None and run_id in queues.look(self._client).run_ids:
            raise _Leave("its run waits, is being worked on, or its evidence is on the way to the log; try again later")
        if run_id is not None and any(
            entry.record.get("state") not in (None, State.ESCALATED) for entry in self._reader.run(run_id)
        ):
            raise _Leave("its run has ended, and no batch here could hold a repetition; submit the task again")
        item = letters.payload(letter)
        try:
            task = _task_in(opened(item, queue, self._keyring).payload, queue)
        except EnvelopeFault as fault:
            # A poisoned message is kept as its bare payload, without the envelope and without its signature.
            payload = letters.bare(letter)
            if self._keyring or payload is None:
                raise _Leave(f"it would die again ({fault.cause}: {fault}); discard it") from None
            task = _task_in(payload, queue)
            item = Envelope(TASK_OF[queue], f"{task.run_id}:{tier_of(queue)}", payload).sealed(queue)
        return _Plan(Push(queue.value, item), identity.attempt_id(task.run_id, tier_of(queue), task.options.repeat))

    def _take(self, lying: Lying, plan: _Plan | None, run_id: str | None, batch_id: str | None) -> Dealt:
        letter = lying.letter
        done = Action(
            id=action.new_id(),
            action="dead.discard" if plan is None else "dead.requeue",
            who=self._who,
            letter_id=letter.id,
            cause=letter.cause,
            queue=plan.push.list_name if plan is not None else "",
            run_id=run_id,
            new_run_id=plan.new_run_id if plan is not None else None,
            batch_id=batch_id,
            recorded_at=action.now(),
        )
        taken = exhume.take(
            self._client,
            lying.item,
            action.wire(done),
            message=plan.push if plan is not None else None,
            attempt_id=plan.attempt_id if plan is not None else "",
            keyring=self._keyring,
        )
        if not taken:
            return Dealt(letter.id, Fate.LEFT, "somebody else has taken it off the dead queue", run_id)
        if plan is None:
            return Dealt(letter.id, Fate.DISCARDED, run_id=run_id)
        fate = Fate.REQUEUED if plan.new_run_id is None else Fate.REPEATED
        return Dealt(letter.id, fate, run_id=run_id, new_run_id=plan.new_run_id, queue=plan.push.list_name)

    def _batch_of(self, run_id: str | None) -> str | None:
        """From evidence, where the message does not say it."""
        found = self._reader.run(run_id) if run_id is not None else []
        batch_id = found[0].record.get("batch_id") if found else None
        return batch_id if isinstance(batch_id, str) else None


def _task_in(payload: dict[str, object], queue: Queue) -> ReplayTask:
    try:
        if tier_of(queue) is Tier.LOCAL:
            return ReplayTask.model_validate(payload)
        return EscalationOrder.model_validate(payload).task
    except ValueError as error:
        raise _Leave("it is no message of this version and would die again; discard it") from error
