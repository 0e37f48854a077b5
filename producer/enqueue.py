"""Putting owed runs on their queues: many to a command, no more than a queue may hold, in memory that does not grow."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from types import TracebackType
from typing import Self

import redis
from redis.exceptions import OutOfMemoryError, RedisError

from broker import queues, starts
from broker.connection import LOST
from broker.envelope import CHUNK, TASK_OF, Press
from broker.signing import UNSIGNED, Keyring
from evidence.ledger import Standing
from evidence.reader import EvidenceReader
from evidence.row import RUN_SCHEMA
from producer.marks import Priority
from producer.ordering import arranged
from replay import identity
from replay.contracts import EscalationOrder, ReplayRun, State, Tier
from replay.errors import BrokerUnavailable
from replay.settings import Settings
from replay.topology import ROUTES, Queue, TaskName

# Of a batch of low priority no more than so many messages wait in a queue, whoever else's wait there too.
LOW_WAITING = 1000
# Or so many bytes of tasks to a command: two commands are held at once, and a task may be large.
CHUNK_BYTES = 4 * 1024 * 1024
_LOOK_S = 0.25

Owed = tuple[str, bytes]
"""A run and its task in canonical JSON."""


class WhenFull(StrEnum):
    """What to do when a queue holds as much as it may: `WAIT` for room, or `LEAVE` the rest to who reconciles."""

    WAIT = "wait"
    LEAVE = "leave"


def as_they_are(runs: Iterator[Owed]) -> Iterator[Owed]:
    """The order of the batch. `producer.ordering` has the one in which shared prefixes meet."""
    return runs


@dataclass(frozen=True)
class Feed:
    """How messages come into the queues.

    Attributes:
        keyring: Signs the messages.
        bound: How many messages may wait in a queue.
        priority: Where in the queue they are put.
        when_full: What to do at the bound.
        stop: Asked before each chunk and while waiting: True, and nothing more is enqueued.
        on_step: Told after each chunk, and while waiting for room, how many are enqueued and how many wait there.
        arrange: Gives the same runs in another order, holding a few of them at a time.
    """

    keyring: Keyring = UNSIGNED
    bound: int = 200_000
    priority: Priority = Priority.NORMAL
    when_full: WhenFull = WhenFull.WAIT
    stop: Callable[[], bool] = lambda: False
    on_step: Callable[[int, int], object] = lambda _enqueued, _waiting: None
    arrange: Callable[[Iterator[Owed]], Iterator[Owed]] = as_they_are

    @classmethod
    def of(cls, settings: Settings, keyring: Keyring, priority: Priority, when_full: WhenFull) -> Feed:
        """As the settings have it."""
        bound = settings.submit_max_waiting
        bound = min(bound, LOW_WAITING) if priority is Priority.LOW else bound
        return cls(keyring, bound, priority, when_full, arrange=arranged)


def enqueue(
    client: redis.Redis,
    due: Iterable[Owed],
    standing: Standing,
    reader: EvidenceReader,
    *,
    total: int,
    feed: Feed = Feed(),
    looked_at: float | None = None,
) -> int:
    """Put runs on the queue on which they are due, in their order, and return how many.

    Doing it again costs nothing: a worker drops a message whose attempt is made or being made. So it may end anywhere.

    Args:
        client: The broker.
        due: What is owed.
        standing: Which runs have evidence; one whose local answer was rejected goes on to the large model with the same
            bundle, and does not start anew.
        reader: The evidence that holds that bundle.
        total: How many are due, as far as is known, for who reads an error.
        feed: How they come into the queues.
        looked_at: When the look began that found them nowhere, by the server's clock; None for what was never there
            before. An attempt that the broker knows as made, with its evidence lost since, is made again.

    Raises:
        BrokerUnavailable: It went away, is full, or refused; the message says how many were accepted before.
    """
    presses = {queue: Press(name, queue.value, feed.keyring) for queue, name in TASK_OF.items()}
    runs = feed.arrange(iter(due))
    with _Sender(client, feed) as sender:
        try:
            while not feed.stop() and (chunk := _chunk(runs)):
                if looked_at is not None:
                    starts.forget_lost(client, list(_attempts(chunk, standing)), looked_at)
                sealed: dict[Queue, list[bytes]] = {}
                for run_id, line in chunk:
                    queue, message_id, argument = _message(run_id, line, standing, reader)
                    sealed.setdefault(queue, []).append(presses[queue].sealed(message_id, argument))
                # Dies between any two of these: what is enqueued is found by whoever goes on.
                if not all(sender.send(queue, messages) for queue, messages in sealed.items()):
                    break
            sender.settle()
        except OutOfMemoryError as error:
            raise BrokerUnavailable(
                f"The broker is full: accepted {sender.accepted} of {total} tasks.",
                hint="It holds as much as its `maxmemory` lets it. The batch is accepted; what is enqueued runs and "
                "makes room, and the scheduler or `replay batch reconcile` enqueues the rest. To hold less, lower "
                "REPLAY_SUBMIT_MAX_WAITING.",
            ) from error
        except RedisError as error:
            what = "went away" if isinstance(error, LOST) else f"refused ({error})"
            raise BrokerUnavailable(
                f"The broker {what} in the middle: accepted {sender.accepted} of {total} tasks.",
                hint="Look at it with `replay status`, then run the same command again to resume; nothing is lost.",
            ) from error
        return sender.accepted


class _Sender:
    """Sends one command while the next is being made: broker and producer work at the same time.

    Args:
        client: The broker.
        feed: Bound, priority, and what is to be done at the bound.

    Attributes:
        accepted: Messages that the broker has answered for.
    """

    def __init__(self, client: redis.Redis, feed: Feed) -> None:
        self.accepted = 0
        self._client = client
        self._feed = feed
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="enqueue")
        self._under_way: tuple[Future[int], int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()

    def send(self, queue: Queue, messages: Sequence[bytes]) -> bool:
        """Put messages on a queue once the last ones are there; False where no more are to be put there now."""
        self.settle()
        if self._feed.stop() or not _has_room(self._client, queue, self._feed, self.accepted):
            return False
        pushed = self._thread.submit(_push, self._client, queue, messages, self._feed.priority)
        self._under_way = (pushed, len(messages))
        return True

    def settle(self) -> None:
        """Wait for what is under way.

        Raises:
            RedisError: It did not arrive.
        """
        if self._under_way is None:
            return
        pushed, count = self._under_way
        self._under_way = None
        waiting = pushed.result()
        self.accepted += count
        self._feed.on_step(self.accepted, waiting)


def entry_for(run_id: str, line: bytes, standing: Standing, reader: EvidenceReader) -> tuple[TaskName, str, bytes]:
    """The message that one run is due: Celery's name of its task, its id, and its argument."""
    queue, message_id, argument = _message(run_id, line, standing, reader)
    return TASK_OF[queue], message_id, argument


def _message(run_id: str, line: bytes, standing: Standing, reader: EvidenceReader) -> tuple[Queue, str, bytes]:
    if standing.is_open_escalation(run_id) and (order := _order(run_id, reader)) is not None:
        return _ESCALATION, f"{run_id}:{Tier.ESCALATION}", identity.canonical_json(order.wire())
    return _LOCAL, f"{run_id}:{Tier.LOCAL}", line


_LOCAL = ROUTES[TaskName.AUDIT_LOCAL]
_ESCALATION = ROUTES[TaskName.AUDIT_ESCALATION]


def _push(client: redis.Redis, queue: Queue, messages: Sequence[bytes], priority: Priority) -> int:
    if priority is Priority.HIGH:
        # Workers take from the right: the first message has to be the last one there.
        return int(client.rpush(queue.value, *reversed(messages)))
    return int(client.lpush(queue.value, *messages))


def _has_room(client: redis.Redis, queue: Queue, feed: Feed, accepted: int) -> bool:
    pause = threading.Event()
    while (waiting := queues.waiting(client, queue)) >= feed.bound:
        feed.on_step(accepted, waiting)
        if feed.when_full is WhenFull.LEAVE or feed.stop():
            return False
        pause.wait(_LOOK_S)
    return True


def _chunk(runs: Iterator[Owed]) -> list[Owed]:
    chunk: list[Owed] = []
    size = 0
    for run in islice(runs, CHUNK):
        chunk.append(run)
        size += len(run[1])
        if size >= CHUNK_BYTES:
            break
    return chunk


def _attempts(chunk: Sequence[Owed], standing: Standing) -> Iterator[str]:
    for run_id, line in chunk:
        repeat = json.loads(line)["options"]["repeat"]
        for tier in (Tier.ESCALATION,) if standing.is_open_escalation(run_id) else Tier:
            yield identity.attempt_id(run_id, tier, repeat)


def _order(run_id: str, reader: EvidenceReader) -> EscalationOrder | None:
    records = [entry.record for entry in reader.run(run_id) if entry.record.get("schema") == RUN_SCHEMA]
    handed_on = [record for record in records if record.get("state") == State.ESCALATED]
    if not handed_on:
        return None
    run = ReplayRun.model_validate(handed_on[-1])
    if run.attempt is None or run.attempt.verdict is None:
        return None
    return EscalationOrder(task=run.task, bundle=run.bundle, reasons=run.attempt.verdict.reasons)
