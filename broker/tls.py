"""TLS to the broker: which certificates, and what a refused one means.

One place decides for redis-py and for kombu. kombu verifies nothing behind `rediss://` unless its URL says so; here it
always says so, and what our own clients demand of the server, Celery demands too.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from replay.errors import ConfigurationError
from replay.settings import Settings

SCHEME = "rediss"

_DOCS = "docs/broker-security.md"


def options(settings: Settings, url: str) -> dict[str, str]:
    """The TLS options of a client, as redis-py names them and as they may stand in a URL.

    Options that stand in the URL already are left as they are. Empty where the URL is not one of TLS.

    Args:
        settings: Name the files.
        url: The broker's, with a scheme of redis-py.

    Raises:
        ConfigurationError: Files are named for a URL without TLS, or one of them is not what it should be.
    """
    named = {
        "broker_tls_ca": settings.broker_tls_ca,
        "broker_tls_cert": settings.broker_tls_cert,
        "broker_tls_key": settings.broker_tls_key,
    }
    given = [f"REPLAY_{name.upper()}" for name, path in named.items() if path is not None]
    if urlsplit(url).scheme != SCHEME:
        if given:
            raise ConfigurationError(
                f"{' and '.join(given)} set, but REPLAY_BROKER_URL is not one of TLS",
                hint="begin it with rediss:// instead of redis://, with the server's TLS port; or unset them",
            )
        return {}
    _check(settings.broker_tls_ca, settings.broker_tls_cert, settings.broker_tls_key)
    wanted = {"ssl_cert_reqs": "required"} | {
        option: str(path.absolute())
        for option, path in (
            ("ssl_ca_certs", settings.broker_tls_ca),
            ("ssl_certfile", settings.broker_tls_cert),
            ("ssl_keyfile", settings.broker_tls_key),
        )
        if path is not None
    }
    return {name: value for name, value in wanted.items() if name not in parse_qs(urlsplit(url).query)}


def advice(error: BaseException, scheme: str) -> str:
    """What to do about a first connection that failed, where TLS may be the reason; empty where it is not."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = cause.verify_message or cause.reason
            return (
                f"the server's certificate is refused ({why}): set REPLAY_BROKER_TLS_CA to the certificate of the "
                "authority that signed it, and use a host name in REPLAY_BROKER_URL that stands in it; "
                f"see {_DOCS}"
            )
        if isinstance(cause, ssl.SSLError):
            reason = f"{cause.reason or cause}"
            if "WRONG_VERSION" in reason or "UNKNOWN_PROTOCOL" in reason or "RECORD_LAYER" in reason:
                return "that port does not speak TLS: use the server's TLS port, or redis:// on a network of your own"
            return (
                f"the TLS handshake failed ({reason}): if the server asks for a client certificate, set "
                f"REPLAY_BROKER_TLS_CERT and REPLAY_BROKER_TLS_KEY to one that its authority signed; see {_DOCS}"
            )
    if any(isinstance(cause, ConnectionResetError) or "closed by server" in str(cause) for cause in _causes(error)):
        if scheme == SCHEME:
            return (
                "the server ended the TLS handshake: is that its TLS port, and does it ask for a client certificate "
                f"(REPLAY_BROKER_TLS_CERT, REPLAY_BROKER_TLS_KEY)? See {_DOCS}"
            )
        return f"the server hung up: a port of TLS wants rediss:// in REPLAY_BROKER_URL; see {_DOCS}"
    return ""


def _check(authority: Path | None, certificate: Path | None, key: Path | None) -> None:
    """Load the files once, since redis-py finds a mistake in them at each connection and tells it as a lost server."""
    if key is not None and certificate is None:
        raise ConfigurationError(
            "REPLAY_BROKER_TLS_KEY is set without REPLAY_BROKER_TLS_CERT",
            hint="set both: the key and the client certificate that belongs to it",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is not None:
        try:
            context.load_verify_locations(authority)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"REPLAY_BROKER_TLS_CA names {authority}, which holds no certificate that can be read ({_said(error)})",
                hint="name a PEM file with the certificate of the authority that signed the server's",
            ) from error
    if certificate is not None:
        try:
            # A password that is asked for would stop a worker that nobody sits at.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                f"REPLAY_BROKER_TLS_CERT names {certificate}, which cannot be used with the key in "
                f"{key or 'the same file'} ({_said(error)})",
                hint="name PEM files of a client certificate and of its own key, without a password on the key",
            ) from error


def _said(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
