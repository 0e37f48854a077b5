"""The processes of a run, each kept alive as a supervisor would: started again, after a random pause, when it ends."""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from chaos.clock import Clock
from chaos.journal import Journal
from tests.processes import ROOT, Process

REPLAY = [sys.executable, "-m", "cli.main"]
"""The `replay` command of this tree."""

_PAUSE_S = (0.2, 2.0)

__all__ = ["REPLAY", "ROOT", "Member"]


class Member:
    """One process of the system, with whatever it starts.

    Args:
        name: For people, and for its log file.
        role: As `replay worker` names it, or `broker`.
        command: What to run.
        env: Its whole environment.
        folder: Where its log goes.
        journal: Told of every start and unexpected end.
        rng: Draws the pauses.
        clock: Its wall clock, where that may jump.

    Attributes:
        frozen: It was stopped and not yet let go on.
        held: It is not to be started.
        largest_file: Bytes that no file of its next processes may exceed; None is no limit.
    """

    def __init__(
        self,
        name: str,
        role: str,
        *,
        command: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        journal: Journal,
        rng: random.Random,
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.role = role
        self.frozen = False
        self.held = False
        self.largest_file: int | None = None
        self._command = command
        self._env = env
        self._log = folder / f"{name}.log"
        self._journal = journal
        self._rng = rng
        self._process: Process | None = None
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process id, while it runs."""
        return self._process.pid if self._process is not None and self._process.exit_code is None else None

    @property
    def is_running(self) -> bool:
        """It lives and is not frozen."""
        return self.pid is not None and not self.frozen

    def tick(self) -> bool:
        """Start it if it is due; True if it was started now."""
        if self._process is not None:
            if self._process.exit_code is None:
                return False
            self._journal.note(f"{self.name} ended by itself with code {self._process.exit_code}")
            self._rest()
        if self.held or time.monotonic() < self._start_at:
            return False
        self._process = Process(self._command, self._env, self._log)
        if self.largest_file is not None:
            self.limit_files(self.largest_file)
        return True

    def limit_files(self, size: int) -> None:
        """Let no file that it writes grow beyond this size, from now on: a full disk, as far as it can tell."""
        if self.pid is not None:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def children(self) -> list[psutil.Process]:
        """The processes that it started, as those of a pool."""
        try:
            return psutil.Process(self.pid).children() if self.pid is not None else []
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """SIGKILL it and everything that it started; it comes back after a pause."""
        if self._process is not None:
            self._process.kill()
            self._rest()

    def freeze(self) -> None:
        """SIGSTOP all of it."""
        if self.pid is not None:
            os.killpg(self.pid, signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """SIGCONT all of it."""
        if self.pid is not None and self.frozen:
            os.killpg(self.pid, signal.SIGCONT)
        self.frozen = False

    def stop(self, timeout_s: float) -> int | None:
        """End it for good, cleanly if it will; its exit code."""
        self.held = True
        process, self._process = self._process, None
        return None if process is None else process.stop(timeout_s)

    def _rest(self) -> None:
        self._process = None
        self.frozen = False
        self._start_at = time.monotonic() + self._rng.uniform(*_PAUSE_S)
