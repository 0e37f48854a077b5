"""How far a batch is: read from the ledger, with the queues' depths beside it; no counter is kept anywhere."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import redis
from redis.exceptions import RedisError

from broker import queues
from evidence.ledger import BatchLedger
from evidence.reader import EvidenceReader
from producer.manifest import Batch
from replay.contracts import State, Tier
from replay.topology import Queue

_WINDOW_S = 120.0


@dataclass(frozen=True)
class Progress:
    """One look at a batch.

    Each task is in exactly one of `queued` … `cancelled`. How many of the unfinished ones are being worked on comes
    from the depths of the queues, which other batches share: with several at once it is an upper bound.

    Attributes:
        total: Tasks of the batch.
        queued: Not begun.
        running: Being worked on, on either tier.
        accepted_local: Ended by an accepted answer of the local model.
        accepted_escalation: Ended by an accepted answer of the large model.
        escalated_waiting: Rejected locally, waiting for the large model.
        rejected: Ended by a rejection.
        failed: Ended without an answer.
        cancelled: Ended by a cancellation.
        prompt_tokens: Of all attempts in evidence.
        completion_tokens: The same.
        cached_tokens: The part of `prompt_tokens` that a server had in its cache.
        tokens_per_s: Completion tokens per second over the last two minutes of watching; None before there is a rate.
        eta_s: Seconds until the end at the present rate; None before there is a rate.
        elapsed_s: Seconds of watching.
        broker_answers: False: the depths are unknown and `running` is 0.
    """

    total: int
    queued: int = 0
    running: int = 0
    accepted_local: int = 0
    accepted_escalation: int = 0
    escalated_waiting: int = 0
    rejected: int = 0
    failed: int = 0
    cancelled: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    tokens_per_s: float | None = None
    eta_s: float | None = None
    elapsed_s: float = 0.0
    broker_answers: bool = True

    @property
    def done(self) -> int:
        """Tasks that have ended."""
        return self.accepted_local + self.accepted_escalation + self.rejected + self.failed + self.cancelled

    @property
    def finished(self) -> bool:
        """Have all tasks ended?"""
        return self.done == self.total


def snapshot(batch: Batch, reader: EvidenceReader, client: redis.Redis | None) -> Progress:
    """One look, without rates. Without a client the queues are not looked at."""
    return Watch(batch, reader, client).look()


class Watch:
    """Looks at one batch again and again, and knows the rates between the looks.

    The ledger counts, and after the first look only what is new; nothing here is held for each task.

    Args:
        batch: What to look at.
        reader: Its evidence.
        client: The broker, if there is one.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        batch: Batch,
        reader: EvidenceReader,
        client: redis.Redis | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = len(batch.tasks)
        # Without the runs in whose place others stand now.
        self._ledger = BatchLedger(reader, batch.batch_id, batch.superseded)
        self._reader = reader
        self._batch_id = batch.batch_id
        self._client = client
        self._clock = clock
        self._began = clock()
        self._past: deque[tuple[float, int, int]] = deque()

    def leave_out(self, superseded: Iterable[str]) -> None:
        """Runs were made again meanwhile: from now on these count no more."""
        self._ledger = BatchLedger(self._reader, self._batch_id, superseded)

    def look(self) -> Progress:
        """Read the ledger and the queues.

        Raises:
            EvidenceDamaged: The log cannot be read.
        """
        tally = self._ledger.tally()
        escalated = tally.escalated
        total = self._total
        done = tally.done
        local_owed = total - done - escalated
        depths = self._depths()
        in_flight = depths.in_flight if depths is not None else {}
        running_local = min(in_flight.get(Queue.LOCAL.value, 0), local_owed)
        running_escalation = min(in_flight.get(Queue.ESCALATION.value, 0), escalated)
        tokens = tally.all_tokens()
        now = self._clock()
        tokens_per_s, per_s = self._rates(now, tokens.completion, done)
        return Progress(
            total=total,
            queued=local_owed - running_local,
            running=running_local + running_escalation,
            accepted_local=tally.ended[State.ACCEPTED, Tier.LOCAL],
            accepted_escalation=tally.ended[State.ACCEPTED, Tier.ESCALATION],
            escalated_waiting=escalated - running_escalation,
            rejected=tally.in_state(State.REJECTED),
            failed=tally.in_state(State.FAILED),
            cancelled=tally.in_state(State.CANCELLED),
            prompt_tokens=tokens.prompt,
            completion_tokens=tokens.completion,
            cached_tokens=tokens.cached,
            tokens_per_s=tokens_per_s,
            eta_s=(total - done) / per_s if per_s else None,
            elapsed_s=now - self._began,
            broker_answers=depths is not None,
        )

    def _depths(self) -> queues.Depths | None:
        try:
            return None if self._client is None else queues.depths(self._client)
        except RedisError:
            return None

    def _rates(self, now: float, tokens: int, done: int) -> tuple[float | None, float | None]:
        self._past.append((now, tokens, done))
        while len(self._past) > 2 and now - self._past[1][0] > _WINDOW_S:
            self._past.popleft()
        then, tokens_then, done_then = self._past[0]
        if now <= then:
            return None, None
        return (
            (tokens - tokens_then) / (now - then) if tokens > tokens_then else None,
            (done - done_then) / (now - then) if done > done_then else None,
        )
