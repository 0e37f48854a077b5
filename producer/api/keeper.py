"""Keeping batches moving, in threads of the server: which is looked at when, and what is told of one that is stuck."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import redis

from producer.api import writing
from producer.api.disk import Files
from producer.api.steps import Steps
from producer.api.store import Store
from replay.errors import ReplayError
from replay.settings import Settings

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
_LONGEST_PAUSE_S = 30.0
_THREADS = 2


class Keeper:
    """Keeps every batch that has not ended moving.

    Args:
        settings: Where batches, evidence and broker are.
        store: What has happened.
        files: The files.
        client: The broker; None: the one of the settings, connected to when it is needed.
    """

    def __init__(self, settings: Settings, store: Store, files: Files, client: redis.Redis | None = None) -> None:
        self._stopping = threading.Event()
        self.steps = Steps(settings, store, files, client, self._stopping)
        self._store = store
        self._files = files
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="batch")
        self._thread = threading.Thread(target=self._loop, name="keeper", daemon=True)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        # All three by batch, under the lock.
        self._busy: set[str] = set()
        self._pauses: dict[str, tuple[float, float]] = {}
        self._troubles: dict[str, str] = {}

    def start(self) -> None:
        """Begin, with what an earlier server has left."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new, and wait for the steps that are being made."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()

    def wake(self) -> None:
        """Something has happened: look now."""
        self._wake.set()

    def trouble(self, batch_id: str) -> str | None:
        """What keeps a batch from going on, in words."""
        with self._lock:
            return self._troubles.get(batch_id)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                for file_id in self._store.expired_files():
                    if self._store.forget_file(file_id):
                        self._files.remove(file_id)
                for row in self._store.open_batches():
                    self._begin(row.id)
            except Exception:
                logger.exception("a look at the batches failed; the next one follows")
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    def _begin(self, batch_id: str) -> None:
        with self._lock:
            again_at, _ = self._pauses.get(batch_id, (0.0, 0.0))
            if batch_id in self._busy or time.monotonic() < again_at:
                return
            self._busy.add(batch_id)
        with suppress(RuntimeError):  # the pool was shut down meanwhile
            self._pool.submit(self._advance, batch_id)

    def _advance(self, batch_id: str) -> None:
        trouble: str | None = None
        try:
            while not self._stopping.is_set() and self.steps.step(batch_id):
                pass
        except writing.Stopped:
            return
        except ReplayError as error:
            trouble = error.message
        except Exception as error:
            logger.exception("%s: a step failed", batch_id)
            trouble = f"an error of the server: {type(error).__name__}"
        with self._lock:
            self._busy.discard(batch_id)
            if trouble is None:
                self._pauses.pop(batch_id, None)
                self._troubles.pop(batch_id, None)
                return
            if self._troubles.get(batch_id) != trouble:
                logger.warning("%s does not go on: %s", batch_id, trouble)
            pause_s = min(2 * self._pauses.get(batch_id, (0.0, _LOOK_S / 2))[1], _LONGEST_PAUSE_S)
            self._pauses[batch_id] = (time.monotonic() + pause_s, pause_s)
            self._troubles[batch_id] = trouble
