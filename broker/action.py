"""What a person did to queues, lanes and batches, as evidence: an operator's hand is part of how an end came about."""

from __future__ import annotations

import getpass
import os
import socket
import uuid
from datetime import UTC, datetime
from typing import Literal

import redis
from pydantic import ConfigDict, Field

from broker import evidence_stream
from broker.signing import UNSIGNED, Keyring
from replay.contracts import Message
from replay.identity import canonical_json


class Action(Message):
    """One action. It ends no run; `run_id` and `batch_id` let it be found with the run that it is about."""

    schema_: Literal["replay_action.v1"] = Field("replay_action.v1", alias="schema")
    id: str
    action: Literal[
        "dead.requeue",
        "dead.discard",
        "lane.pause",
        "lane.resume",
        "lane.budget.set",
        "lane.budget.unset",
        "lane.budget.reset",
        "batch.cancel",
        "batch.pause",
        "batch.resume",
        "batch.retry",
    ]
    who: str = Field(
        description="User and host, as that machine says; by the dashboard the role, the beginning of the session's "
        "hash, and the address."
    )
    letter_id: str | None = Field(None, description="The dead letter.")
    cause: str = Field("", description="Why the message was dead.")
    queue: str = Field("", description="Where the message went; empty where it went nowhere.")
    run_id: str | None = Field(None, description="The run of the dead message, where its bytes say.")
    new_run_id: str | None = Field(None, description="The run that is made in its place, where it had ended.")
    batch_id: str | None = None
    lane: str | None = Field(None, exclude_if=lambda lane: lane is None, description="The lane of work.")
    detail: str = Field(
        "",
        exclude_if=lambda detail: not detail,
        description="The reason that was given; or that it was not done after all, and why.",
    )
    recorded_at: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def new_id() -> str:
    """An id of its own: the same thing may be done twice."""
    return f"act_{uuid.uuid4().hex[:24]}"


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def who() -> str:
    """The user of this process, and the host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user without a name.
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def wire(action: Action) -> bytes:
    """Its bytes on the evidence stream."""
    return canonical_json(action.wire())


def note(client: redis.Redis, action: Action, keyring: Keyring = UNSIGNED) -> None:
    """Send an action to the evidence. What is not noted in one step with its effect is noted before it."""
    evidence_stream.append(client, wire(action), keyring)
