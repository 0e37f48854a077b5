# mypy: allow-untyped-calls, disable-error-code="assignment"
# kombu says that it is typed and hardly is.
"""kombu's Redis transport, with two of its holes closed for our own queues.

* **A message is never only in a socket.** Stock kombu 5.7 pops (`BRPOP`) and then records; a crash between the two
  loses the message. Here `BLMOVE` moves it into a claim list of this consumer, and one script moves it on into flight;
  `broker.claims` draws the moves. Measured on this idea: 60 kills -9, 18,000 tasks, 9 lost with the stock transport, 0
  with claims.
* **Any bytes on a queue survive.** Stock kombu exits, or reconnects for ever, over an envelope without content type,
  id or delivery tag, and the message is gone. Here the bytes are looked at before kombu sees them; what may not run
  becomes a dead letter in the same step that removes it.

Everything is keyed by queue, so a worker needs no role: two workers of different queues share nothing, whatever their
visibility timeouts. Queues that are not ours (remote control, replies) are served by the stock code. Messages keep
kombu's form on the queue, so any Celery producer and tool works with them.
"""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from queue import Empty
from typing import Any

from celery.worker import state
from kombu.transport import TRANSPORT_ALIASES, redis, virtual

from broker import dead, lanes, meters
from broker.claims import CONSUMER_TTL_S, Claims, Entrance, claim_key
from broker.envelope import EnvelopeFault, opened
from broker.lanes import OPEN, Door, LaneState, LaneStatus
from broker.meters import Meters
from broker.signing import UNSIGNED, Keyring
from replay.errors import ConfigurationError
from replay.topology import ROUTES, Queue

logger = logging.getLogger(__name__)

# The transport option that brings the keys of messages; kombu hands a channel nothing else of ours.
KEYRING_OPTION = "replay_keyring"
# And the one that brings what has to let a message of each queue through.
DOORS_OPTION = "replay_doors"
# How often a worker of a shut lane looks whether it is open, and one that waits at an empty queue whether it is shut.
_LOOK_S = 1.0

OURS = frozenset(queue.value for queue in ROUTES.values())


_STOCK = "kombu.transport.redis:Transport"


def install(*, atomic_claim: bool) -> None:
    """Make kombu use this transport for `redis://`, `rediss://` and `redis+socket://` in this process, or its own.

    kombu takes no class path in a URL; the alias table is its way to name a transport, and keeping the stock names lets
    Flower and `celery inspect` read the URL.
    """
    for alias in ("redis", "rediss"):
        TRANSPORT_ALIASES[alias] = f"{__name__}:Transport" if atomic_claim else _STOCK


class QoS(redis.QoS):
    """What this channel holds: the server's side lies in `Claims`, kombu's own keys serve foreign queues."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._queue_of: dict[str, str] = {}

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a delivery; one of ours is in flight on the server already."""
        queue = self.channel.accepted.pop(delivery_tag, None)
        if queue is None:
            super().append(message, delivery_tag)
            return
        self._queue_of[delivery_tag] = queue
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Make room for another message. The server is not told: the commit of the task has let go of it already.

        Celery also acknowledges what it did not run, or what failed in a way that the task could not catch. Nothing was
        committed then, so the message stays in flight, comes back when its lease runs out, and the cap on starts ends
        it with evidence.
        """
        queue = self._queue_of.pop(delivery_tag, None)
        if queue is None:
            super().ack(delivery_tag)
        else:
            virtual.QoS.ack(self, delivery_tag)
            self.channel.note_end(queue)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Hand a message back, or bury it: stock kombu deletes what Celery rejects for good."""
        queue = self._queue_of.pop(delivery_tag, None)
        if queue is None:
            super().reject(delivery_tag, requeue=requeue)
            return
        virtual.QoS.ack(self, delivery_tag)
        if requeue:
            # Behind the others: a message whose task kills its process must not do so before everybody else's turn.
            self.channel.claims.give_back(queue, delivery_tag, behind=True)
        else:
            logger.error("%s: Celery rejected a message; it is kept as a dead letter", queue)
            self.channel.claims.condemn(queue, delivery_tag, "Celery rejected it: unknown task or invalid call")

    def restore_unacked(self, client: Any = None) -> None:
        """Called when the channel closes: at a stop, hand back what is still held.

        After a lost connection it is kept: the tasks go on running, their leases are renewed by themselves, and stock
        kombu, which hands them out a second time here, runs each of them twice.
        """
        stopping = state.should_stop is not None or state.should_terminate is not None
        for tag in list(self._delivered):
            queue = self._queue_of.pop(tag, None)
            if queue is None:
                self.restore_by_tag(tag, client=client)
            elif stopping:
                self.channel.claims.give_back(queue, tag)
        self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int = 10, interval: int = 10) -> None:
        """Called by a timer: put back what dead workers held."""
        queues = [queue for queue in self.channel.active_queues if queue in OURS]
        for queue in queues:
            recovered = self.channel.claims.sweep(queue, self.channel.visibility_timeout)
            self.channel.meters.count(meters.RECOVERED, queue, "lease", by=recovered.leases)
            self.channel.meters.count(meters.RECOVERED, queue, "claim", by=recovered.claims)
            if recovered.leases or recovered.claims:
                logger.warning(
                    "%s: %d leases ran out and %d claims were orphaned; their messages are back on the queue",
                    queue,
                    recovered.leases,
                    recovered.claims,
                )
        if not queues and self.channel.active_queues:
            super().restore_visible(start=start, num=num, interval=interval)


class Channel(redis.Channel):
    """A channel that serves either our queues, by claims, or foreign ones, as stock kombu does.

    Attributes:
        claims: The moves, on connections of their own that outlive this channel: a task that ends after a lost
            connection still drops its message.
        accepted: Delivery tags that are in flight on the server and not yet known to `QoS`, with their queue.
        meters: What this channel has counted; the worker's heartbeat tells the broker.
    """

    QoS = QoS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._keyring: Keyring = self.connection.client.transport_options.get(KEYRING_OPTION, UNSIGNED)
        self._doors: dict[str, Door] = self.connection.client.transport_options.get(DOORS_OPTION, {})
        # Of each queue: when its door was looked at, and how its lane stood then; and those that are told to be shut.
        self._looked: dict[str, tuple[float, LaneStatus]] = {}
        self._shut: set[str] = set()
        self._broker = self._create_client()
        self.claims = Claims(self._broker, self._keyring)
        self.accepted: dict[str, str] = {}
        self.meters = Meters()
        self._consumer = _new_consumer()
        self._registered_at: dict[str, float] = {}
        self._polled: str | None = None
        self._reply_due = False

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Start to consume a queue.

        Raises:
            ConfigurationError: Our queues and foreign ones in one worker, which no single command can wait for.
        """
        others = {*self.active_queues, *([] if queue in self._fanout_queues else [queue])}
        if others & OURS and others - OURS:
            raise ConfigurationError(
                f"one worker cannot consume {', '.join(sorted(others))} together",
                hint=f"give it our queues alone: -Q {' or -Q '.join(sorted(OURS))}",
            )
        return super().basic_consume(queue, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues or queues[0] not in OURS:
            self._polled = None
            super()._brpop_start(timeout)
            return
        if not self._may_take_from(queues[0]):
            # Asking for nothing is what kombu does itself where it has no queue; the next tick of its loop comes here.
            self._polled = None
            self._queue_cycle.rotate(queues[0])
            return
        if self._reply_due:
            # The last reply never came: what it may have moved stays in the old claim list until a sweep finds that
            # its consumer is gone.
            self._consumer = _new_consumer()
            self._registered_at.clear()
        self._polled = queue = queues[0]
        self._give_sign_of_life(queue)
        self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()
        self._reply_due = True
        # With several queues each waits its turn, so the wait is shared among them.
        seconds = (timeout or self.brpop_timeout or 1) / len(queues)
        self.client.connection.send_command("BLMOVE", queue, claim_key(queue, self._consumer), "RIGHT", "LEFT", seconds)

    def _brpop_read(self, **options: Any) -> Any:
        queue = self._polled
        if queue is None:
            return super()._brpop_read(**options)
        try:
            try:
                item = self.client.parse_response(self.client.connection, "BLMOVE", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            self._reply_due = False
            self._queue_cycle.rotate(queue)
            if item is None:
                raise Empty
            self._receive_item(queue, item)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _poll_error(self, type: str, **options: Any) -> None:  # noqa: A002  kombu's signature
        if type == "BRPOP" and self._polled is not None:
            self.client.parse_response(self.client.connection, "BLMOVE")
            return
        super()._poll_error(type, **options)

    def _receive_item(self, queue: str, item: bytes) -> None:
        if self._closing or queue not in self.connection._callbacks:  # noqa: SLF001  kombu has no other way to ask
            self.claims.decline(queue, self._consumer, item)
            return
        try:
            envelope = opened(item, Queue(queue), self._keyring)
        except EnvelopeFault as fault:
            letter = dead.letter(queue, f"{fault.cause}: {fault}", item)
            report = "%s: a message of %d bytes cannot run (%s: %s); kept as %s"
            logger.error(report, queue, len(item), fault.cause, fault, letter.id)  # noqa: TRY400  the fault says it all
            self.claims.bury(queue, self._consumer, item, letter)
            self.meters.count(meters.REFUSED, queue, fault.cause)
            return
        tag = uuid.uuid4().hex
        entrance = self.claims.admit(queue, self._consumer, item, tag, self._doors.get(queue))
        if entrance is Entrance.SHUT:
            self._looked.pop(queue, None)  # why, it will be told before it asks for the next one
            return
        if entrance is Entrance.GONE:
            logger.warning("%s: a sweep took back a claim of this worker: it was frozen for a while", queue)
            return
        self._note_door(queue, OPEN)
        self.accepted[tag] = queue
        if envelope.enqueued_at is not None:
            self.meters.observe(meters.WAITED, max(0.0, time.time() - envelope.enqueued_at), queue)
        self.connection._deliver(envelope.message(queue, tag), queue)  # noqa: SLF001  as stock kombu does here

    def note_end(self, queue: str) -> None:
        """A task has ended: where its lane was full, there is room for another one, and it is looked for at once."""
        if self._looked.get(queue, (0.0, OPEN))[1].state is LaneState.FULL:
            del self._looked[queue]

    def _may_take_from(self, queue: str) -> bool:
        """Is the lane's door open? Told by the last message where there was one just now, else asked.

        Where tasks at once are limited, a message that went in may have been the last that may: then it is asked.
        """
        door = self._doors.get(queue)
        if door is None:
            return True
        looked_at, status = self._looked.get(queue, (float("-inf"), OPEN))
        known = status.state is not LaneState.OPEN or door.bounds.in_flight is None
        if known and time.monotonic() - looked_at < _LOOK_S:
            return status.state is LaneState.OPEN
        status = lanes.look(self._broker, door)
        self._note_door(queue, status)
        return status.state is LaneState.OPEN

    def _note_door(self, queue: str, status: LaneStatus) -> None:
        self._looked[queue] = (time.monotonic(), status)
        was_shut = queue in self._shut
        if status.works:
            self._shut.discard(queue)
            if was_shut:
                logger.info("%s: takes messages again", queue)
        elif not was_shut:
            self._shut.add(queue)
            logger.warning("%s: takes no messages; they wait in the queue. %s", queue, status)

    def _give_sign_of_life(self, queue: str) -> None:
        now = time.monotonic()
        if now - self._registered_at.get(queue, float("-inf")) >= CONSUMER_TTL_S / 4:
            self.claims.register(queue, self._consumer)
            self._registered_at[queue] = now


class Transport(redis.Transport):
    """The Redis transport with our channel."""

    Channel = Channel


def _new_consumer() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
