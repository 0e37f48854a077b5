"""The shared memory of answers, over a fake and the real server: what it keeps, refuses and survives."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from redis.exceptions import ConnectionError as Lost

from broker import answers
from broker.answers import Answers
from broker.signing import Keyring
from replay.contracts import Reused, Tier, Verdict
from replay.reuse import NoMemory, Question, Remembered, remembered
from replay.settings import Settings
from tests.factories import make_generation

BASE = "http://model.example/v1"
SETTINGS = Settings(base_url=BASE, local_model="small", escalation_model="large", escalation_fallbacks="other")
QUESTION = Question(Tier.LOCAL, "sha256:task", "corpus_1", "sha256:prompt", "gate.v1")
VERDICT = Verdict(gate_version="gate.v1", accepted=True, score=1.0)


def _answer(model: str = "small", content: str = "{}", **fields: Any) -> Remembered:
    generation = make_generation(content, model=model, endpoint=BASE, **fields)
    made = remembered(Reused(run_id="run_1", attempt_id="att_1"), generation, VERDICT)
    assert made is not None
    return made


def _only_key(client: redis.Redis) -> bytes:
    [key] = client.keys(f"{answers.PREFIX}:*")
    assert isinstance(key, bytes)
    return key


def _value(client: redis.Redis) -> bytes:
    value = client.get(_only_key(client))
    assert isinstance(value, bytes)
    return value


def test_an_answer_is_known_to_every_worker_until_it_expires(client: redis.Redis) -> None:
    """What one process keeps another one recalls, whole; it has an end."""
    Answers(client, SETTINGS).keep(QUESTION, _answer())
    assert Answers(client, SETTINGS).recall(QUESTION) == _answer()
    assert 0 < client.ttl(_only_key(client)) <= SETTINGS.result_cache_ttl_s


@pytest.mark.parametrize(
    "changed",
    [
        {"tier": Tier.ESCALATION},
        {"task_hash": "sha256:other"},
        {"corpus_version": "corpus_2"},
        {"corpus_version": None},
        {"prompt_hash": "sha256:other"},
        {"gate_version": "gate.v2"},
    ],
)
def test_another_question_has_no_answer(client: redis.Redis, changed: dict[str, Any]) -> None:
    """Each part of a question counts, also where all questions have the same place."""
    narrow = SETTINGS.model_copy(update={"result_cache_entries": 1})
    memory = Answers(client, narrow)
    memory.keep(QUESTION, _answer())
    assert memory.recall(dataclasses.replace(QUESTION, **changed)) is None
    assert memory.recall(QUESTION) is not None


@pytest.mark.parametrize(
    "changed", [{"local_model": "other"}, {"base_url": "http://elsewhere/v1"}, {"temperature": 0.5}, {"max_tokens": 64}]
)
def test_another_model_endpoint_or_sampling_has_no_answer(client: redis.Redis, changed: dict[str, Any]) -> None:
    """A worker that is configured otherwise would have been told something else."""
    Answers(client, SETTINGS).keep(QUESTION, _answer())
    assert Answers(client, SETTINGS.model_copy(update=changed)).recall(QUESTION) is None


def test_an_answer_of_a_fallback_is_not_kept(client: redis.Redis) -> None:
    """When the first model is back it is asked."""
    order = dataclasses.replace(QUESTION, tier=Tier.ESCALATION)
    memory = Answers(client, SETTINGS)
    memory.keep(order, _answer("other"))
    assert client.dbsize() == 0
    memory.keep(order, _answer("large"))
    assert memory.recall(order) == _answer("large")


def test_it_has_a_fixed_number_of_places(client: redis.Redis) -> None:
    """A hundred answers in eight places are eight; the last one is among them."""
    memory = Answers(client, SETTINGS.model_copy(update={"result_cache_entries": 8}))
    for number in range(100):
        memory.keep(dataclasses.replace(QUESTION, task_hash=f"sha256:{number}"), _answer())
    assert client.dbsize() == 8
    assert memory.recall(dataclasses.replace(QUESTION, task_hash="sha256:99")) is not None


def test_a_long_answer_is_not_kept(client: redis.Redis) -> None:
    """A model that thinks aloud for pages does not fill the broker."""
    Answers(client, SETTINGS).keep(QUESTION, _answer(reasoning="x" * answers.MAX_BYTES))
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\n",
        b"\xff" * 100,
        b"\n{}",
        b"\nnull",
        b"\n" + b"[" * 10_000,
        b"x" * (answers.MAX_BYTES + 10),
        b'\n{"digest":"sha256:0","answer":{"schema":"replay_reuse.v1"}}',
    ],
)
def test_any_bytes_in_its_place_are_no_answer(client: redis.Redis, value: bytes) -> None:
    """Nor an error: the model is asked."""
    memory = Answers(client, SETTINGS)
    memory.keep(QUESTION, _answer())
    client.set(_only_key(client), value)
    assert memory.recall(QUESTION) is None


def test_a_field_more_or_half_a_surrogate_pair_is_no_answer(client: redis.Redis) -> None:
    """It is read strictly, and nothing comes out that evidence could not hold."""
    memory = Answers(client, SETTINGS)
    memory.keep(QUESTION, _answer())
    key = _only_key(client)
    kept = json.loads(_value(client).partition(b"\n")[2])
    client.set(key, b"\n" + json.dumps(kept | {"more": 1}).encode())
    assert memory.recall(QUESTION) is None
    kept["answer"]["generation"]["content"] = "\ud83d"
    client.set(key, b"\n" + json.dumps(kept).encode())
    assert memory.recall(QUESTION) is None


def test_another_type_in_its_place_is_no_answer(client: redis.Redis) -> None:
    """The server's refusal is a miss."""
    memory = Answers(client, SETTINGS)
    memory.keep(QUESTION, _answer())
    key = _only_key(client)
    client.delete(key)
    client.lpush(key, "x")
    assert memory.recall(QUESTION) is None


def test_signed_where_messages_are(client: redis.Redis) -> None:
    """With a key of messages, an answer that bears no good signature, or that of another question, is not read."""
    ring = Keyring.of(Settings(message_key=SecretStr("long-enough-to-be-a-key")))
    signed, unsigned = Answers(client, SETTINGS, ring), Answers(client, SETTINGS)
    unsigned.keep(QUESTION, _answer())
    assert signed.recall(QUESTION) is None
    signed.keep(QUESTION, _answer())
    assert signed.recall(QUESTION) == _answer()
    key = _only_key(client)
    client.set(key, _value(client).replace(b"att_1", b"att_2"))
    assert signed.recall(QUESTION) is None


def test_a_broker_that_is_gone_or_full_is_no_error(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task goes on: it is the commit that needs the broker."""

    def refuse(*_: object, **__: object) -> None:
        raise Lost("gone")

    memory = Answers(client, SETTINGS)
    monkeypatch.setattr(client, "getrange", refuse)
    monkeypatch.setattr(client, "set", refuse)
    memory.keep(QUESTION, _answer())
    assert memory.recall(QUESTION) is None


def test_it_can_be_turned_off(client: redis.Redis) -> None:
    """REPLAY_RESULT_CACHE=off asks every time."""
    assert isinstance(Answers.of(client, SETTINGS.model_copy(update={"result_cache": False})), NoMemory)
    assert isinstance(Answers.of(client, SETTINGS), Answers)
