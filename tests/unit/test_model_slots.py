"""How many tasks a worker takes: the model server's slots, or the setting where it does not say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from replay.contracts import Tier
from replay.models import slots
from replay.models.routing import OPENROUTER, Endpoint
from replay.settings import Settings

ENDPOINT = Endpoint("http://host:8080/v1", SecretStr("sk-very-secret"))
SETTINGS = Settings(base_url="http://host:8080/v1", local_model="m", escalation_model="m", api_key=SecretStr("sk-key"))


def serving(pages: dict[str, Any]) -> httpx.MockTransport:
    """A server with these pages."""

    def answer(request: httpx.Request) -> httpx.Response:
        page = pages.get(request.url.path)
        if isinstance(page, Exception):
            raise page
        return httpx.Response(404) if page is None else httpx.Response(200, json=page)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ({"/props": {"total_slots": 4}}, 4),
        ({"/slots": [{"id": 0}, {"id": 1}, {"id": 2}]}, 3),
        ({"/props": {"total_slots": True}}, None),
        ({"/props": {"total_slots": 0}, "/slots": []}, None),
        ({"/props": {"total_slots": 10**9}}, None),
        ({"/props": ["total_slots"], "/slots": "12"}, None),
        ({}, None),
        ({"/props": httpx.ConnectError("refused")}, None),
        ({"/props": httpx.ReadTimeout("slow")}, None),
    ],
)
def test_a_server_is_asked_for_its_slots(pages: dict[str, Any], expected: int | None) -> None:
    """`/props` or else `/slots`; whatever else is said, or nothing, is no answer and no error."""
    assert slots.total(ENDPOINT, transport=serving(pages)) == expected


def test_the_key_goes_along_and_openrouter_is_not_asked() -> None:
    """A server may guard its pages; a service of that kind has none."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.headers.get("Authorization")))
        return httpx.Response(200, json={"total_slots": 2})

    transport = httpx.MockTransport(answer)
    assert slots.total(ENDPOINT, transport=transport) == 2
    assert slots.total(Endpoint("https://openrouter.ai/api/v1", None, OPENROUTER), transport=transport) is None
    assert asked == [("/props", "Bearer sk-very-secret")]


def test_a_local_worker_has_a_task_more_than_the_server_has_slots() -> None:
    """The one to spare waits at the server while another one retrieves, is judged or commits."""
    found = slots.chosen(Tier.LOCAL, SETTINGS, transport=serving({"/props": {"total_slots": 6}}))
    assert (found.tasks, found.slots) == (7, 6)
    assert "has 6 slots" in found.why
    unknown = slots.chosen(Tier.LOCAL, SETTINGS, transport=serving({}))
    assert (unknown.tasks, unknown.slots) == (3, 0)
    assert "does not say" in unknown.why
    assert "REPLAY_LOCAL_SLOTS is 2" in unknown.why


def test_the_large_models_lane_is_never_wider_than_its_setting() -> None:
    """Narrow on purpose: more slots do not widen it, fewer narrow it."""
    wide = SETTINGS.model_copy(update={"escalation_slots": 4})
    counts = [
        slots.chosen(Tier.ESCALATION, settings, transport=serving(pages)).tasks
        for settings in (SETTINGS, wide)
        for pages in ({"/props": {"total_slots": 8}}, {"/props": {"total_slots": 2}}, {})
    ]
    assert counts == [1, 1, 1, 4, 2, 4]


def test_a_model_without_an_endpoint_leaves_the_setting() -> None:
    """What is missing is told when the model is needed, not here."""
    assert slots.chosen(Tier.LOCAL, Settings(local_model="vendor/model"), transport=serving({})).tasks == 3
