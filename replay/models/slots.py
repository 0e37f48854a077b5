"""How many requests a model server works on at once, found out by asking it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.models import body, routing
from replay.models.connection import key_of
from replay.models.routing import OPENROUTER, Endpoint
from replay.settings import Settings

ANSWER_WITHIN_S = 2.0
_MOST = 4096


@dataclass(frozen=True)
class Concurrency:
    """How many tasks a worker of one lane has at once, and why.

    Attributes:
        tasks: At once.
        slots: Of the model server, where it says; else 0.
        why: In words, for the log.
    """

    tasks: int
    slots: int
    why: str


def chosen(tier: Tier, settings: Settings, *, transport: httpx.BaseTransport | None = None) -> Concurrency:
    """The concurrency of a worker that nobody gave one.

    The local lane has as many tasks as the server has slots, and `REPLAY_SPARE_TASKS` more: while one retrieves, is
    judged or commits, another one's request waits at the server. The large model's lane is narrow on purpose: it has
    what the setting says, or fewer, where the server has fewer slots.

    Args:
        tier: Whose model is asked.
        settings: What it is where the server does not say, and how many are to spare.
        transport: Replaces the network, for tests.
    """
    wanted = settings.local_slots if tier is Tier.LOCAL else settings.escalation_slots
    setting = f"REPLAY_{tier.value.upper()}_SLOTS"
    try:
        endpoint = routing.route(routing.model_for(tier, settings), tier, settings)
    except ConfigurationError:
        endpoint = None
    found = total(endpoint, transport=transport) if endpoint is not None else None
    where = endpoint.base_url if endpoint is not None else "its endpoint"
    if tier is Tier.ESCALATION:
        tasks = min(wanted, found or wanted)
        says = f"{where} has {found} slots" if found else f"{where} does not say how many slots it has"
        return Concurrency(tasks, found or 0, f"{tasks} at once: {setting} is {wanted}, {says}")
    spare = settings.spare_tasks
    if found is None:
        why = f"{where} does not say how many slots it has, {setting} is {wanted}"
    else:
        why = f"{where} has {found} slots"
    tasks = (found or wanted) + spare
    return Concurrency(tasks, found or 0, f"{tasks} at once: {why}, and {spare} to spare")


def total(endpoint: Endpoint, *, transport: httpx.BaseTransport | None = None) -> int | None:
    """The slots of a llama.cpp server, from `/props` or else `/slots`; None where the server does not say, in 2 s."""
    if endpoint.name == OPENROUTER:
        return None
    root = endpoint.base_url.removesuffix("/v1")
    key = key_of(endpoint)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    loopback = routing.is_loopback(endpoint.base_url)
    try:
        # Connecting and reading are bounded one by one. A proxy is for other machines, never for a server on this one.
        with httpx.Client(timeout=ANSWER_WITHIN_S / 2, transport=transport, trust_env=not loopback) as client:
            props = _page(client, f"{root}/props", headers)
            if isinstance(props, dict) and (slots := _count(props.get("total_slots"))):
                return slots
            listed = _page(client, f"{root}/slots", headers)
            return _count(len(listed)) if isinstance(listed, list) else None
    except httpx.HTTPError:
        return None


def _page(client: httpx.Client, url: str, headers: dict[str, str]) -> Any:
    response = client.get(url, headers=headers)
    return body.read(response) if response.status_code == httpx.codes.OK else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST else None
