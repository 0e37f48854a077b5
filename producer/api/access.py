"""Who may ask: bearer tokens, and what protects an API without any against pages in a browser of the same machine."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from fastapi import Request

from producer.api.errors import ApiError
from replay.errors import ConfigurationError
from replay.settings import Settings

_SHORTEST = 16


def is_loopback(host: str) -> bool:
    """Is this an address that only this machine reaches?"""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Access:
    """Decides about requests.

    Args:
        settings: Their tokens, and the file of further ones.

    Raises:
        ConfigurationError: The file cannot be read, or a token is too short to be one.
    """

    def __init__(self, settings: Settings) -> None:
        # Hashes have one length, so comparing them says nothing of a token's own.
        self._hashes = [hashlib.sha256(token.encode()).digest() for token in _tokens(settings)]

    @property
    def is_open(self) -> bool:
        """Is there no token?"""
        return not self._hashes

    def check(self, request: Request) -> None:
        """Let a request in, or refuse it.

        Raises:
            ApiError: 401 without a known token; 403 where a browser's page asks an API that has no tokens.
        """
        if self.is_open:
            _refuse_browsers(request)
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _refusal("You didn't provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY.", None)
        given = hashlib.sha256(token.strip().encode("latin-1")).digest()
        # All are compared, so that the time says nothing about which one it was.
        if not sum([hmac.compare_digest(given, known) for known in self._hashes]):
            raise _refusal("Incorrect API key provided.", "invalid_api_key")


def _refusal(message: str, code: str | None) -> ApiError:
    return ApiError(401, message, code=code, headers={"WWW-Authenticate": "Bearer"})


def _refuse_browsers(request: Request) -> None:
    """Refuse what a foreign page could make a browser send: it names its origin, or a name that leads here by DNS."""
    host = _host_in(f"//{request.headers.get('host', '')}")
    origin = request.headers.get("origin")
    if not is_loopback(host) or (origin is not None and not is_loopback(_host_in(origin))):
        raise ApiError(403, "Without tokens this API answers programs on its own machine only.", code="forbidden")


def _host_in(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""  # brackets around what is no address


def _tokens(settings: Settings) -> list[str]:
    given = settings.api_tokens.get_secret_value().split(",") if settings.api_tokens is not None else []
    if settings.api_tokens_file is not None:
        try:
            given += settings.api_tokens_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The tokens in {settings.api_tokens_file} cannot be read: {error}",
                hint="Correct REPLAY_API_TOKENS_FILE: a text file with one token in each line.",
            ) from error
    tokens = [token.strip() for token in given if token.strip() and not token.lstrip().startswith("#")]
    is_wanted = settings.api_tokens is not None or settings.api_tokens_file is not None
    if (is_wanted and not tokens) or any(len(token) < _SHORTEST or not token.isascii() for token in tokens):
        raise ConfigurationError(
            f"There is no token, or one that has fewer than {_SHORTEST} characters or others than ASCII.",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return tokens
