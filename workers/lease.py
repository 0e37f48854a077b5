"""The lease on one message, kept alive while its task runs."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import redis

from broker.claims import Begun, Claims, Push
from broker.connection import LOST
from broker.hand_back import HandBack, Turned
from broker.paused import let_go
from replay.models.breaker import EndpointPaused

logger = logging.getLogger(__name__)


class Lease:
    """The right to publish the outcome of one message.

    Args:
        claims: The broker's side.
        queue: Where the message lay.
        tag: Its delivery tag, made at its acceptance.
        visibility_timeout_s: How long the lease lasts without renewal.
    """

    def __init__(self, claims: Claims, queue: str, tag: str, visibility_timeout_s: float) -> None:
        self.queue = queue
        self._claims = claims
        self._tag = tag
        self._every_s = visibility_timeout_s / 4
        self._stop = threading.Event()

    def renew(self) -> bool:
        """Extend the lease; False if it is lost: another worker has the message, or will."""
        return self._claims.renew(self.queue, self._tag)

    def begin(self, attempt_id: str) -> Begun:
        """Take the attempt that the message asks for, and count the start; or learn that the message is doubled."""
        return self._claims.begin(self.queue, self._tag, attempt_id)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease from a thread of this process, so that it ends with the process and not before the task.

        A hung task is bounded by the worker's time limit, which kills the process and the thread with it.
        """
        # With the context, whose ids its log lines carry.
        keeper = threading.Thread(target=contextvars.copy_context().run, args=(self._keep,), name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._stop.set()
            keeper.join()

    def commit(self, record: bytes, *, attempt_id: str, pushes: Sequence[Push] = ()) -> bool:
        """Publish evidence and messages and end the lease, all or nothing; False if it was lost."""
        return self._claims.commit(self.queue, self._tag, record, attempt_id=attempt_id, pushes=pushes)

    def hand_back(self, hand_back: HandBack, attempt_id: str, paused: EndpointPaused) -> tuple[Turned, int]:
        """Let the message wait for its endpoint, behind all others; or learn that it has waited long enough."""
        return hand_back(self.queue, self._tag, attempt_id, paused)

    def let_go(self, client: redis.Redis, attempt_id: str, batch_id: str) -> bool:
        """Drop the message of a batch that is paused; False if it goes on meanwhile."""
        return let_go(client, self.queue, self._tag, attempt_id, batch_id)

    def condemn(self, cause: str) -> bool:
        """Turn the message into a dead letter; False if the lease was lost."""
        return self._claims.condemn(self.queue, self._tag, cause) is not None

    def _keep(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                if not self.renew():
                    return  # the commit will find out as well, and publish nothing
            except LOST as error:
                logger.warning("a lease on %s could not be renewed: %s; trying again", self.queue, error)
