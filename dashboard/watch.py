"""Looks at the broker that pages share: one within a moment, however many ask; and rates from what changes between."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import redis

from broker import overview
from broker.meters import WAITED, Reading
from broker.overview import Overview
from broker.queues import WORK
from replay.errors import ReplayError
from replay.settings import Settings

_FRESH_S = 0.8
WINDOW_S = 60.0
_LEAST_S = 5.0
_LATELY_S = 15.0
_AGAIN_S = 1.0

Ask = Callable[[Callable[[redis.Redis], Any]], Any]


@dataclass(frozen=True)
class Look:
    """What the broker said, or why it said nothing."""

    system: Overview | None
    problem: ReplayError | None


@dataclass(frozen=True)
class Pace:
    """A queue over the last minute, in messages a second; None where the looks do not reach back far enough.

    Attributes:
        taken: Messages that workers took.
        came: Messages that came.
        able: What workers took while there was something to do.
        lately: Messages that came within the last seconds: a batch comes at once, and then no more.
    """

    taken: float | None = None
    came: float | None = None
    able: float | None = None
    lately: float | None = None

    def eta_s(self, left: int) -> float | None:
        """Seconds until nothing is left at this pace; None where nobody knows or it grows."""
        if not self.able or self.lately is None or not left:
            return None
        drain = self.able - self.lately
        return left / drain if drain > 0 else None

    @property
    def grows(self) -> bool:
        """More comes than is taken."""
        return self.able is not None and self.lately is not None and self.lately > max(self.able, 0.02)


@dataclass(frozen=True)
class _Sample:
    at: float
    waiting: dict[str, int]
    busy: dict[str, bool]
    taken: dict[str, float]


class Watch:
    """The broker as pages see it.

    Args:
        settings: Say which endpoints the lanes have.
        ask: Asks the broker, see `Desk.ask_broker`.
    """

    def __init__(self, settings: Settings, ask: Ask) -> None:
        self._settings = settings
        self._ask = ask
        self._lock = threading.Lock()
        self._latest = Look(None, None)
        self._at = float("-inf")
        self._samples: deque[_Sample] = deque()

    def look(self) -> Look:
        """The broker now, or a moment ago."""
        with self._lock:
            if time.monotonic() - self._at >= _FRESH_S:
                self._latest = self._taken()
                self._at = time.monotonic()
            return self._latest

    def paces(self) -> dict[str, Pace]:
        """How fast each queue moves, by name."""
        with self._lock:
            samples = list(self._samples)
        if len(samples) < 2 or samples[-1].at - samples[0].at < _LEAST_S:
            return {queue.value: Pace() for queue in WORK}
        return {queue.value: _pace(samples, queue.value) for queue in WORK}

    def _taken(self) -> Look:
        try:
            system = self._ask(lambda client: overview.look(client, self._settings))
        except ReplayError as problem:
            self._samples.clear()
            return Look(None, problem)
        taken = _taken_by_queue(system.counted)
        if self._samples and any(count < self._samples[-1].taken.get(name, 0.0) for name, count in taken.items()):
            self._samples.clear()  # the broker began anew
        if not self._samples or system.at - self._samples[-1].at >= _AGAIN_S:
            depths = system.depths
            busy = {queue: bool(count or depths.in_flight.get(queue)) for queue, count in depths.waiting.items()}
            self._samples.append(_Sample(system.at, depths.waiting, busy, taken))
        while system.at - self._samples[0].at > WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()
        return Look(system, None)


def _pace(samples: list[_Sample], queue: str) -> Pace:
    seconds = samples[-1].at - samples[0].at
    taken, came = _between(samples[0], samples[-1], queue)
    # An interval counts as busy where there was something to do at one of its ends.
    pairs = [(one, two) for one, two in pairwise(samples) if one.busy[queue] or two.busy[queue]]
    busy_s = sum(two.at - one.at for one, two in pairs)
    able = sum(_between(one, two, queue)[0] for one, two in pairs) / busy_s if busy_s else None
    recent = next(sample for sample in samples if sample.at >= samples[-1].at - _LATELY_S)
    lately_s = samples[-1].at - recent.at
    lately = _between(recent, samples[-1], queue)[1] / lately_s if lately_s else None
    return Pace(taken / seconds, came / seconds, able, lately)


def _between(one: _Sample, two: _Sample, queue: str) -> tuple[float, float]:
    taken = max(0.0, two.taken.get(queue, 0.0) - one.taken.get(queue, 0.0))
    return taken, max(0.0, two.waiting[queue] - one.waiting[queue] + taken)


def _taken_by_queue(counted: Reading) -> dict[str, float]:
    return {labels[0]: sum(histogram.counts) for labels, histogram in counted.histograms.get(WAITED, {}).items()}
