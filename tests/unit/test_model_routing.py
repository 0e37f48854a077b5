"""Which model a tier asks, and where."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pydantic import SecretStr

from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.models.routing import EMBEDDED, OPENROUTER, embedded_model, model_for, route
from replay.settings import EMBEDDED_ESCALATION, EMBEDDED_LOCAL, Settings

OLLAMA = "http://localhost:11434/v1"
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("REPLAY_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("settings", "local", "escalation"),
    [
        ({}, EMBEDDED_LOCAL, EMBEDDED_ESCALATION),
        ({"base_url": OLLAMA}, "qwen3.5:latest", "deepseek-v3.1:671b"),
        ({"escalation_base_url": OLLAMA}, EMBEDDED_LOCAL, "deepseek-v3.1:671b"),
        ({"local_model": "a", "escalation_model": "b/c"}, "a", "b/c"),
    ],
)
def test_the_default_model_follows_what_is_configured(settings: dict[str, Any], local: str, escalation: str) -> None:
    """A model that is set wins; without an endpoint the embedded pair serves."""
    made = Settings(**settings)
    assert (model_for(Tier.LOCAL, made), model_for(Tier.ESCALATION, made)) == (local, escalation)


@pytest.mark.parametrize("model", ["deepseek/deepseek-chat", "qwen3-coder:free"])
def test_namespaced_and_free_names_go_to_openrouter_with_its_key(model: str) -> None:
    """Even where a local endpoint is configured."""
    endpoint = route(model, Tier.ESCALATION, Settings(base_url=OLLAMA, openrouter_api_key=SecretStr(KEY)))
    assert endpoint.name == OPENROUTER
    assert endpoint.base_url == "https://openrouter.ai/api/v1"
    assert endpoint.api_key is not None
    assert endpoint.api_key.get_secret_value() == KEY


@pytest.mark.parametrize("key", [None, SecretStr("  ")])
def test_openrouter_without_a_key_says_which_setting_is_missing(key: SecretStr | None) -> None:
    """It is known before any request is made."""
    with pytest.raises(ConfigurationError) as caught:
        route("vendor/model", Tier.LOCAL, Settings(openrouter_api_key=key))
    assert "REPLAY_OPENROUTER_API_KEY" in caught.value.hint


def test_embedded_names_without_an_endpoint_go_to_the_server_of_the_tier() -> None:
    """The port follows the tier, so either tier can be given either model."""
    settings = Settings(local_port=1001, escalation_port=1002, local_model=EMBEDDED_ESCALATION)
    assert route(EMBEDDED_ESCALATION, Tier.LOCAL, settings).base_url == "http://127.0.0.1:1001/v1"
    assert route(EMBEDDED_ESCALATION, Tier.ESCALATION, settings).name == EMBEDDED
    assert embedded_model(Tier.LOCAL, settings) == EMBEDDED_ESCALATION


def test_a_configured_endpoint_serves_every_plain_name() -> None:
    """Embedded names too, so that they can be served elsewhere; nothing is then embedded."""
    settings = Settings(base_url=f"{OLLAMA}/", local_model=EMBEDDED_LOCAL)
    assert route(EMBEDDED_LOCAL, Tier.LOCAL, settings).base_url == OLLAMA
    assert embedded_model(Tier.LOCAL, settings) is None


def test_the_escalation_tier_has_its_own_endpoint_where_one_is_set() -> None:
    """The local tier stays where it is."""
    settings = Settings(base_url=OLLAMA, escalation_base_url="http://big:8000/v1")
    assert route("x", Tier.ESCALATION, settings).base_url == "http://big:8000/v1"
    assert route("x", Tier.LOCAL, settings).base_url == OLLAMA


def test_the_key_of_one_endpoint_never_goes_to_another_host() -> None:
    """`api_key` belongs to `base_url`; the escalation endpoint gets it only on the same host and port."""
    settings = Settings(base_url=OLLAMA, escalation_base_url="http://big:8000/v1", api_key=SecretStr(KEY))
    assert route("x", Tier.LOCAL, settings).api_key == SecretStr(KEY)
    assert route("x", Tier.ESCALATION, settings).api_key is None


def test_the_escalation_endpoint_gets_its_own_key_and_no_other() -> None:
    """Each plain endpoint has a key of its own; the local one never gets the other's."""
    settings = Settings(
        base_url="http://local/v1",
        api_key=SecretStr("local-key"),
        escalation_base_url="http://large/v1",
        escalation_api_key=SecretStr("large-key"),
    )
    keys = [route("some-model", tier, settings).api_key for tier in (Tier.LOCAL, Tier.ESCALATION)]
    assert [key.get_secret_value() for key in keys if key] == ["local-key", "large-key"]


def test_a_plain_name_without_any_endpoint_is_explained() -> None:
    """There is nowhere to send it."""
    with pytest.raises(ConfigurationError) as caught:
        route("llama3", Tier.ESCALATION, Settings())
    assert "REPLAY_BASE_URL" in caught.value.hint
    assert "REPLAY_ESCALATION_MODEL" in caught.value.hint


@pytest.mark.parametrize(
    "address",
    [
        "localhost:11434",
        "ftp://host/v1",
        "http://",
        "http://host:99999/v1",
        f"http://me:{KEY}@host/v1",
        f"http://h/?k={KEY}",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_repeated(address: str) -> None:
    """What makes it unusable may be a password."""
    with pytest.raises(ConfigurationError) as caught:
        route("x", Tier.LOCAL, Settings(base_url=address))
    assert "REPLAY_BASE_URL" in caught.value.message
    assert KEY not in caught.value.message + caught.value.hint


def test_a_key_with_a_line_break_is_refused_without_being_repeated() -> None:
    """It would fail inside the HTTP stack, with the key in the message."""
    with pytest.raises(ConfigurationError) as caught:
        route("x", Tier.LOCAL, Settings(base_url=OLLAMA, api_key=SecretStr(f"{KEY}\nmore")))
    assert KEY not in caught.value.message + caught.value.hint


def test_an_endpoint_shows_no_key() -> None:
    """In no representation."""
    endpoint = route("x", Tier.LOCAL, Settings(base_url=OLLAMA, api_key=SecretStr(KEY)))
    assert endpoint.api_key is not None
    assert KEY not in f"{endpoint} {endpoint!r} {endpoint.__dict__}"
