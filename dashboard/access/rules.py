"""What the settings allow; settings that would open the dashboard to strangers are refused at the start."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass

from pydantic import SecretStr

from dashboard.access.visitor import Role
from replay.errors import ConfigurationError
from replay.settings import Settings

SHORTEST_TOKEN = 16
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

_MAKE_ONE = "Make one with `openssl rand -hex 24`."


@dataclass(frozen=True)
class Rules:
    """Who is let in as what.

    Attributes:
        tokens: SHA-256 of the token of each role that has one.
        anonymous: What somebody without a token is; None: nobody.
        hosts: Names under which the dashboard may be asked for; None: any.
    """

    tokens: tuple[tuple[Role, bytes], ...]
    anonymous: Role | None
    hosts: frozenset[str] | None

    @property
    def can_sign_in(self) -> bool:
        """Is there any token?"""
        return bool(self.tokens)

    @property
    def fingerprint(self) -> str:
        """Another one with other tokens: sessions that were opened by an old token end with it."""
        return hashlib.sha256(b"".join(role.value.encode() + digest for role, digest in self.tokens)).hexdigest()

    def role_of(self, token: str) -> Role | None:
        """The role of a token, compared with each one in constant time."""
        given = _digest(token)
        found = None
        for role, digest in self.tokens:
            if hmac.compare_digest(given, digest):
                found = role
        return found


def rules(settings: Settings, host: str, *, operator: bool = False) -> Rules:
    """The rules for a dashboard that listens on `host`.

    Args:
        settings: Tokens and names.
        host: The address that it is bound to.
        operator: Let everybody on this machine act without a token.

    Raises:
        ConfigurationError: Strangers could read or act, or a token is none.
    """
    tokens = _tokens(settings)
    operator = operator or settings.dashboard_loopback_operator
    names = frozenset(filter(None, (_host_name(name) for name in settings.dashboard_hosts.split(","))))
    local = is_loopback(host) or settings.dashboard_loopback_only
    if not tokens:
        _check_open(host, local=local, names=names)
    if operator and (tokens or not local):
        raise ConfigurationError(
            "operating without a token is for a dashboard on the loopback that has no tokens",
            hint="Leave --operator and REPLAY_DASHBOARD_LOOPBACK_OPERATOR out, and sign in with the operator's token.",
        )
    # Names of other hosts mean that something in front of it hands requests on: then nobody is local any more.
    reads = local and not names and Role.VIEWER not in dict(tokens)
    anonymous = None if not reads else Role.OPERATOR if operator else Role.VIEWER
    return Rules(tokens, anonymous, LOOPBACK_NAMES | names if local or names else None)


def is_loopback(host: str) -> bool:
    """Can only this machine reach what is bound to this address?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_open(host: str, *, local: bool, names: frozenset[str]) -> None:
    where = f"listens on {host}" if not local else f"is published as {', '.join(sorted(names))}" if names else ""
    if where:
        raise ConfigurationError(
            f"the dashboard {where}, where others can reach it, and no token is set",
            hint="Set REPLAY_DASHBOARD_VIEWER_TOKEN, and REPLAY_DASHBOARD_OPERATOR_TOKEN for who may act, or listen on "
            f"127.0.0.1. {_MAKE_ONE} See docs/dashboard-access.md.",
        )


def _tokens(settings: Settings) -> tuple[tuple[Role, bytes], ...]:
    given = {Role.VIEWER: settings.dashboard_viewer_token, Role.OPERATOR: settings.dashboard_operator_token}
    tokens = [(role, _digest(_checked(role, secret))) for role, secret in given.items() if secret is not None]
    if len({digest for _, digest in tokens}) < len(tokens):
        raise ConfigurationError("viewer and operator have the same token", hint=f"Give each its own. {_MAKE_ONE}")
    return tuple(tokens)


def _checked(role: Role, secret: SecretStr) -> str:
    token = secret.get_secret_value()
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            f"REPLAY_DASHBOARD_{role.upper()}_TOKEN is no token: it needs {SHORTEST_TOKEN} or more ASCII characters, "
            "none of them blank",
            hint=_MAKE_ONE,
        )
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _host_name(name: str) -> str:
    name = name.strip().lower()
    return f"[{name}]" if ":" in name and not name.startswith("[") else name
