"""The producer of a run: `replay submit FILE` for one part of the tasks after the other, again until it succeeds."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.journal import Journal
from chaos.processes import REPLAY
from tests.processes import Process

_PAUSE_S = (0.2, 1.0)


class Producer:
    """Submits files, one process at a time.

    Args:
        env: Of the processes.
        folder: Where their log goes.
        batches: Where manifests appear.
        journal: Told of what goes wrong.
        rng: Draws the pauses.

    Attributes:
        frozen: The present process was stopped and not yet let go on.
    """

    def __init__(
        self, env: Mapping[str, str], folder: Path, batches: Path, journal: Journal, rng: random.Random
    ) -> None:
        self.frozen = False
        self._env = env
        self._log = folder / "producer.log"
        self._batches = batches
        self._journal = journal
        self._rng = rng
        self._due: list[tuple[float, Path]] = []
        self._file: Path | None = None
        self._process: Process | None = None
        self._start_at = 0.0
        self._manifests = 0

    def plan(self, files: Sequence[Path], *, over_s: float) -> None:
        """Submit these files, the first one now and the others evenly over this time."""
        now = time.monotonic()
        self._due += [(now + over_s * number / len(files), file) for number, file in enumerate(files)]

    @property
    def is_done(self) -> bool:
        """Everything that is planned was submitted."""
        return not self._due and self._file is None

    @property
    def is_submitting(self) -> bool:
        """A process runs and is not frozen."""
        return self._process is not None and self._process.exit_code is None and not self.frozen

    @property
    def has_written(self) -> bool:
        """The present process has made its manifest: from here on it enqueues."""
        return self._count() > self._manifests

    def tick(self) -> None:
        """Look after the present process, and start the next one if it is due."""
        if self._process is not None and (code := self._process.exit_code) is not None:
            self._process = None
            if code == 0:
                self._file = None
            else:
                self._journal.note(f"the producer ended with code {code}; it is started again")
                self._start_at = time.monotonic() + self._rng.uniform(*_PAUSE_S)
        if self._process is not None or time.monotonic() < self._start_at:
            return
        if self._file is None and self._due and self._due[0][0] <= time.monotonic():
            self._file = self._due.pop(0)[1]
        if self._file is not None:
            self._manifests = self._count()
            self._process = Process([*REPLAY, "submit", str(self._file), "--json"], self._env, self._log)

    def hurry(self, files: Sequence[Path]) -> None:
        """Have something to submit now: the next part, or any part once more, which is resumed."""
        if self._file is None:
            self._file = self._due.pop(0)[1] if self._due else self._rng.choice(files)
            self._start_at = 0.0

    def kill(self) -> None:
        """SIGKILL the present process; the same file is submitted again after a pause."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            self._start_at = time.monotonic() + self._rng.uniform(*_PAUSE_S)
        self.frozen = False

    def freeze(self) -> None:
        """SIGSTOP the present process."""
        if self._process is not None and self._process.exit_code is None:
            os.killpg(self._process.pid, signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """SIGCONT it."""
        if self._process is not None and self.frozen and self._process.exit_code is None:
            os.killpg(self._process.pid, signal.SIGCONT)
        self.frozen = False

    def _count(self) -> int:
        return sum(1 for _ in self._batches.glob("*/manifest.jsonl"))
