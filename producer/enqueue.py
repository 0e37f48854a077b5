"""Putting owed runs on their queues."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import redis
from redis.exceptions import RedisError

from broker import envelope, starts
from broker.connection import LOST
from broker.signing import UNSIGNED, Keyring
from evidence.reader import EvidenceReader
from evidence.row import Row
from replay import identity
from replay.contracts import EscalationOrder, ReplayRun, ReplayTask, State, Tier
from replay.errors import BrokerUnavailable
from replay.topology import ROUTES, TaskName

Entry = tuple[TaskName, str, dict[str, Any]]


def enqueue(
    client: redis.Redis,
    tasks: Sequence[ReplayTask],
    states: Mapping[str, Row],
    reader: EvidenceReader,
    *,
    keyring: Keyring = UNSIGNED,
    looked_at: float | None = None,
) -> int:
    """Put tasks on the queue on which they are due, in their order, and return how many.

    Doing it again costs nothing: a worker drops a message whose attempt is made or being made.

    Args:
        client: The broker.
        tasks: What is owed.
        states: Where their runs stand in evidence; one whose local answer was rejected goes on to the large model
            with the same bundle, and does not start anew.
        reader: The evidence that holds that bundle.
        keyring: Signs the messages.
        looked_at: When the look began that found them nowhere, by the server's clock; None for what was never there
            before. An attempt that the broker knows as made, with its evidence lost since, is made again.

    Raises:
        BrokerUnavailable: It went away or refused; the message says how many were accepted before.
    """
    accepted = 0
    try:
        if looked_at is not None:
            starts.forget_lost(client, list(_attempts(tasks, states)), looked_at)
        for name, entries in groupby((entry_for(task, states, reader) for task in tasks), key=lambda entry: entry[0]):
            pending: list[Entry] = []
            for entry in entries:
                pending.append(entry)
                if len(pending) == envelope.CHUNK:
                    accepted += envelope.publish(client, ROUTES[name].value, pending, keyring=keyring)
                    pending = []
            if pending:
                accepted += envelope.publish(client, ROUTES[name].value, pending, keyring=keyring)
    except RedisError as error:
        what = "went away" if isinstance(error, LOST) else f"refused ({error})"
        raise BrokerUnavailable(
            f"The broker {what} in the middle: accepted {accepted} of {len(tasks)} tasks.",
            hint="Look at it with `replay status`, then run the same command again to resume; nothing is lost.",
        ) from error
    return accepted


def entry_for(task: ReplayTask, states: Mapping[str, Row], reader: EvidenceReader) -> Entry:
    """The message that a run is due."""
    row = states.get(task.run_id)
    order = _order(row, reader) if row is not None and row.state == State.ESCALATED else None
    if order is None:
        return TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire()
    return TaskName.AUDIT_ESCALATION, f"{task.run_id}:{Tier.ESCALATION}", order.wire()


def _attempts(tasks: Sequence[ReplayTask], states: Mapping[str, Row]) -> Iterator[str]:
    for task in tasks:
        row = states.get(task.run_id)
        for tier in (Tier.ESCALATION,) if row is not None and row.state == State.ESCALATED else Tier:
            yield identity.attempt_id(task.run_id, tier, task.options.repeat)


def _order(row: Row, reader: EvidenceReader) -> EscalationOrder | None:
    entry = reader.get(row.id)
    if entry is None:
        return None
    run = ReplayRun.model_validate(entry.record)
    if run.attempt is None or run.attempt.verdict is None:
        return None
    return EscalationOrder(task=run.task, bundle=run.bundle, reasons=run.attempt.verdict.reasons)
