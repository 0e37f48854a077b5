"""What a person does to a lane, noted in the evidence before it is done."""

from __future__ import annotations

from typing import Literal

import redis

from broker import action
from broker.action import Action
from cli import noting
from replay.settings import Settings

Act = Literal["lane.pause", "lane.resume", "lane.budget.set", "lane.budget.unset", "lane.budget.reset"]


def note(broker: redis.Redis, settings: Settings, what: Act, lane: str, detail: str = "") -> None:
    """Note it.

    Raises:
        BrokerUnavailable: It could not be noted, so it must not be done.
    """
    noted = Action(
        id=action.new_id(), action=what, who=action.who(), lane=lane, detail=detail, recorded_at=action.now()
    )
    noting.note(broker, settings, noted)
