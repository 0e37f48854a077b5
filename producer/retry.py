"""Making the failed runs of a batch once more, as `producer.requeue` does with one poisoned run.

A run that has ended keeps its end. In its place comes a new run of the same task, noted durably before anything is
enqueued; from then on the batch owes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import redis

from broker import action
from broker.signing import Keyring
from evidence.ledger import BatchLedger
from evidence.reader import EvidenceReader
from producer import manifest, repeats
from producer.manifest import Batch
from producer.reconcile import reconcile
from producer.repeats import Repeat
from producer.tasks import lines_of
from producer.turn import turn
from replay.compact import TextSet
from replay.contracts import ReplayTask, State
from replay.errors import InputError
from replay.settings import Settings

RETRIED = frozenset({State.FAILED, State.REJECTED})


@dataclass(frozen=True)
class Retried:
    """What a retry did: runs that others took the place of, and messages that are on queues now."""

    repeated: int
    enqueued: int


def retry(
    batch_id: str,
    settings: Settings,
    client: redis.Redis,
    keyring: Keyring,
    *,
    states: Iterable[State] = (State.FAILED,),
) -> Retried:
    """Make the runs of a batch that have ended so once more. What was retried before and failed again is among them.

    Args:
        batch_id: Which batch.
        settings: Where batches and evidence lie.
        client: The broker.
        keyring: Signs the messages.
        states: `FAILED`, `REJECTED` or both. With the same model, corpus and gate a rejection mostly comes again.

    Raises:
        InputError: There is no such batch, it was cancelled, or a state cannot be retried.
        UnavailableError: Another process works on the batch.
        AppendFailed: The repetitions could not be made durable; nothing is retried.
        BrokerUnavailable: It does not answer; what is noted is owed, and a reconciler enqueues it.
    """
    wanted = tuple(states)
    if not wanted or not set(wanted) <= RETRIED:
        raise InputError(f"only {' and '.join(sorted(RETRIED))} runs can be retried", hint="Leave the others out.")
    place = settings.batches_dir
    with turn(place, batch_id):
        batch = manifest.load(place, batch_id)
        if manifest.is_cancelled(place, batch_id):
            raise InputError(
                f"Batch {batch_id} was cancelled.", hint="`replay submit FILE --again` runs its file anew."
            )
        ledger = BatchLedger(EvidenceReader(settings.evidence_log), batch_id, batch.superseded)
        chosen = TextSet(ledger.in_states(wanted))
        # Dies in this: all of them are repeated or none.
        count = repeats.add_all(manifest.folder(place, batch_id), _repetitions(batch, chosen)) if len(chosen) else 0
    # Dies here: they are owed.
    return Retried(count, reconcile(batch_id, settings, client, keyring).enqueued if count else 0)


def _repetitions(batch: Batch, chosen: TextSet) -> Iterator[Repeat]:
    now = action.now()
    for run_id, line in lines_of(batch.tasks):
        if run_id in chosen:
            task = ReplayTask.model_validate_json(line)
            yield Repeat(letter_id="", run_id=run_id, task=repeats.repeated(task), recorded_at=now)
