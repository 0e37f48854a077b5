"""What the API asks of the rest of the producer: submit, look, cancel, collect. No other file of it does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import redis

from evidence.ledger import BatchLedger
from evidence.reader import EvidenceReader
from evidence.row import ended_run
from producer import cancel as cancelling
from producer import manifest, repeats, results
from producer.line import TaskLine
from producer.results import Result
from producer.submit import submit as accept
from replay.contracts import Check, ReplayRun, State
from replay.settings import Settings

SOURCE = "replay api"


@dataclass(frozen=True)
class Counts:
    """How the tasks of a batch have ended, by the evidence.

    Attributes:
        answered: Accepted or rejected.
        failed: Without an answer, cancelled ones among them.
    """

    answered: int
    failed: int


def submit(
    lines: Iterator[TaskLine],
    settings: Settings,
    batch_id: str,
    client: redis.Redis | None,
    on_accepted: Callable[[str], object] = lambda _: None,
) -> str:
    """Accept and enqueue tasks, and return the engine's name for the batch. Done again it goes on where it was.

    Args:
        lines: The tasks.
        settings: Where broker, corpus, evidence and batches are.
        batch_id: The API's name for the batch: two batches of the same file are two.
        client: The broker; None: the one of the settings.
        on_accepted: Told that name before anything is enqueued.

    Raises:
        ReplayError: As `producer.submit.submit`.
    """
    return accept(lines, settings, source=SOURCE, nonce=batch_id, client=client, on_accepted=on_accepted).batch_id


class Ledgers:
    """Counts open batches, again and again, and each time only what came since. For every thread of one server.

    Args:
        settings: Where evidence and batches are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._known: dict[str, tuple[int, BatchLedger]] = {}

    def counts(self, batch_id: str) -> Counts:
        """How many tasks of a batch have ended, and how.

        Raises:
            EvidenceDamaged: The log cannot be read.
        """
        place = manifest.folder(self._settings.batches_dir, batch_id)
        with self._lock:
            # Runs in whose place others stand count no more.
            version = repeats.version(place)
            known = self._known.get(batch_id)
            if known is None or known[0] != version:
                reader = EvidenceReader(self._settings.evidence_log)
                known = self._known[batch_id] = version, BatchLedger(reader, batch_id, repeats.superseded(place))
            tally = known[1].tally()
        return Counts(
            answered=tally.in_state(State.ACCEPTED) + tally.in_state(State.REJECTED),
            failed=tally.in_state(State.FAILED) + tally.in_state(State.CANCELLED),
        )

    def forget(self, batch_id: str) -> None:
        """A batch is counted no more."""
        with self._lock:
            self._known.pop(batch_id, None)


def cancel(batch_id: str, settings: Settings, client: redis.Redis | None) -> None:
    """Cancel a batch, durably. Doing it again changes nothing.

    Raises:
        AppendFailed: Nothing is cancelled.
        BrokerUnavailable: It is marked, and the workers could not be told.
    """
    cancelling.cancel(manifest.load(settings.batches_dir, batch_id), settings, client)


def collect(batch_id: str, settings: Settings) -> Iterator[Result]:
    """What is known of each task, in the order of the input.

    Raises:
        EvidenceDamaged: The log or the manifest cannot be read.
    """
    return results.results(manifest.load(settings.batches_dir, batch_id), EvidenceReader(settings.evidence_log))


def checks(run_id: str, settings: Settings) -> Sequence[Check]:
    """What the answer that stands says to the items of a checklist; nothing where the last attempt has none."""
    records = [entry.record for entry in EvidenceReader(settings.evidence_log).run(run_id)]
    ends = [ReplayRun.model_validate(record) for record in records if ended_run(record) is not None]
    attempt = ends[-1].attempt if ends else None
    return attempt.answer.checks if attempt is not None and attempt.answer is not None else ()
