"""Which model a tier asks, and where: decided by the model's name and the settings, with no request made."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from pydantic import SecretStr

from replay.contracts import Tier
from replay.errors import ConfigurationError
from replay.settings import EMBEDDED_ESCALATION, EMBEDDED_LOCAL, Settings

OPENROUTER = "openrouter"
EMBEDDED = "embedded"

_EMBEDDED_NAMES = frozenset({EMBEDDED_LOCAL, EMBEDDED_ESCALATION})
_OLLAMA_LOCAL = "qwen3.5:latest"
_OLLAMA_ESCALATION = "deepseek-v3.1:671b"


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server.

    Attributes:
        base_url: Without a slash at its end and without credentials, so it can be shown and stored.
        api_key: Sent as a bearer key; hidden in every representation.
        name: `embedded`, `openrouter`, or the setting that names the endpoint.
    """

    base_url: str
    api_key: SecretStr | None = field(default=None, repr=False)
    name: str = ""


def model_for(tier: Tier, settings: Settings) -> str:
    """The model of a tier: the one that is set, or the default of what is configured."""
    chosen = settings.local_model if tier is Tier.LOCAL else settings.escalation_model
    if chosen:
        return chosen
    if _plain_base(tier, settings) is None:
        return EMBEDDED_LOCAL if tier is Tier.LOCAL else EMBEDDED_ESCALATION
    return _OLLAMA_LOCAL if tier is Tier.LOCAL else _OLLAMA_ESCALATION


def fallbacks(tier: Tier, settings: Settings) -> tuple[str, ...]:
    """The models that are asked in turn where the tier's own cannot be; only the large model has some."""
    if tier is Tier.LOCAL:
        return ()
    return tuple(name for part in settings.escalation_fallbacks.split(",") if (name := part.strip()))


def route(model: str, tier: Tier, settings: Settings) -> Endpoint:
    """The endpoint that serves a model.

    Namespaced names (`vendor/model`) and free ones (`…:free`) go to OpenRouter; plain names to the tier's configured
    endpoint; an embedded name without one to the embedded server of the tier.

    Raises:
        ConfigurationError: A key or an endpoint is missing, or an address cannot be used.
    """
    if "/" in model or model.endswith(":free"):
        key = _key(settings.openrouter_api_key, "REPLAY_OPENROUTER_API_KEY")
        if key is None:
            raise ConfigurationError(
                f"{model} is served by OpenRouter, which needs a key.",
                hint="Set REPLAY_OPENROUTER_API_KEY, or choose a model without a slash in its name.",
            )
        return Endpoint(_checked(settings.openrouter_base_url, "REPLAY_OPENROUTER_BASE_URL"), key, OPENROUTER)
    plain = _plain_base(tier, settings)
    if plain is not None:
        base, variable = plain
        return Endpoint(_checked(base, variable), _plain_key(base, settings), variable)
    if model in _EMBEDDED_NAMES:
        port = settings.local_port if tier is Tier.LOCAL else settings.escalation_port
        return Endpoint(f"http://127.0.0.1:{port}/v1", None, EMBEDDED)
    raise ConfigurationError(
        f"No endpoint is configured that could serve {model}.",
        hint="Set REPLAY_BASE_URL (http://localhost:11434/v1 for Ollama), or unset "
        f"{'REPLAY_LOCAL_MODEL' if tier is Tier.LOCAL else 'REPLAY_ESCALATION_MODEL'} to use the embedded model.",
    )


def embedding_endpoint(settings: Settings) -> Endpoint:
    """The endpoint of embeddings, where `REPLAY_EMBEDDINGS` is an address.

    Without a key of its own it gets that of a chat endpoint on the same host, and no other.

    Raises:
        ConfigurationError: The address or the key cannot be used.
    """
    base = _checked(settings.embeddings, "REPLAY_EMBEDDINGS")
    own = _key(settings.embedding_api_key, "REPLAY_EMBEDDING_API_KEY")
    return Endpoint(base, own or _plain_key(base, settings), "REPLAY_EMBEDDINGS")


def embedded_model(tier: Tier, settings: Settings) -> str | None:
    """The embedded model that this machine must serve for a tier, or None where another endpoint serves it.

    Raises:
        ConfigurationError: As `route`.
    """
    model = model_for(tier, settings)
    return model if route(model, tier, settings).name == EMBEDDED else None


def is_loopback(url: str) -> bool:
    """Does the address name this machine?"""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plain_base(tier: Tier, settings: Settings) -> tuple[str, str] | None:
    """The configured address of plain names, and the variable that configures it."""
    if tier is Tier.ESCALATION and settings.escalation_base_url:
        return settings.escalation_base_url, "REPLAY_ESCALATION_BASE_URL"
    return (settings.base_url, "REPLAY_BASE_URL") if settings.base_url else None


def _plain_key(base: str, settings: Settings) -> SecretStr | None:
    """The key of that endpoint; the one of `base_url` never goes to another host, which escalation's may be."""
    if settings.escalation_base_url and base == settings.escalation_base_url and settings.escalation_api_key:
        return _key(settings.escalation_api_key, "REPLAY_ESCALATION_API_KEY")
    if settings.base_url and urlsplit(base)[:2] == urlsplit(settings.base_url)[:2]:
        return _key(settings.api_key, "REPLAY_API_KEY")
    return None


def _key(key: SecretStr | None, variable: str) -> SecretStr | None:
    text = key.get_secret_value().strip() if key else ""
    if not text:
        return None
    if not (text.isascii() and text.isprintable()):
        raise ConfigurationError(
            f"{variable} holds characters that no key has.", hint="Set it again, without line breaks."
        )
    return SecretStr(text)


def _checked(base_url: str, variable: str) -> str:
    """The address without its last slash, if it is one that may be shown.

    The address itself is in no message: what makes it unusable may be a password in it.
    """
    hint = f"Set {variable} to an address like http://localhost:11434/v1."
    try:
        parts = urlsplit(base_url.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"{variable} is not an http address.", hint=hint)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{variable} carries more than an address.", hint=f"{hint} A key belongs into REPLAY_API_KEY."
        )
    return parts.geturl().rstrip("/")
