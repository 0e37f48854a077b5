"""How far a batch is: read from the ledger, with the queues' depths beside it; no counter is kept anywhere."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import redis
from redis.exceptions import RedisError

from broker import queues
from evidence.reader import Entry, EvidenceReader
from evidence.row import Row
from producer.manifest import Batch
from replay import identity
from replay.contracts import ReplayRun, State, Tier, Usage
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
        self._batch = batch
        self._reader = reader
        self._client = client
        self._clock = clock
        self._began = clock()
        self._past: deque[tuple[float, int, int]] = deque()
        self._first_usage: dict[str, Usage] = {}

    def look(self) -> Progress:
        """Read the ledger and the queues.

        Raises:
            EvidenceDamaged: The log cannot be read.
        """
        known = self._reader.batch_states(self._batch.batch_id)
        # Without the runs in whose place others stand now.
        rows = {task.run_id: known[task.run_id] for task in self._batch.tasks if task.run_id in known}
        ended = Counter((row.state, row.tier) for row in rows.values() if row.terminal)
        by_state = Counter(row.state for row in rows.values() if row.terminal)
        escalated = sum(1 for row in rows.values() if not row.terminal and row.state == State.ESCALATED)
        total = len(self._batch.tasks)
        done = sum(by_state.values())
        local_owed = total - done - escalated
        depths = self._depths()
        in_flight = depths.in_flight if depths is not None else {}
        running_local = min(in_flight.get(Queue.LOCAL.value, 0), local_owed)
        running_escalation = min(in_flight.get(Queue.ESCALATION.value, 0), escalated)
        attempts: list[Row | Usage] = [*rows.values(), *self._usage_before(rows)]
        completion_tokens = sum(row.completion_tokens or 0 for row in attempts)
        now = self._clock()
        tokens_per_s, per_s = self._rates(now, completion_tokens, done)
        return Progress(
            total=total,
            queued=local_owed - running_local,
            running=running_local + running_escalation,
            accepted_local=ended[State.ACCEPTED, Tier.LOCAL],
            accepted_escalation=ended[State.ACCEPTED, Tier.ESCALATION],
            escalated_waiting=escalated - running_escalation,
            rejected=by_state[State.REJECTED],
            failed=by_state[State.FAILED],
            cancelled=by_state[State.CANCELLED],
            prompt_tokens=sum(row.prompt_tokens or 0 for row in attempts),
            completion_tokens=completion_tokens,
            cached_tokens=sum(row.cached_tokens or 0 for row in attempts),
            tokens_per_s=tokens_per_s,
            eta_s=(total - done) / per_s if per_s else None,
            elapsed_s=now - self._began,
            broker_answers=depths is not None,
        )

    def _usage_before(self, rows: dict[str, Row]) -> Iterable[Usage]:
        """What the local attempts took of runs whose latest record is not the local one. Each is asked for once."""
        for task in self._batch.tasks:
            row = rows.get(task.run_id)
            if row is not None and row.tier != Tier.LOCAL and task.run_id not in self._first_usage:
                # Cancelled while it waited for the large model, a run has a local attempt too, or none at all.
                attempt_id = identity.attempt_id(task.run_id, Tier.LOCAL, task.options.repeat)
                entry = self._reader.get(attempt_id)
                self._first_usage[task.run_id] = Usage() if entry is None else _usage(entry)
        return self._first_usage.values()

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


def _usage(entry: Entry) -> Usage:
    attempt = ReplayRun.model_validate(entry.record).attempt
    return attempt.generation.usage if attempt is not None and attempt.generation is not None else Usage()
