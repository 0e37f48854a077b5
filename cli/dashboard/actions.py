"""What an operator can do on the dashboard, by the same code as the commands. Who did it goes into the evidence first.

Dead letters are dealt with and noted in one step of the broker. Anything else is noted before it is done: what cannot
be noted is not done. Where it then fails, a second note says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import redis
from redis.exceptions import RedisError

from broker import action, evidence_stream, lanes
from broker.action import Action
from broker.connection import connect
from broker.signing import Keyring
from cli.dashboard.books import no_answer
from dashboard.actions import Done
from evidence import reviews
from evidence.reader import EvidenceReader
from evidence.reviews import Decision
from producer import cancel, letters, manifest, pause, retry
from producer.requeue import Dealt, Desk, Fate
from replay.contracts import Ruling, Tier
from replay.errors import InputError, ReplayError
from replay.identity import canonical_json
from replay.settings import Settings

Result = TypeVar("Result")

BatchAction = Literal["batch.cancel", "batch.pause", "batch.resume", "batch.retry"]
_MAX_REASON = 200


class ProducerActions:
    """Acts on what lies on the disk and in the broker of these settings.

    Raises:
        ConfigurationError: The key of messages is none.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keyring = Keyring.of(settings)

    def cancel_batch(self, batch_id: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        batch = manifest.load(self._settings.batches_dir, self._known(batch_id))
        with self._broker() as client:
            noted = _of_batch("batch.cancel", batch.batch_id, who)
            left = self._noted(client, noted, lambda: cancel.cancel(batch, self._settings, client))
        return Done(f"{batch.batch_id} is cancelled: {left:,} of its {len(batch.tasks):,} tasks had not ended.")

    def pause_batch(self, batch_id: str, reason: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        exact, reason = self._known(batch_id), _reason(reason)
        with self._broker() as client:
            noted = _of_batch("batch.pause", exact, who, reason)
            self._noted(client, noted, lambda: pause.pause(exact, self._settings, client, reason=reason))
        return Done(f"{exact} is paused: what runs is finished, what waits is held back until it is resumed.")

    def resume_batch(self, batch_id: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        exact = self._known(batch_id)
        with self._broker() as client:
            noted = _of_batch("batch.resume", exact, who)
            made = self._noted(client, noted, lambda: pause.resume(exact, self._settings, client, self._keyring))
        return Done(f"{exact} goes on: {made.enqueued:,} messages are on its queues again.")

    def retry_batch(self, batch_id: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        exact = self._known(batch_id)
        with self._broker() as client:
            noted = _of_batch("batch.retry", exact, who)
            made = self._noted(client, noted, lambda: retry.retry(exact, self._settings, client, self._keyring))
        if not made.repeated:
            return Done(f"No run of {exact} stands as failed.")
        return Done(
            f"{made.repeated:,} runs of {exact} are made once more; {made.enqueued:,} of them are on their queue."
        )

    def pause_lane(self, lane: str, reason: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        tier = _tier(lane)
        reason = _reason(reason)
        with self._broker() as client:
            noted = Action(
                id=action.new_id(), action="lane.pause", who=who, lane=tier, detail=reason, recorded_at=action.now()
            )
            self._noted(client, noted, lambda: lanes.pause(client, tier.value, reason))
        return Done(f"The {tier} lane is paused: what runs is finished, what waits stays in its queue.")

    def resume_lane(self, lane: str, who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        tier = _tier(lane)
        with self._broker() as client:
            noted = Action(id=action.new_id(), action="lane.resume", who=who, lane=tier, recorded_at=action.now())
            resumed = self._noted(client, noted, lambda: lanes.resume(client, lanes.door(tier, self._settings)))
        return Done(f"The {tier} lane goes on." if resumed else f"Nothing had stopped the {tier} lane.")

    def requeue(self, letter_ids: Sequence[str], who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._deal(letter_ids, who, Desk.requeue)

    def discard(self, letter_ids: Sequence[str], who: str) -> Done:
        """See `dashboard.actions.Actions`."""
        return self._deal(letter_ids, who, Desk.discard)

    def review(
        self, run_id: str, decision: Decision, *, note: str, verdict: Ruling | None, admit: bool, who: str
    ) -> Done:
        """See `dashboard.actions.Actions`."""
        found = reviews.case(EvidenceReader(self._settings.evidence_log), run_id)
        made = reviews.judge(found, decision, note=note, who=who, verdict=verdict, admit=admit)
        with self._broker() as client:
            evidence_stream.append(client, canonical_json(made.wire()), self._keyring)
        return Done(f"Run {found.run.custom_id} is {decision}ed; the writer appends it to the evidence.")

    def _deal(self, letter_ids: Sequence[str], who: str, how: Callable[[Desk, letters.Lying], Dealt]) -> Done:
        if not letter_ids:
            raise InputError("no letter is chosen", hint="Mark the letters first.")
        with self._broker() as client:
            desk = Desk(self._settings, client, who=who)
            dealt = [how(desk, lying) for lying in letters.choose(client, letter_ids)]
        left = [one for one in dealt if one.fate is Fate.LEFT]
        words = [f"{len(dealt) - len(left)} of {len(dealt)} letters are dealt with."]
        words += [f"{one.letter_id} stays: {one.why}." for one in left]
        return Done(" ".join(words), ok=not left)

    def _known(self, batch_id: str) -> str:
        return manifest.find_id(self._settings.batches_dir, batch_id)

    def _noted(self, client: redis.Redis, noted: Action, do: Callable[[], Result]) -> Result:
        # Dies after this: the evidence tells of an action that did not happen; never the other way round.
        action.note(client, noted, self._keyring)
        try:
            return do()
        except ReplayError as error:
            undone: dict[str, Any] = {"id": action.new_id(), "recorded_at": action.now()}
            undone["detail"] = f"{noted.id} was not done, or not to its end: {error.message}"
            action.note(client, noted.model_copy(update=undone), self._keyring)
            raise

    @contextmanager
    def _broker(self) -> Iterator[redis.Redis]:
        try:
            with connect(self._settings, patience=1) as client:
                yield client
        except RedisError as error:
            raise no_answer(error) from error


def _of_batch(what: BatchAction, batch_id: str, who: str, detail: str = "") -> Action:
    return Action(id=action.new_id(), action=what, who=who, batch_id=batch_id, detail=detail, recorded_at=action.now())


def _reason(given: str) -> str:
    return given.strip()[:_MAX_REASON] or "paused by an operator"


def _tier(lane: str) -> Tier:
    try:
        return Tier(lane)
    except ValueError:
        raise InputError(f"there is no lane {lane[:20]!r}", hint="There are local and escalation.") from None
