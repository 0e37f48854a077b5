"""Embedders: what the endpoint is asked, what of its answers is believed, and how the settings choose one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import stamina
from pydantic import SecretStr

from replay.errors import ConfigurationError, ModelRefused, ModelUnavailable
from replay.models import embedding, embedding_endpoint
from replay.models.embedding_endpoint import BATCH_CHARACTERS, BATCH_TEXTS, EndpointEmbedder
from replay.models.routing import Endpoint
from replay.settings import Settings

KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def _no_waits_between_tries() -> Iterator[None]:
    """Tries are counted as configured; only the waits between them are left out."""
    stamina.set_testing(True, attempts=1000, cap=True)
    yield
    stamina.set_testing(False)


def vector(text: str, dimensions: int = 4) -> list[float]:
    """A vector that tells the text by its length; not of unit length."""
    return [float(len(text)), *[2.0] * (dimensions - 1)]


def listed(texts: list[str], dimensions: int = 4) -> dict[str, Any]:
    """An answer as an endpoint gives it, out of order."""
    data = [{"object": "embedding", "index": n, "embedding": vector(t, dimensions)} for n, t in enumerate(texts)]
    return {"object": "list", "data": data[::-1], "model": "m"}


class Server:
    """Answers every request by a function of the texts, and keeps what it was asked."""

    def __init__(self, answer: Callable[[list[str]], httpx.Response | dict[str, Any]] = listed) -> None:
        self.asked: list[dict[str, Any]] = []
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        self.asked.append(json.loads(request.content))
        answer = self._answer(self.asked[-1]["input"])
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)


def embedder(server: Server, **settings: Any) -> EndpointEmbedder:
    """An embedder whose network is the server."""
    endpoint = Endpoint("http://host/v1", SecretStr(KEY), "REPLAY_EMBEDDINGS")
    return EndpointEmbedder(
        endpoint, "embed-small", Settings(transport_tries=3, **settings), transport=httpx.MockTransport(server)
    )


def test_texts_become_unit_vectors_in_their_order() -> None:
    """The answer's own order does not matter; the key is a header."""
    server = Server()
    texts = ["a", "bb", "ccc"]
    found = embedder(server).embed(texts)
    wanted = np.array([vector(text) for text in texts])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), rtol=1e-6)
    assert server.asked == [{"model": "embed-small", "input": texts, "encoding_format": "float"}]
    assert str(server.requests[0].url) == "http://host/v1/embeddings"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_many_texts_are_asked_in_batches() -> None:
    """Bounded by count and by characters, and a text that is longer than the bound goes alone."""
    server = Server()
    texts = ["x"] * (BATCH_TEXTS + 1) + ["y" * (BATCH_CHARACTERS + 1), "z"]
    found = embedder(server).embed(texts)
    assert [len(asked["input"]) for asked in server.asked] == [BATCH_TEXTS, 1, 1, 1]
    assert [text for asked in server.asked for text in asked["input"]] == texts
    assert found.shape == (len(texts), 4)


def test_no_texts_give_no_vectors() -> None:
    """The shape still says how long vectors are."""
    assert embedder(Server()).embed([]).shape == (0, 4)


def test_the_length_of_vectors_is_asked_once() -> None:
    """By one request, whoever asks first."""
    server = Server()
    asking = embedder(server)
    assert (asking.dimensions, asking.dimensions) == (4, 4)
    assert len(server.asked) == 1


BROKEN: list[Any] = [
    {},
    {"data": "no"},
    {"data": []},
    {"data": [{"index": 0}]},
    {"data": [{"index": 5, "embedding": [1.0]}]},
    {"data": [{"index": 0, "embedding": "AAAA"}]},
    {"data": [{"index": 0, "embedding": [1.0, None]}]},
    {"data": [{"index": 0, "embedding": []}]},
    {"data": [{"index": [], "embedding": [1.0]}]},
    {"data": [{"index": 0, "embedding": [0.0, 0.0]}]},
    {"data": [{"index": 0, "embedding": [[1.0]]}]},
    {"data": ["no"]},
]


@pytest.mark.parametrize("body", BROKEN, ids=str)
def test_an_answer_that_is_no_list_of_vectors_is_tried_again(body: Any) -> None:
    """And is unavailable in the end: half an answer is never used."""
    server = Server(lambda _: httpx.Response(200, content=json.dumps(body).encode()))
    with pytest.raises(ModelUnavailable, match=r"no list of 1 vectors \(3 tries\)"):
        embedder(server).embed(["text"])
    assert len(server.asked) == 3


def test_numbers_that_are_not_finite_are_not_believed() -> None:
    """JSON of some servers holds NaN."""
    server = Server(lambda _: httpx.Response(200, content=b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}'))
    with pytest.raises(ModelUnavailable):
        embedder(server).embed(["text"])


def test_transport_faults_are_tried_again() -> None:
    """The answer after them counts."""
    answers = iter([httpx.Response(503), httpx.Response(429, headers={"retry-after": "0"})])
    server = Server(lambda texts: next(answers, None) or listed(texts))
    assert embedder(server).embed(["text"]).shape == (1, 4)
    assert len(server.asked) == 3


def test_tries_are_bounded() -> None:
    """Then it is unavailable, and says after how many tries."""
    server = Server(lambda _: httpx.Response(500))
    with pytest.raises(ModelUnavailable, match=r"\(3 tries\)"):
        embedder(server).embed(["text"])
    assert len(server.asked) == 3


def test_a_refusal_names_the_setting_of_this_endpoint() -> None:
    """A retry cannot change it, and the key is in no message."""
    server = Server(lambda _: httpx.Response(401, json={"error": {"message": f"bad key {KEY}"}}))
    with pytest.raises(ModelRefused) as refused:
        embedder(server).embed(["text"])
    assert len(server.asked) == 1
    assert "REPLAY_EMBEDDING_API_KEY" in refused.value.hint
    assert KEY not in f"{refused.value} {refused.value.hint}"
    assert "***" in str(refused.value)


def test_vectors_of_another_length_than_before_are_refused() -> None:
    """Another model answers by the same name."""
    lengths = iter([4, 5])
    asking = embedder(Server(lambda texts: listed(texts, next(lengths))))
    asking.embed(["one"])
    with pytest.raises(ModelRefused, match="5 numbers, and answered with 4 before"):
        asking.embed(["two"])


def test_off_unless_it_is_set() -> None:
    """No embedder, no request, no model in memory."""
    assert embedding.of(Settings(embeddings="")) is None


def test_an_endpoint_is_chosen_by_its_address() -> None:
    """Its key is its own; the key of the chat endpoint goes along only to the same host."""
    settings = Settings(embeddings="http://host:1/v1/", embedding_model="m", embedding_api_key=SecretStr(KEY))
    chosen = embedding.of(settings)
    assert isinstance(chosen, EndpointEmbedder)
    assert chosen.name == "m"
    endpoint = chosen._endpoint
    assert endpoint.base_url == "http://host:1/v1"
    assert endpoint.api_key == SecretStr(KEY)
    assert repr(endpoint).count(KEY) == 0
    chat: dict[str, Any] = {"base_url": "http://host:1/v1", "api_key": SecretStr(KEY), "embedding_model": "m"}
    for address, key in (("http://host:1/v2", SecretStr(KEY)), ("http://other:1/v1", None)):
        other = embedding.of(Settings(embeddings=address, **chat))
        assert isinstance(other, EndpointEmbedder)
        assert other._endpoint.api_key == key


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"embeddings": "on"}, "neither `local` nor an address"),
        ({"embeddings": "http://host/v1"}, "no model of it is named"),
        ({"embeddings": "ftp://host/v1", "embedding_model": "m"}, "REPLAY_EMBEDDINGS is not an http address"),
        ({"embeddings": f"http://u:{KEY}@host/v1", "embedding_model": "m"}, "carries more than an address"),
    ],
)
def test_settings_that_name_none_are_refused(settings: dict[str, Any], wanted: str) -> None:
    """With what to set instead, and without a password that may stand in them."""
    with pytest.raises(ConfigurationError, match=wanted) as refused:
        embedding.of(Settings(**settings))
    assert refused.value.hint
    assert KEY not in str(refused.value)


def test_a_404_says_which_model_is_meant() -> None:
    """The most common mistake: a model that was never pulled."""
    server = Server(lambda _: httpx.Response(404, json={"error": {"message": "model not found"}}))
    with pytest.raises(ModelRefused, match="model not found") as refused:
        embedder(server).embed(["text"])
    assert refused.value.hint == embedding_endpoint._HINTS[404]
