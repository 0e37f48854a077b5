"""The lease on one message, kept alive while its task runs."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

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
        keeper = _keeper(self._every_s)
        keeper.hold(self)
        try:
            yield
        finally:
            keeper.let_go(self)

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


class _Keeper:
    """Renews the leases that this process holds, from one thread.

    It looks after them at fixed times, whenever each began: no lease waits for longer than that, and a task that ends
    before the next time costs no thread of its own. The thread ends when it finds none.

    Args:
        every_s: Time between two renewals.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        # Each with the context of its task, whose ids the log lines carry.
        self._held: dict[Lease, contextvars.Context] = {}
        self._runs = False

    def hold(self, lease: Lease) -> None:
        """Renew this one from now on."""
        with self._lock:
            self._held[lease] = contextvars.copy_context()
            if not self._runs:
                # The thread looks for work under the same lock: it cannot end before it is said to run.
                threading.Thread(target=self._run, name=f"lease {self._every_s:g} s", daemon=True).start()
                self._runs = True

    def let_go(self, lease: Lease) -> None:
        """Renew it no more. A renewal that is on its way finds nothing to renew once the commit is made."""
        with self._lock:
            self._held.pop(lease, None)

    def _run(self) -> None:
        while True:
            time.sleep(self._every_s)
            with self._lock:
                held = list(self._held.items())
                if not held:
                    self._runs = False
                    return
            for lease, context in held:
                if not context.run(self._renewed, lease):
                    self.let_go(lease)  # the commit will find out as well, and publish nothing

    @staticmethod
    def _renewed(lease: Lease) -> bool:
        try:
            return lease.renew()
        except LOST as error:
            logger.warning("a lease on %s could not be renewed: %s; trying again", lease.queue, error)
            return True
        except Exception:
            # A broker that refuses one renewal must not end those of all tasks to come.
            logger.exception("a lease on %s could not be renewed; trying again", lease.queue)
            return True


# One for each length of a lease, and a process has one such length. A forked child has its own: nothing is held before.
_keeper = cache(_Keeper)
