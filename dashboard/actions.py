"""What the dashboard asks of the producer's side, which it does not know: the command that serves it brings this along.

`Books` reads, `Actions` changes something. Each action notes who did it in the evidence; what cannot be noted is not
done. All of it may take a while and runs in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from evidence.reviews import Decision
from replay.contracts import Ruling

Form = Literal["jsonl", "csv"]


@dataclass(frozen=True)
class BatchHead:
    """What is known of a batch without reading its tasks or its evidence.

    Attributes:
        batch_id: Its id.
        created_at: When it was accepted, UTC, ISO 8601.
        source: Name of the file that it came from.
        tasks: How many were accepted.
        corpus_version: The current corpus when it was accepted.
        cancelled: Has it been cancelled?
        paused: Why it waits, where somebody paused it; None where nobody did.
        repeated: Runs that were made again in the place of others.
        problem: Why nothing of this is known; empty where it is.
    """

    batch_id: str
    created_at: str
    source: str
    tasks: int
    corpus_version: str | None
    cancelled: bool
    paused: str | None = None
    repeated: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Letter:
    """A dead letter.

    Attributes:
        id: Its id.
        at: When it died.
        queue: Where it lay.
        cause: Why it could not be run.
        run_id: The run that it is about, as far as its bytes say.
        batch_id: The batch, likewise.
        payload_bytes: How long the message was.
        kept_bytes: How much of it was kept.
        message: The message as text, control characters escaped; only where one letter is asked for.
    """

    id: str
    at: str
    queue: str
    cause: str
    run_id: str | None
    batch_id: str | None
    payload_bytes: int
    kept_bytes: int
    message: str = ""


@dataclass(frozen=True)
class Done:
    """What came of an action, in words; `ok` is False where it was not done, or not to all."""

    words: str
    ok: bool = True


class Books(Protocol):
    """What was accepted, and what could not be run."""

    def batches(self, start: int, count: int) -> tuple[list[BatchHead], int]:
        """Batches from the newest on, leaving out the first `start`, and how many there are in all."""

    def batch(self, batch_id: str) -> BatchHead:
        """One batch.

        Raises:
            InputError: There is no such batch.
            EvidenceDamaged: Its manifest is not what was written.
        """

    def superseded(self, batch_id: str) -> tuple[str, ...]:
        """Runs of a batch in whose place others stand, by its whole id."""

    def results(self, batch_id: str, form: Form) -> Iterator[str]:
        """The results of a batch as lines, in the order of its input.

        Raises:
            InputError: There is no such batch.
            EvidenceDamaged: Manifest or evidence cannot be read.
        """

    def letters(self, count: int, cause: str) -> tuple[list[Letter], int]:
        """The newest dead letters whose cause begins so, newest first, and how many older ones there are.

        Raises:
            BrokerUnavailable: It does not answer.
        """

    def letter(self, letter_id: str) -> Letter:
        """One dead letter, with its message.

        Raises:
            InputError: There is none of this id.
            BrokerUnavailable: It does not answer.
        """


class Actions(Protocol):
    """What an operator can do. `who` goes into the evidence.

    Each raises InputError where there is no such thing, and BrokerUnavailable where the broker does not answer.
    """

    def cancel_batch(self, batch_id: str, who: str) -> Done:
        """Begin nothing more of a batch."""

    def pause_batch(self, batch_id: str, reason: str, who: str) -> Done:
        """Hold a batch back until it is resumed."""

    def resume_batch(self, batch_id: str, who: str) -> Done:
        """Let a paused batch go on."""

    def retry_batch(self, batch_id: str, who: str) -> Done:
        """Make the failed runs of a batch once more."""

    def pause_lane(self, lane: str, reason: str, who: str) -> Done:
        """Let the workers of a lane take no more messages."""

    def resume_lane(self, lane: str, who: str) -> Done:
        """Let a lane go on, whatever stopped it."""

    def requeue(self, letter_ids: Sequence[str], who: str) -> Done:
        """Give the runs of dead letters another chance."""

    def discard(self, letter_ids: Sequence[str], who: str) -> Done:
        """Take dead letters off the queue for good."""

    def review(
        self, run_id: str, decision: Decision, *, note: str, verdict: Ruling | None, admit: bool, who: str
    ) -> Done:
        """Say whether the answer of an ended run stands."""
