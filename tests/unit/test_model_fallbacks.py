"""Which model is asked where the first one is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import httpx
import pytest

from replay.contracts import Tier
from replay.errors import ModelRefused
from replay.models.breaker import EndpointPaused, Target
from replay.models.client import ModelClient
from replay.models.faults import fault
from replay.settings import Settings
from tests.scripted_model import instance_of, schema_of

Answer = TypeVar("Answer")
SCHEMA = {"type": "object", "properties": {"verdict": {"enum": ["pass", "fail"]}}, "required": ["verdict"]}
MESSAGES = [{"role": "user", "content": "Is it so?"}]


class Breaker:
    """Some models are not asked."""

    def __init__(self, *paused: str) -> None:
        self.paused = set(paused)

    def call(self, target: Target, request: Callable[[], Answer]) -> Answer:
        """Refuse by the model's name."""
        if target.model in self.paused:
            raise EndpointPaused(f"{target.model} is gone", target=target.name)
        return request()


class Server:
    """Answers every model alike and remembers which were asked."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[str] = []
        self._status = status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """One chat completion."""
        payload = json.loads(request.content)
        self.asked.append(payload["model"])
        if self._status != 200:
            return httpx.Response(self._status, json={"error": {"message": "no"}})
        content = json.dumps(instance_of(schema_of(payload)))
        return httpx.Response(200, json={"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})


def _client(server: Server, *paused: str, **settings: Any) -> ModelClient:
    chosen = Settings(
        base_url="http://big.example/v1",
        local_model="small",
        escalation_model="first",
        escalation_fallbacks="second, third",
        **settings,
    )
    return ModelClient(chosen, breaker=Breaker(*paused), transport=httpx.MockTransport(server))


@pytest.mark.parametrize(("paused", "answers"), [((), "first"), (("first",), "second"), (("first", "second"), "third")])
def test_the_next_model_is_asked_where_one_is_not(paused: tuple[str, ...], answers: str) -> None:
    """The generation names the model that answered, and no other one was asked."""
    server = Server()
    generation = _client(server, *paused).generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    assert (generation.model, generation.endpoint) == (answers, "http://big.example/v1")
    assert set(server.asked) == {answers}


def test_where_none_is_asked_the_first_one_says_why() -> None:
    """Its cause is what the run waits for."""
    server = Server()
    with pytest.raises(EndpointPaused, match="first is gone") as stopped:
        _client(server, "first", "second", "third").generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    assert stopped.value.target == "first@http://big.example/v1"
    assert server.asked == []


def test_a_refusal_asks_no_other_model() -> None:
    """A fallback is for an endpoint that is not asked, not for an answer that is not liked."""
    server = Server(status=403)
    with pytest.raises(ModelRefused):
        _client(server).generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    assert set(server.asked) == {"first"}


def test_the_local_lane_has_no_fallbacks() -> None:
    """Its model is what the study measures."""
    server = Server()
    with pytest.raises(EndpointPaused):
        _client(server, "small").generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert server.asked == []


@pytest.mark.parametrize(
    ("status", "error", "quota"),
    [
        (402, {"message": "Insufficient credits"}, True),
        (429, {"code": "insufficient_quota", "message": "You exceeded your current quota"}, True),
        (429, {"type": "insufficient_quota", "message": "x"}, True),
        (403, {"code": "billing_not_active", "message": "x"}, True),
        (403, {"code": "forbidden", "message": "insufficient_quota of rights"}, False),
        (404, {"code": "insufficient_quota", "message": "x"}, False),
    ],
)
def test_an_account_that_is_used_up_is_told_apart(status: int, error: dict[str, str], quota: bool) -> None:
    """By the status, or by the code and never by the words beside it."""
    found = fault(status, {"retry-after": "120"}, {"error": error}, model="m", where="http://h/v1")
    assert getattr(found, "quota", None) is quota
    assert getattr(found, "retry_after_s", None) == (120 if quota else None)
