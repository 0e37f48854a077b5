"""When an endpoint is not asked any more for a while, and what is asked in its place.

A breaker stands before each target, a model at an endpoint. `ModelClient` makes every request through it. Where many
processes ask the same endpoint, what they see of it is shared (`broker.breaker`); alone, there is nothing to share, and
`Unbroken` lets everything through: its retries are bounded by themselves.

pybreaker was looked at for this and not taken (1.4): it holds its lock while a call runs, so that one generation waits
for the other; its Redis storage changes state and counter in steps of their own, lets every process try at once when a
pause is over, and goes by the clocks of the hosts.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from replay.contracts import Tier
from replay.errors import UnavailableError
from replay.models import routing
from replay.models.routing import Endpoint
from replay.settings import Settings

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Target:
    """A model at an endpoint.

    Attributes:
        model: Its name there.
        endpoint: Where it is asked.
    """

    model: str
    endpoint: Endpoint

    @property
    def name(self) -> str:
        """What all processes call it. A loopback address is another server on each host."""
        where = self.endpoint.base_url
        return f"{self.model}@{socket.gethostname()}|{where}" if routing.is_loopback(where) else f"{self.model}@{where}"


def chain(tier: Tier, settings: Settings) -> tuple[Target, ...]:
    """The targets of a tier in the order in which they are asked: its model, then the fallbacks.

    Raises:
        ConfigurationError: No endpoint or key for one of them.
    """
    models = dict.fromkeys((routing.model_for(tier, settings), *routing.fallbacks(tier, settings)))
    return tuple(Target(model, routing.route(model, tier, settings)) for model in models)


class EndpointPaused(UnavailableError):
    """A target is not asked now: its breaker is open, it asked to wait, or its quota is used up.

    No verdict on the task, and no end of it: it waits in its queue. Deliberately no `ModelUnavailable`, which ends a
    run as failed.

    Args:
        message: The last thing that the endpoint, or the way to it, said.
        target: Name of the target.
        asked_to_wait: It answered, and said when, or that, it may be asked again.
    """

    def __init__(self, message: str, *, target: str, asked_to_wait: bool = False) -> None:
        super().__init__(message, hint="`replay lane list` says until when; `replay lane resume` tries it at once.")
        self.target = target
        self.asked_to_wait = asked_to_wait


class Breaker(Protocol):
    """Stands before every request."""

    def call(self, target: Target, request: Callable[[], Answer]) -> Answer:
        """Make one request, or refuse to.

        Raises:
            EndpointPaused: The target is not asked now, or not any more after this request.
            ModelUnavailable: As the request; it may be tried again.
            ModelRefused: As the request.
        """
        ...


class Unbroken:
    """Lets every request through."""

    def call(self, target: Target, request: Callable[[], Answer]) -> Answer:  # noqa: ARG002  the interface's
        """Make the request."""
        return request()
