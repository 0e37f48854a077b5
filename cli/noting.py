"""Noting in the evidence what a person is about to do: what cannot be noted is not done."""

from __future__ import annotations

import redis
from redis.exceptions import RedisError

from broker import action
from broker.action import Action
from broker.signing import Keyring
from replay.errors import BrokerUnavailable
from replay.settings import Settings


def note(client: redis.Redis, settings: Settings, noted: Action) -> None:
    """Put an action on the evidence stream, before it is done.

    Raises:
        BrokerUnavailable: It could not be noted.
    """
    try:
        action.note(client, noted, Keyring.of(settings))
    except RedisError as error:
        raise BrokerUnavailable(
            f"Who does this could not be noted in the evidence, so it was not done: {error}",
            hint="Where the broker has users, what acts on lanes and batches needs the rights of the operator.",
        ) from error
