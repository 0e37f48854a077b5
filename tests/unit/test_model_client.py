"""The client against a scripted server on loopback, and against the odd things that servers say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stamina
from pydantic import SecretStr

from replay.contracts import Generation, Tier, Usage
from replay.errors import ModelRefused, ModelUnavailable
from replay.identity import canonical_json
from replay.models import connection
from replay.models.client import ModelClient
from replay.models.faults import Transient
from replay.models.routing import Endpoint
from replay.settings import Settings
from tests.scripted_model import MODEL, Reply, ScriptedModel

MESSAGES = [{"role": "user", "content": "Is it so?"}]
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["pass", "fail"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def _no_waits_between_tries() -> Iterator[None]:
    """Tries are counted as configured; only the waits between them are left out."""
    stamina.set_testing(True, attempts=1000, cap=True)
    yield
    stamina.set_testing(False)


def settings_for(base_url: str, **more: Any) -> Settings:
    """Settings that send the local tier to one address."""
    return Settings(base_url=base_url, local_model=MODEL, api_key=SecretStr(KEY), **more)


def generate(server: ScriptedModel, **more: Any) -> Generation:
    """One generation of a fresh client."""
    client = ModelClient(settings_for(server.base_url, **more))
    try:
        return client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
    finally:
        client.close()


def answer_with(body: Any, status: int = 200, **headers: str) -> ModelClient:
    """A client whose every request gets one response."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content, headers=headers))
    return ModelClient(settings_for("http://host/v1", transport_tries=2), transport=transport)


def completion(message: Any, **more: Any) -> dict[str, Any]:
    """A completion's body."""
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}], **more}


def test_sends_what_is_configured_and_returns_the_reply_verbatim() -> None:
    """The schema goes along because the server obeyed the probe; the key is a header."""
    with ScriptedModel(
        [Reply(' {"verdict": "fail"}\n', usage={"prompt_tokens": 30, "completion_tokens": 6})]
    ) as server:
        generation = generate(server, max_tokens=99, temperature=0.5, seed=11)
        assert generation.content == ' {"verdict": "fail"}\n'
        assert (generation.model, generation.endpoint) == (MODEL, server.base_url)
        assert (generation.response_format, generation.tries) == ("json_schema", 1)
        assert generation.usage == Usage(prompt_tokens=30, completion_tokens=6)
        assert generation.generate_ms > 0
        assert server.authorizations[0] == f"Bearer {KEY}"
        sent = server.requests[0]
    assert {name: sent[name] for name in ("model", "messages", "max_tokens", "temperature", "seed")} == {
        "model": MODEL,
        "messages": MESSAGES,
        "max_tokens": 99,
        "temperature": 0.5,
        "seed": 11,
    }
    assert sent["response_format"]["json_schema"]["schema"] == SCHEMA
    assert sent["response_format"]["json_schema"]["strict"] is True


def test_a_server_that_ignores_the_schema_is_asked_in_text_mode() -> None:
    """After one probe, which is remembered for the next generation."""
    with ScriptedModel(mode="text") as server:
        client = ModelClient(settings_for(server.base_url))
        first = client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
        client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
        client.close()
        assert first.response_format == "text"
        assert server.stats() == {"count": 2, "probes": 1, "max_concurrency": 1}
        assert "response_format" not in server.requests[0]


def test_a_probe_without_an_answer_is_made_again_later() -> None:
    """A server that is down says nothing about what it can do."""
    down = [Reply(status=503), Reply(status=503)]
    with ScriptedModel(down, answers_probes=False) as server:
        client = ModelClient(settings_for(server.base_url, transport_tries=2))
        with pytest.raises(ModelUnavailable):
            client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
        assert client.generate(Tier.LOCAL, MESSAGES, SCHEMA).response_format == "json_schema"
        client.close()


@pytest.mark.parametrize(
    "broken",
    [
        Reply(status=503),
        Reply(status=429, headers={"Retry-After": "0"}),
        Reply(cut="before"),
        Reply(cut="midway"),
        Reply(body=b"<html>gateway</html>"),
        Reply(body=b"{}"),
        Reply(body=b'{"choices": []}'),
        Reply(body=b'{"error": {"code": 502, "message": "provider"}}'),
        Reply(body=b'{"choices": [{"error": {"code": 502, "message": "provider"}, "message": {"content": "ha"}}]}'),
    ],
    ids=str,
)
def test_a_transport_fault_is_tried_again(broken: Reply) -> None:
    """The reply after it counts, and the number of requests is told."""
    with ScriptedModel([broken, broken, Reply("ok")]) as server:
        generation = generate(server)
        assert (generation.content, generation.tries, server.count) == ("ok", 3, 3)


def test_tries_are_bounded() -> None:
    """Then it is unavailable, and says after how many tries."""
    with ScriptedModel([Reply(status=500)] * 9) as server:
        with pytest.raises(ModelUnavailable, match=r"\(3 tries\)"):
            generate(server, transport_tries=3)
        assert server.count == 3


def test_a_refusal_is_not_tried_again() -> None:
    """A retry cannot change a 4xx."""
    with ScriptedModel([Reply("unknown model", status=404)]) as server:
        with pytest.raises(ModelRefused, match="unknown model"):
            generate(server)
        assert server.count == 1


def test_an_endpoint_that_forbids_a_retry_is_obeyed() -> None:
    """It is unavailable after one request."""
    with ScriptedModel([Reply(status=503, headers={"x-should-retry": "false"})]) as server:
        with pytest.raises(ModelUnavailable):
            generate(server)
        assert server.count == 1


def test_a_server_that_says_nothing_runs_into_the_read_timeout() -> None:
    """The slow try is ended and the next one counts."""
    with ScriptedModel([Reply(delay_s=2.0), Reply("ok")]) as server:
        assert generate(server, read_timeout_s=0.2).tries == 2


def test_nobody_listening_is_explained() -> None:
    """The hint names the setting that holds the address."""
    with ScriptedModel() as server:
        address = server.base_url
    with pytest.raises(ModelUnavailable) as caught:
        ModelClient(settings_for(address, transport_tries=1)).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert address in caught.value.message
    assert "REPLAY_BASE_URL" in caught.value.hint


def test_the_wait_is_what_the_endpoint_asked_for_and_a_little_more() -> None:
    """Spread over a second, so that many workers do not come back at once."""
    wait = connection._wait_before_retry(Transient("busy", retry_after_s=7.0))
    assert 7.0 <= wait <= 8.0
    assert connection._wait_before_retry(Transient("busy")) is True
    assert connection._wait_before_retry(ModelUnavailable("no")) is False


@pytest.mark.parametrize(
    ("body", "content", "reasoning", "usage"),
    [
        (completion({"content": None}), "", "", Usage()),
        (completion({"content": "a", "reasoning_content": "b"}), "a", "b", Usage()),
        (completion({"content": "a", "reasoning": "b"}), "a", "b", Usage()),
        (completion({"content": [{"type": "text", "text": "a"}, {"type": "x"}]}), "a", "", Usage()),
        (
            completion({"content": "a"}, usage={"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}),
            "a",
            "",
            Usage(prompt_tokens=9, cached_tokens=4),
        ),
        (completion({"content": "a"}, timings={"cache_n": 3}), "a", "", Usage(cached_tokens=3)),
        (completion({"content": "a"}, usage=None, timings="?"), "a", "", Usage()),
    ],
)
def test_reads_replies_of_every_shape(body: Any, content: str, reasoning: str, usage: Usage) -> None:
    """What a server leaves out is empty or None, never an error."""
    generation = answer_with(body).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert (generation.content, generation.reasoning, generation.usage) == (content, reasoning, usage)


def test_a_cut_answer_keeps_its_finish_reason() -> None:
    """The gate decides what that is worth."""
    with ScriptedModel([Reply('{"verd', finish_reason="length")]) as server:
        assert generate(server).finish_reason == "length"


def test_openrouter_must_choose_a_provider_that_obeys_the_schema() -> None:
    """Otherwise it may pick one that drops the parameter; 404 means that there is none."""
    requests: list[dict[str, Any]] = []

    def openrouter(request: httpx.Request) -> httpx.Response:
        requests.append(json.loads(request.content))
        if "response_format" in requests[-1]:
            return httpx.Response(404, json={"error": {"code": 404, "message": "No endpoints found"}})
        return httpx.Response(200, json=completion({"content": "ok"}))

    settings = Settings(local_model="vendor/model", openrouter_api_key=SecretStr(KEY))
    generation = ModelClient(settings, transport=httpx.MockTransport(openrouter)).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert (generation.response_format, generation.content) == ("text", "ok")
    assert requests[0]["provider"] == {"require_parameters": True}
    assert "provider" not in requests[1]


def test_no_message_holds_a_key() -> None:
    """Not even where the endpoint repeats it."""
    client = answer_with({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401)
    with pytest.raises(ModelRefused) as caught:
        client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert KEY not in f"{caught.value} {caught.value!r} {caught.value.message}"
    assert "***" in caught.value.message


@pytest.mark.parametrize("before", range(301 - len(KEY), 300))
def test_no_message_holds_a_part_of_a_key(before: int) -> None:
    """Wherever a long message is cut to length, also in the middle of a key that it repeats."""
    client = answer_with({"error": {"message": f"{'x' * before}{KEY} no"}}, status=401)
    with pytest.raises(ModelRefused) as caught:
        client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert KEY[:1] not in caught.value.message.partition(f"{'x' * before}")[2]


@pytest.mark.parametrize(
    "message",
    [
        {"content": f"my key is {KEY}"},
        {"content": [{"text": f"in parts {KEY[:5]}"}, {"text": KEY[5:]}]},
        {"content": "a", "reasoning_content": f"I was asked with {KEY}"},
        {"content": "a", "reasoning": f"I was asked with {KEY}"},
    ],
)
def test_no_reply_holds_a_key(message: dict[str, Any]) -> None:
    """What becomes evidence of a good reply holds it nowhere, whoever repeats it."""
    said = {"finish_reason": f"stop {KEY}", "message": message}
    generation = answer_with({"choices": [said]}).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert KEY not in generation.model_dump_json()
    assert generation.finish_reason == "stop ***"


def test_a_placeholder_for_a_key_changes_no_reply() -> None:
    """A key such as `none`, which local servers are given, is a word that an answer may hold."""
    reply = completion({"content": '{"line": "none"}'})
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=reply))
    settings = Settings(base_url="http://host/v1", local_model=MODEL, api_key=SecretStr("none"))
    generation = ModelClient(settings, transport=transport).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert generation.content == '{"line": "none"}'


def test_a_list_of_models_holds_no_key() -> None:
    """It is shown by the doctor."""
    client = answer_with({"data": [{"id": f"model-{KEY}"}]})
    assert client.list_models(Endpoint("http://host/v1", SecretStr(KEY))) == ("model-***",)


LONE = b'{"choices": [{"finish_reason": "st\\udead", "message": {"content": "a \\ud83d", "reasoning": "\\ude00"}}]}'


def test_half_a_surrogate_pair_in_a_reply_can_be_kept() -> None:
    """It becomes U+FFFD, so that the evidence can be written; a whole pair stays the character that it is."""
    generation = answer_with(LONE).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert (generation.content, generation.reasoning, generation.finish_reason) == ("a \ufffd", "\ufffd", "st\ufffd")
    assert canonical_json(generation.wire())
    whole = answer_with(LONE.replace(b"a \\ud83d", b"\\ud83d\\ude00")).generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert whole.content == "\U0001f600"


def test_half_a_surrogate_pair_in_a_fault_can_be_kept() -> None:
    """A fault's message becomes evidence too."""
    client = answer_with(b'{"error": {"message": "no \\ud83d"}}', status=400)
    with pytest.raises(ModelRefused, match="no \ufffd") as caught:
        client.generate(Tier.LOCAL, MESSAGES, SCHEMA)
    assert caught.value.message.encode()


def test_connections_belong_to_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child must not write into its parent's sockets."""
    client = answer_with(completion({"content": "a"}))
    parent = client._connection._client()
    assert client._connection._client() is parent
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert client._connection._client() is not parent


def test_lists_models_and_tells_health() -> None:
    """Health says what is wrong in one line and never raises for the endpoint's fault."""
    with ScriptedModel() as server:
        client = ModelClient(settings_for(server.base_url))
        endpoint = Endpoint(server.base_url)
        assert client.list_models(endpoint) == (MODEL,)
        assert client.health(endpoint, MODEL).ok
        missing = client.health(endpoint, "other")
        client.close()
    assert not missing.ok
    assert MODEL in missing.detail
    gone = client.health(endpoint)
    client.close()
    assert not gone.ok
    assert server.base_url in gone.detail


def test_a_name_without_a_tag_is_the_latest() -> None:
    """Ollama lists the tag and takes the name without it."""
    client = answer_with({"data": [{"id": "qwen:latest"}, "odd", {}]})
    assert client.health(Endpoint("http://host/v1"), "qwen").ok
