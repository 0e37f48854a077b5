"""Where the broker is, and how to get a client that speaks to it.

With `REPLAY_BROKER_URL` unset it is the embedded Valkey server on a private Unix socket; one function, `socket_path`,
decides where that socket lies, and both the server and its clients ask it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004  redis's names
    NoPermissionError,
    RedisError,
    TimeoutError,  # noqa: A004  see above
)
from redis.retry import Retry

from broker import tls
from replay.errors import BrokerUnavailable, ConfigurationError
from replay.settings import Settings

# What redis-py raises when the server is gone or cannot be reached; anything else is an answer of the server.
LOST = (ConnectionError, TimeoutError)

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
_SOCKET_PATH_BYTES = 100

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}


def socket_path(settings: Settings) -> Path:
    """The embedded server's socket: in the run directory, or, where that path is too long, in a private temporary one.

    The temporary directory is derived from the data directory, so that every process of a checkout finds the same one.
    """
    near = settings.run_dir.resolve() / "valkey.sock"
    if len(os.fsencode(near)) <= _SOCKET_PATH_BYTES:
        return near
    mark = hashlib.sha256(os.fsencode(settings.data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"replay-{os.getuid()}-{mark}" / "valkey.sock"


def connect(settings: Settings, *, patience: int = 3) -> redis.Redis:
    """Return a client of the broker that has answered a ping.

    Args:
        settings: Say where the broker is.
        patience: How often a command is sent again after a lost connection, with growing pauses of up to a second.

    Raises:
        BrokerUnavailable: Nothing answers there, or it refuses us.
        ConfigurationError: The URL is none of a Redis or Valkey server.
    """
    try:
        # The first ping does not retry: who asks for a connection wants to know at once that there is none.
        _client(settings, retries=0).ping()
    except (ValueError, TypeError):
        # Options in the URL that redis-py does not know or cannot read; it finds them at the first connection.
        if settings.broker_url is None:
            raise
        raise _no_address() from None
    except AuthenticationError as error:
        raise BrokerUnavailable(
            f"the broker at {describe(settings)} refuses the login: {error}",
            hint="check user and password in REPLAY_BROKER_URL",
        ) from error
    except NoPermissionError as error:
        raise BrokerUnavailable(
            f"the broker at {describe(settings)} forbids this user what it asks: {error}",
            hint="`replay broker acl` writes the users with the rights that each role needs",
        ) from error
    except RedisError as error:
        raise unavailable(settings, error) from error
    return _client(settings, retries=patience)


def unavailable(settings: Settings, error: RedisError) -> BrokerUnavailable:
    """The error for people: what does not answer, and how it is started."""
    if settings.broker_url is None:
        nobody = isinstance(error.__context__, FileNotFoundError | ConnectionRefusedError)
        if nobody and isinstance(error, ConnectionError) and not isinstance(error, BusyLoadingError):
            # Nobody listens on its socket. Where that lies, and what the library says of it, helps nobody to start it.
            return BrokerUnavailable(
                "the broker is not running",
                hint="start it with `replay up`, or set REPLAY_BROKER_URL to a running Redis or Valkey server",
            )
        return BrokerUnavailable(
            f"the broker runs, but does not answer: {error}", hint="wait a moment; then `replay doctor` says more"
        )
    hint = tls.advice(error, urlsplit(describe(settings)).scheme) or (
        "start that server or correct REPLAY_BROKER_URL; unset it to use the embedded one (`replay up`)"
    )
    return BrokerUnavailable(f"the broker at {describe(settings)} does not answer: {error}", hint=hint)


def celery_url(settings: Settings) -> str:
    """The same broker as kombu spells it."""
    if settings.broker_url is None:
        return f"redis+socket://{quote(str(socket_path(settings)))}"
    plain = _plain(settings.broker_url)
    url = urlsplit(plain)
    if options := tls.options(settings, plain):
        # kombu splits its URL at each `;`, so what may stand in a path is encoded.
        return url._replace(query="&".join(filter(None, [url.query, urlencode(options)]))).geturl()
    if url.scheme == "unix":
        query = url.query.replace("db=", "virtual_host=")
        return f"redis+socket://{url.netloc}{url.path}" + (f"?{query}" if query else "")
    return url.geturl()


def describe(settings: Settings) -> str:
    """The broker's address for people, without credentials."""
    if settings.broker_url is None:
        return f"{socket_path(settings)} (embedded)"
    url = urlsplit(_plain(settings.broker_url))
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _client(settings: Settings, *, retries: int) -> redis.Redis:
    retry = Retry(ExponentialWithJitterBackoff(cap=1.0, base=0.05), retries)
    if settings.broker_url is None:
        tls.options(settings, "")  # refuses certificates that would guard nothing
        return redis.Redis(unix_socket_path=str(socket_path(settings)), retry=retry, protocol=2)
    url = _plain(settings.broker_url)
    # Values that stand in the URL win over these in redis-py.
    options: dict[str, Any] = {**tls.options(settings, url)}
    if not url.startswith("unix:"):
        options |= {"socket_connect_timeout": 5, "socket_keepalive": True}
    return redis.Redis.from_url(url, retry=retry, protocol=2, **options)


def _plain(broker_url: str) -> str:
    """The URL with a scheme that redis-py and kombu know."""
    scheme, separator, rest = broker_url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise ConfigurationError(
            f"REPLAY_BROKER_URL has the scheme {scheme if separator else '(none)'!r}",
            hint="use redis://host:6379/0 (also for Valkey), rediss:// for TLS, or unix:///path/to.sock",
        )
    plain = f"{_SCHEMES[scheme]}://{rest}"
    try:
        _ = urlsplit(plain).port
    except ValueError:
        raise _no_address() from None
    return plain


def _no_address() -> ConfigurationError:
    """Neither the URL nor what a parser says of it is repeated: a part of a password may be in both."""
    return ConfigurationError(
        "REPLAY_BROKER_URL is not the address of a Redis or Valkey server",
        hint="use redis://host:6379/0, rediss:// for TLS, or unix:///path/to.sock; percent-encode `/`, `@` and `:` in "
        "a password, put an IPv6 address into brackets, and leave out options that redis-py does not know",
    )
