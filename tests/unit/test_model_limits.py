"""What the client asks of limits: each try is admitted by itself, and told by what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import stamina

from replay.contracts import Tier
from replay.errors import ModelRefused, ModelUnavailable
from replay.models import limits
from replay.models.breaker import EndpointPaused, Target
from replay.models.client import ModelClient
from replay.models.limits import Call, Estimate, Limited
from replay.models.prices import Price, of, parse
from replay.settings import Settings
from tests.scripted_model import instance_of, schema_of
from tests.unit.test_model_fallbacks import Breaker

SCHEMA = {"type": "object", "properties": {"verdict": {"enum": ["pass", "fail"]}}, "required": ["verdict"]}
MESSAGES = [{"role": "user", "content": "Is it so?" * 10}]


class Limiter:
    """Notes what it admitted; some models are limited."""

    def __init__(self, *limited: str) -> None:
        self.limited = set(limited)
        self.calls: list[tuple[Tier, str, Estimate, Call]] = []

    @contextmanager
    def admitted(self, tier: Tier, target: Target, estimated: Estimate) -> Iterator[Call]:
        """Refuse by the model's name."""
        if target.model in self.limited:
            raise Limited(f"{target.model} is limited", target=target.name)
        call = Call()
        self.calls.append((tier, target.model, estimated, call))
        yield call


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


def _client(answers: list[Any], limiter: Limiter, *paused: str) -> ModelClient:
    def server(request: httpx.Request) -> httpx.Response:
        payload = json.loads(request.content)
        content = json.dumps(instance_of(schema_of(payload)))
        good = {"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9}}
        is_probe = "token" in (schema_of(payload) or {}).get("properties", {})
        answer = 200 if is_probe or not answers else answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, json=good if answer == 200 else {"error": {"message": "no"}})

    settings = Settings(base_url="http://big.example/v1", escalation_model="first", escalation_fallbacks="second")
    breaker = Breaker(*paused)
    return ModelClient(settings, breaker=breaker, limiter=limiter, transport=httpx.MockTransport(server))


def test_each_try_is_admitted_by_itself() -> None:
    """The probe of the endpoint too: it is a request like any other."""
    limiter = Limiter()
    generation = _client([503, httpx.ReadTimeout("slow"), 200], limiter).generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    assert generation.tries == 3
    probe, *calls = limiter.calls
    assert probe[2].completion_tokens < calls[0][2].completion_tokens
    assert [(tier, model) for tier, model, _, _ in calls] == [(Tier.ESCALATION, "first")] * 3
    assert [call.used(estimated) for _, _, estimated, call in calls] == [
        (0, 0),
        (calls[1][2].prompt_tokens, 320),
        (9, 320),
    ]


@pytest.mark.parametrize(
    ("answer", "ran"),
    [
        (httpx.ConnectError("refused"), False),
        (httpx.ConnectTimeout("no way there"), False),
        (httpx.RemoteProtocolError("cut"), True),
        (500, False),
        (400, False),
    ],
)
def test_what_may_have_run_is_not_taken_for_free(answer: Any, ran: bool) -> None:
    """A request that went out without an answer may have been worked on; one that never left was not."""
    limiter = Limiter()
    with pytest.raises((ModelUnavailable, ModelRefused)):
        _client([answer] * 10, limiter).generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    _, _, estimated, call = limiter.calls[-1]
    assert call.sent
    assert (call.used(estimated) != (0, 0)) is ran


def test_where_a_breaker_stands_nothing_is_used() -> None:
    """The request was admitted and not made."""
    limiter = Limiter()
    with pytest.raises(EndpointPaused):
        _client([], limiter, "first", "second").generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    assert [call.used(estimated) for _, _, estimated, call in limiter.calls] == [(0, 0)] * 2
    assert not any(call.sent for _, _, _, call in limiter.calls)


def test_a_limited_model_leaves_the_question_to_the_next_one() -> None:
    """Where none may be asked, the limit is what the task waits for, whatever else is wrong: it has an end."""
    assert _client([], Limiter("first")).generate(Tier.ESCALATION, MESSAGES, SCHEMA).model == "second"
    with pytest.raises(Limited, match="second is limited"):
        _client([], Limiter("second"), "first").generate(Tier.ESCALATION, MESSAGES, SCHEMA)
    with pytest.raises(Limited, match="first is limited"):
        _client([], Limiter("first", "second")).generate(Tier.ESCALATION, MESSAGES, SCHEMA)


def test_an_estimate_is_a_quarter_of_the_characters_and_the_longest_answer() -> None:
    """Rounded up, the schema with it."""
    messages = [{"role": "user", "content": "x" * 17}, {"role": "user", "content": "y" * 8}]
    assert limits.estimate({"messages": messages, "max_tokens": 5}) == Estimate(7, 5)
    with_schema = limits.estimate({"messages": messages, "max_tokens": 5, "response_format": SCHEMA})
    assert with_schema.prompt_tokens > 7
    assert with_schema.tokens == with_schema.prompt_tokens + 5


def test_prices_are_by_model_or_for_all() -> None:
    """Amounts are whole billionths, rounded up."""
    known = parse(" m = 0.27/1.10 , vendor/other=0/0, 2/4")
    assert of("m", known) == Price(0.27, 1.10)
    assert of("vendor/other", known) == Price(0, 0)
    assert of("another", known) == Price(2, 4)
    assert of("another", parse("m=1/2")) is None
    assert Price(0.27, 1.10).nano(1000, 100) == 380_000
    assert Price(0.0001, 0).nano(1, 0) == 1
    assert parse("") == {}
