"""Keeping the read model of the evidence fresh: a thread of low priority while the dashboard serves."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from pathlib import Path

from evidence.scan import end_of
from evidence.views.follow import Progress, catch_up
from replay.errors import EvidenceError, ReplayError

logger = logging.getLogger(__name__)

_IDLE_S = 5.0
_PIECE_S = 0.5
_NICE = 10


class Follower:
    """Brings the views of a log up to date: by itself every few seconds, at once when somebody looks.

    Without `start` each look brings them up to date itself, for short.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._wanted = threading.Event()
        self._stop = threading.Event()
        self._done = threading.Condition()
        self._rounds = 0
        self._thread: threading.Thread | None = None
        self._alone = threading.Lock()
        self.progress = Progress(0, 0, 0)
        self.problem: ReplayError | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._thread = threading.Thread(target=self._follow, name="views", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; a chunk that is being read is finished first."""
        self._stop.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def fresh(self, wait_s: float = 0.05) -> Progress:
        """Have the views brought up to date, and wait a moment for it; afterwards they are as fresh as can be had."""
        if self.progress.seq and self._is_read():
            return self.progress
        if self._thread is None:
            self._round(budget_s=5.0)
            return self.progress
        with self._done:
            # The round that runs now may have begun before what is asked for was written; the one after it has not.
            after = self._rounds + 1
            self._wanted.set()
            self._done.wait_for(lambda: self._rounds >= after, wait_s)
        return self.progress

    def _is_read(self) -> bool:
        try:
            return end_of(self._log) == self.progress.read
        except ReplayError:
            return False  # the next round says what is wrong

    def _follow(self) -> None:
        # On Linux priorities belong to threads. Those who work go first; reading evidence can wait.
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        except OSError as error:
            logger.debug("the views are followed with the priority of the others: %s", error)
        while not self._stop.is_set():
            self._wanted.clear()
            self._round(_PIECE_S)
            if self.progress.share >= 1.0 or self.problem or self.progress.busy:
                self._wanted.wait(_IDLE_S)

    def _round(self, budget_s: float) -> None:
        try:
            with self._alone:
                self.progress = catch_up(self._log, budget_s=budget_s)
            self.problem = None
        except ReplayError as problem:
            self._stands_still(problem)
        except (OSError, sqlite3.Error) as error:
            self._stands_still(
                EvidenceError(
                    f"the views of the evidence cannot be written: {error}",
                    hint=f"The dashboard keeps them beside the log: see rights and space in {self._log.parent}.",
                )
            )
        with self._done:
            self._rounds += 1
            self._done.notify_all()

    def _stands_still(self, problem: ReplayError) -> None:
        if self.problem is None or self.problem.message != problem.message:
            logger.warning("the views of the evidence stand still: %s", problem.message)
        self.problem = problem
