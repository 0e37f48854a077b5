"""What happens to one message, from the lease to the commit. The order of the steps is the point: read downwards."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from pydantic import ValidationError

from broker import dead
from broker.claims import Push, Turn
from broker.envelope import Press
from broker.hand_back import HandBack, Turned
from broker.paused import Wish, wish
from broker.signing import UNSIGNED, Keyring
from evidence.format import MAX_BODY_BYTES
from replay import identity, pipeline
from replay.contracts import Bundle, EscalationOrder, Message, ReplayTask, State, Tier
from replay.models.breaker import EndpointPaused
from replay.pipeline import Engine, Outcome
from replay.reuse import Question, Remembered
from replay.topology import Queue, TaskName
from workers.lease import Lease

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """A decoded message: the task, the bundle if it brings one, and the attempt that it asks for."""

    task: ReplayTask
    bundle: Bundle | None
    attempt: Callable[[Engine], Outcome]


@dataclass(frozen=True)
class Lane:
    """What the two kinds of workers do differently: how a message is read."""

    tier: Tier
    decode: Callable[[dict[str, Any]], Order]


@dataclass(frozen=True)
class Desk:
    """What a handler works with, built once for each process."""

    client: redis.Redis
    engine: Engine
    max_starts: int
    hand_back: HandBack
    keyring: Keyring = UNSIGNED


@dataclass(frozen=True)
class Result:
    """What is committed: the evidence, and what goes to other queues; `answered` may be remembered after that."""

    record: bytes
    pushes: tuple[Push, ...] = ()
    answered: tuple[Question, Remembered] | None = None


def _local_order(payload: dict[str, Any]) -> Order:
    task = ReplayTask.model_validate(payload)
    return Order(task, None, lambda engine: pipeline.audit_local(task, engine))


def _escalation_order(payload: dict[str, Any]) -> Order:
    order = EscalationOrder.model_validate(payload)
    return Order(order.task, order.bundle, lambda engine: pipeline.audit_escalated(order, engine))


LOCAL = Lane(Tier.LOCAL, _local_order)
ESCALATION = Lane(Tier.ESCALATION, _escalation_order)


def handle(lane: Lane, payload: dict[str, Any], lease: Lease, desk: Desk) -> None:
    """Bring one message to its commit. Raises only when the broker is gone, and then the message stays where it is."""
    try:
        order = lane.decode(payload)
    except ValidationError as error:
        # Dies before this commit: the message is redelivered and condemned then.
        logger.error("%s: not a message of this lane: %s", lease.queue, _in_one_line(error))  # noqa: TRY400  no bug of ours
        lease.condemn(f"payload: {_in_one_line(error)}")
        return

    # Counted before any work. Dies after this, anywhere below: the start counts, and a task that kills its worker each
    # time ends as poison instead of going round for ever.
    attempt_id = identity.attempt_id(order.task.run_id, lane.tier, order.task.options.repeat)
    begun = lease.begin(attempt_id)
    if begun.turn is not Turn.OURS:
        # Lost: it waited in this worker for longer than its lease lasts, and somebody else has it. Otherwise it was
        # enqueued twice, and its double has ended or is at work.
        logger.info("%s: %s is not run from this message: %s", lease.queue, order.task.run_id, begun.turn.value)
        return
    if begun.starts > desk.max_starts:
        result = _poisoned(order, lease.queue, payload, begun.starts - 1)
    elif (wanted := wish(desk.client, order.task.batch_id)) is Wish.CANCELLED:
        result = Result(_ended(order, State.CANCELLED, "the batch was cancelled"))
    elif wanted is Wish.PAUSED and lease.let_go(desk.client, attempt_id, order.task.batch_id):
        # It is owed, and enqueued again when somebody resumes the batch. Dies before this: it is let go of next time.
        logger.info("%s: %s is let go of: its batch is paused", lease.queue, order.task.run_id)
        return
    else:
        with lease.kept():
            made = _attempted(order, desk)
        if isinstance(made, EndpointPaused):
            # No verdict, and no fault of the task: it waits in the queue until its endpoint is asked again. Dies before
            # this: it is redelivered, and only then does the start count.
            ended = _turned_away(order, made, attempt_id, lease, desk)
            if ended is None:
                return
            made = ended
        result = made

    # The one commit: evidence, the order for the other lane, the end of the lease and of the count, all or nothing.
    # Dies before it: the message is redelivered and the attempt is made again. Dies after it: nothing is left to do.
    # Its reply is lost with the connection: it is sent again, finds no lease, and publishes nothing twice.
    if not lease.commit(result.record, attempt_id=attempt_id, pushes=result.pushes):
        logger.warning("%s: the lease on %s was lost; this call published nothing", lease.queue, order.task.run_id)
    elif result.answered is not None:
        # Not before the commit: what others use again must be in evidence. Dies before this: it is asked once more.
        desk.engine.memory.keep(*result.answered)


def _turned_away(order: Order, paused: EndpointPaused, attempt_id: str, lease: Lease, desk: Desk) -> Result | None:
    """The end of a task that has waited long enough for its endpoint; None while it goes on waiting in its queue."""
    turned, times = lease.hand_back(desk.hand_back, attempt_id, paused)
    if turned is not Turned.ENOUGH:
        logger.info("%s: %s is back on the queue: %s", lease.queue, order.task.run_id, paused.message)
        return None
    return Result(_ended(order, State.FAILED, f"model: {paused.message} (handed back {times} times)"))


def _attempted(order: Order, desk: Desk) -> Result | EndpointPaused:
    try:
        outcome = order.attempt(desk.engine)
        record = _wire(outcome.run)
        if len(record) > MAX_BODY_BYTES:
            return Result(
                _ended(order, State.FAILED, f"too large: the record has {len(record)} bytes", with_bundle=False)
            )
        if outcome.escalation is None:
            return Result(record, answered=outcome.answered)
        push = Push(Queue.ESCALATION.value, _sealed(outcome.escalation, desk.keyring))
        return Result(record, (push,), outcome.answered)
    except EndpointPaused as paused:
        return paused
    except Exception as error:
        # A bug of ours or a broken installation: told in the evidence, never retried until it passes.
        logger.exception("%s: the attempt failed in an unforeseen way", order.task.run_id)
        said = str(error).encode("utf-8", "backslashreplace").decode()
        return Result(_ended(order, State.FAILED, f"unforeseen: {type(error).__name__}: {said:.2000}"))


def _poisoned(order: Order, queue: str, payload: dict[str, Any], times: int) -> Result:
    cause = f"poison: started {times} times without an end; the worker died or ran out of time each time"
    logger.error("%s: %s is %s", queue, order.task.run_id, cause)
    letter = dead.letter(queue, cause, identity.canonical_json(payload))
    return Result(_ended(order, State.FAILED, cause), (Push(Queue.DEAD.value, dead.wire(letter)),))


def _ended(order: Order, state: State, reason: str, *, with_bundle: bool = True) -> bytes:
    bundle = order.bundle if with_bundle else None
    return _wire(pipeline.end_without_attempt(order.task, state, reason, bundle=bundle))


def _sealed(order: EscalationOrder, keyring: Keyring) -> bytes:
    message_id = f"{order.task.run_id}:{Tier.ESCALATION}"
    press = Press(TaskName.AUDIT_ESCALATION, Queue.ESCALATION, keyring)
    return press.sealed(message_id, order.model_dump_json(by_alias=True).encode())


def _wire(message: Message) -> bytes:
    return identity.canonical_json(message.wire())


def _in_one_line(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{place}: {first['msg']}{more}"
