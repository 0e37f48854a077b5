"""Limits before each request of a model: how it is asked whether one may be made, and told what came of it.

`ModelClient` makes every try of the transport through a `Limiter`. Workers share one in the broker
(`broker.limits.admission`); `Unlimited` is for whoever has none.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from replay.contracts import Tier, Usage
from replay.errors import ModelRefused, ModelUnavailable
from replay.models.breaker import EndpointPaused, Target
from replay.models.faults import Transient
from replay.models.replies import Reply

_CHARS_PER_TOKEN = 4


@dataclass(frozen=True)
class Estimate:
    """What a request may take, before it is made: a quarter of its characters, and the longest answer."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def tokens(self) -> int:
        """Both."""
        return self.prompt_tokens + self.completion_tokens


def estimate(request: dict[str, Any]) -> Estimate:
    """The estimate for the fields of a chat completion request."""
    said = "".join(str(message.get("content", "")) for message in request["messages"])
    chars = len(said) + len(str(request.get("response_format", "")))
    return Estimate(-(-chars // _CHARS_PER_TOKEN), int(request["max_tokens"]))


class Limited(EndpointPaused):
    """A limit of ours is reached: the task waits in its queue, as long as it takes, and nothing counts against it."""

    def __init__(self, message: str, *, target: str) -> None:
        super().__init__(message, target=target, asked_to_wait=True)


class Call:
    """One request that was admitted, and what came of it.

    Attributes:
        sent: It was made, or at least begun.
        answered: The endpoint answered, so it is known what was used; else it may have worked for nobody.
        usage: What it says it used; None where it refused, or does not say.
    """

    def __init__(self) -> None:
        self.sent = False
        self.answered = False
        self.usage: Usage | None = None

    def make(self, request: Callable[[], Reply]) -> Reply:
        """Make the request.

        Raises:
            ModelUnavailable: As the request.
            ModelRefused: As the request.
        """
        self.sent = True
        try:
            reply = request()
        except (ModelRefused, ModelUnavailable) as fault:
            self.answered = not (isinstance(fault, Transient) and fault.may_have_run)
            raise
        self.answered = True
        self.usage = reply.usage
        return reply

    def used(self, estimated: Estimate) -> tuple[int, int]:
        """Tokens read and written; what nobody says is taken to be as estimated."""
        if not self.sent:
            return 0, 0
        if not self.answered:
            return estimated.prompt_tokens, estimated.completion_tokens
        if self.usage is None:
            return 0, 0
        read, written = self.usage.prompt_tokens, self.usage.completion_tokens
        return (
            estimated.prompt_tokens if read is None else read,
            estimated.completion_tokens if written is None else written,
        )


class Limiter(Protocol):
    """Stands before every request, and before the breaker."""

    def admitted(self, tier: Tier, target: Target, estimated: Estimate) -> AbstractContextManager[Call]:
        """Admit one request for the length of the block, after a short wait where that is enough.

        Raises:
            Limited: It must not be made now.
        """
        ...


class Unlimited:
    """Admits every request."""

    def admitted(self, tier: Tier, target: Target, estimated: Estimate) -> AbstractContextManager[Call]:  # noqa: ARG002  the interface's
        """Admit it."""
        return nullcontext(Call())
