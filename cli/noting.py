"""Noting in the evidence what a person is about to do: what cannot be noted is not done."""

from __future__ import annotations

import redis
from redis.exceptions import RedisError

from broker import action
from broker.action import Action
from broker.connection import connect
from broker.signing import Keyring
from evidence.log import EvidenceLog
from replay.errors import BrokerUnavailable, EvidenceLocked
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


def note_anyhow(settings: Settings, noted: Action) -> None:
    """Note an action also where the embedded broker does not run: in the log itself, unless somebody writes it.

    Raises:
        BrokerUnavailable: It could not be noted either way.
    """
    try:
        client = connect(settings)
    except BrokerUnavailable as gone:
        if settings.broker_url is not None:
            # It may have refused this person, and the log of its writer may lie elsewhere.
            raise BrokerUnavailable(
                f"Who does this could not be noted in the evidence, so it was not done: {gone.message}", hint=gone.hint
            ) from gone
        try:
            with EvidenceLog.of(settings) as log:
                log.append([noted.wire()])
        except EvidenceLocked:
            raise BrokerUnavailable(
                f"Who does this could not be noted in the evidence, so it was not done: {gone.message}", hint=gone.hint
            ) from gone
        return
    with client:
        note(client, settings, noted)
