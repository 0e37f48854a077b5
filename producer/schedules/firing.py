"""What is due becomes a batch, exactly once.

The id of that batch follows from the tasks, their options, the entry's name and the moment at which it was due. So a
firing that is made again, by a scheduler that died before it could note the first one or by a second scheduler, finds
the batch and adds nothing. Nothing else is needed for it, no lock and no broker that remembers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis

from producer.intake import Lines
from producer.schedules import times
from producer.schedules.entry import CatchUp, Entry, Fired
from producer.schedules.store import Schedules
from producer.submit import BatchCancelled, submit
from replay.errors import BrokerUnavailable, InputError, ReplayError
from replay.settings import Settings

logger = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Choice:
    """What of all that is due is to run.

    Attributes:
        runs: Due times, the oldest first.
        missed: The newest due time that is left out for good.
    """

    runs: tuple[datetime, ...] = ()
    missed: datetime | None = None


def choose(entry: Entry, now: datetime) -> Choice:
    """Say what of an entry is to run now."""
    most = entry.catch_up_most if entry.catch_up is CatchUp.ALL else 1
    asked = most + 2
    while True:
        found = times.newest(entry.cron, entry.timezone, entry.done_until, now, asked)
        ready = [due for due in found if entry.runs_at(due) <= now]
        # Of the newest ones some may wait for their jitter; then it takes more of the older ones to be sure.
        if len(found) < asked or len(ready) > most:
            break
        asked *= 2
    runs, left = ready[-most:], ready[:-most]
    if runs and entry.catch_up is CatchUp.SKIP and now - entry.runs_at(runs[-1]) > timedelta(seconds=entry.grace_s):
        runs, left = [], ready
    return Choice(tuple(runs), left[-1] if left else None)


class Firing:
    """Submits what is due.

    Args:
        settings: Where schedules, batches, corpus and broker are.
        client: The broker.
        alive: Called now and then, to give a sign of life.
        now: The time of day, with its zone.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        *,
        alive: Callable[[], object] = lambda: None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._settings = settings
        self._client = client
        self._alive = alive
        self._now = now
        self._schedules = Schedules(settings.schedules_dir)
        self._told: set[tuple[str, str]] = set()

    def fire(self) -> int:
        """Submit everything that is due and was not yet; what cannot be submitted stops nothing else, and stays due.

        Returns:
            How many runs were submitted.

        Raises:
            BrokerUnavailable: It does not answer.
            RedisError: The same, met elsewhere.
        """
        fired = 0
        for name, found in self._schedules.each():
            self._alive()
            if isinstance(found, ReplayError):
                self._tell_once(name, found.message)
            elif not found.paused:
                fired += self._fire_all(found)
        return fired

    def _fire_all(self, entry: Entry) -> int:
        fired = 0
        try:
            chosen = choose(entry, self._now())
            if chosen.missed is not None:
                logger.warning(
                    "schedule %s: what was due up to %s and had not run is left out (%s)",
                    entry.name,
                    times.written(chosen.missed),
                    entry.catch_up,
                )
                self._note(entry, chosen.missed, missed=chosen.missed)
            for due in chosen.runs:
                batch_id = self._submit(entry, due)
                # Dies here: the next one submits it again, finds the batch, and adds nothing.
                self._note(entry, due, last=Fired(due=due, at=self._now(), batch_id=batch_id))
                fired += 1
        except BrokerUnavailable:
            raise
        except ReplayError as error:
            self._tell_once(entry.name, error.message)
            self._note_trouble(entry, error.message)
        return fired

    def _submit(self, entry: Entry, due: datetime) -> str:
        lines = Lines(self._schedules.proved_tasks(entry), entry.overrides())
        try:
            made = submit(
                lines,
                self._settings,
                source=f"schedule {entry.name}",
                nonce=entry.nonce(due),
                client=self._client,
                priority=entry.priority,
                on_step=lambda _: self._alive(),
            )
        except BatchCancelled as cancelled:
            return cancelled.batch_id  # it was submitted, and somebody wanted no more of it
        logger.info(
            "schedule %s: due at %s, submitted as %s: %d tasks, %d enqueued",
            entry.name,
            times.written(due),
            made.batch_id,
            made.total,
            made.enqueued,
        )
        return made.batch_id

    def _note(
        self, entry: Entry, until: datetime, *, last: Fired | None = None, missed: datetime | None = None
    ) -> None:
        def noted(now: Entry) -> Entry:
            if now.created_at != entry.created_at:
                return now  # another one has its name since
            done: dict[str, object] = {"done_until": max(now.done_until, until), "trouble": None}
            if last is not None and (now.last is None or now.last.due < last.due):
                done["last"] = last
            if missed is not None:
                done["missed"] = missed
            return now.model_copy(update=done)

        with suppress(InputError):  # removed since: then nothing is due any more
            self._schedules.change(entry.name, noted)

    def _note_trouble(self, entry: Entry, message: str) -> None:
        # To be seen in lists; the log has it in any case.
        with suppress(ReplayError):
            self._schedules.change(entry.name, lambda now: now.model_copy(update={"trouble": message}))

    def _tell_once(self, name: str, message: str) -> None:
        if (name, message) not in self._told:
            self._told.add((name, message))
            logger.error("schedule %s: %s", name, message)
