"""Checks of what should answer: the broker, the workers, the model endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from redis.exceptions import RedisError

from broker import heartbeat, queues
from broker.connection import connect, describe
from replay.contracts import Tier
from replay.errors import BrokerUnavailable
from replay.models import routing
from replay.models.client import ModelClient
from replay.settings import Settings
from stack.finding import Finding, fail, ok, warn

_PATIENCE_S = 5.0
_HINDERED = "`replay lane list` says why a lane stands still; a writer that stands by waits for the one that writes."
_ROLES = ("local", "escalation", "writer", "scheduler")


def broker(settings: Settings) -> Iterator[Finding]:
    """Does the broker answer, what lies in it, and which workers live?"""
    try:
        client = connect(settings, patience=0)
    except BrokerUnavailable as error:
        # An embedded broker that is not started is no fault; one that is configured and does not answer is.
        judge = warn if settings.broker_url is None else fail
        yield judge("broker", error.message, error.hint)
        return
    try:
        with client:
            depths = queues.depths(client)
            beats = heartbeat.alive(client)
    except RedisError as error:
        yield fail("broker", f"{describe(settings)} answers, but not to everything: {error}", "Look at its log.")
        return
    waiting = sum(depths.waiting.values())
    yield ok("broker", f"{describe(settings)}, {waiting} waiting, {sum(depths.in_flight.values())} in flight")
    if depths.dead:
        yield warn("dead queue", f"{depths.dead} letters", "`replay dead list` says why they were not run.")
    for role in _ROLES:
        states = [beat.state for beat in beats if beat.role == role]
        hindered = [state for state in states if state]
        if states and len(hindered) < len(states):
            yield ok(f"worker, {role}", f"{len(states)} alive{'; one of them: ' + hindered[0] if hindered else ''}")
        elif states:
            yield warn(f"worker, {role}", f"{len(states)} alive, but {hindered[0]}", _HINDERED)
        else:
            yield warn(f"worker, {role}", "none alive", f"Start the stack with `replay up`, or `replay worker {role}`.")


def models(settings: Settings) -> Iterator[Finding]:
    """Does each tier's endpoint answer and offer its model?"""
    # A server that takes a connection and says nothing must not hold up the doctor as long as it may a generation.
    hurried = settings.model_copy(
        update={name: min(getattr(settings, name), _PATIENCE_S) for name in ("connect_timeout_s", "read_timeout_s")}
    )
    with closing(ModelClient(hurried)) as client:
        for tier in Tier:
            name = f"model, {tier}"
            model = routing.model_for(tier, settings)
            endpoint = routing.route(model, tier, settings)
            health = client.health(endpoint, model)
            if health.ok:
                yield ok(name, health.detail)
            elif endpoint.name == routing.EMBEDDED:
                yield warn(name, health.detail, f"Start it with `replay up`, or `replay models serve {tier}`.")
            else:
                yield fail(name, health.detail, "Start that server, or correct the REPLAY_* settings that name it.")
