"""Who a request is from: by a bearer token, by a session, or by being on this machine."""

from __future__ import annotations

import hmac
import ipaddress
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from dashboard.access.origin import is_forwarded
from dashboard.access.rules import Rules
from dashboard.access.sessions import Session, Sessions
from dashboard.access.throttle import Throttle
from dashboard.access.visitor import Role, Visitor
from replay.settings import Settings

logger = logging.getLogger(__name__)

BEARER = "bearer"
"""The session of who sends a token with each request."""

_COOKIE = "replay_session"


class TooManyGuesses(Exception):
    """Tokens from this address are not looked at for a while."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


@dataclass
class Access:
    """Rules, open sessions and wrong guesses of one dashboard."""

    rules: Rules
    sessions: Sessions
    throttle: Throttle = field(default_factory=Throttle)

    @classmethod
    def of(cls, settings: Settings, rules: Rules) -> Access:
        """With the key of the settings, if they have one."""
        key = settings.dashboard_session_key
        return cls(rules, Sessions(key.get_secret_value() if key is not None else None, rules.fingerprint))

    def visitor(self, request: HTTPConnection) -> Visitor | None:
        """Who makes the request; None: somebody who has to sign in.

        Raises:
            TooManyGuesses: It carries a token, after too many wrong ones from its address.
        """
        address = address_of(request)
        given = request.headers.get("authorization")
        if given is not None:
            scheme, _, token = given.partition(" ")
            role = self.proved(token.strip(), address) if scheme.lower() == "bearer" else None
            return Visitor(role, BEARER, address) if role is not None else None
        session = self.session(request)
        if session is not None:
            return Visitor(session.role, session.name, address, self.sessions.csrf(session), session.signed_in)
        anonymous = self.rules.anonymous
        # What a proxy hands on comes from somebody who is not on this machine.
        if anonymous is None or is_forwarded(request.headers):
            return None
        # Without a session there is nothing that a form could be bound to.
        return Visitor(Role.VIEWER, "none", address)

    def session(self, request: HTTPConnection) -> Session | None:
        """The open session that a request carries."""
        cookie = request.cookies.get(cookie_name(request))
        session = self.sessions.read(cookie) if cookie else None
        if session is None or session.signed_in:
            return session
        # Opened for being on this machine: that has to be so now as well.
        allowed = self.rules.anonymous is session.role and not is_forwarded(request.headers)
        return session if allowed else None

    def proved(self, token: str, address: str) -> Role | None:
        """The role of a token; a wrong one is counted.

        Raises:
            TooManyGuesses: There were too many from this address.
        """
        if (wait_s := self.throttle.wait_s(address)) > 0:
            raise TooManyGuesses(wait_s)
        role = self.rules.role_of(token)
        if role is None:
            self.throttle.failed(address)
            logger.warning("a wrong token from %s", address)
        return role

    def is_bound(self, visitor: Visitor, given: str) -> bool:
        """Does a form carry what the forms of this session carry?"""
        return bool(visitor.csrf) and hmac.compare_digest(visitor.csrf.encode(), given.encode("utf-8", "replace"))


async def while_admitted(
    events: AsyncGenerator[bytes, None], request: HTTPConnection, access: Access
) -> AsyncIterator[bytes]:
    """A stream that ends with the session of who reads it, and not only with the page."""
    async with aclosing(events):
        async for event in events:
            try:
                if access.visitor(request) is None:
                    return
            except TooManyGuesses:
                return
            yield event


def address_of(request: HTTPConnection) -> str:
    """Where the request comes from; behind a trusted proxy, where that says it comes from, if it says an address."""
    try:
        return str(ipaddress.ip_address(request.client.host)) if request.client is not None else "unknown"
    except ValueError:
        return "unknown"


def cookie_name(request: HTTPConnection) -> str:
    """Browsers share cookies between the ports of a host: each dashboard of a machine needs a name of its own."""
    port = request.url.port
    name = f"{_COOKIE}_{port}" if port is not None else _COOKIE
    # Browsers let nothing but this host, over TLS, set a cookie of that name.
    return f"__Host-{name}" if request.url.scheme == "https" else name


def cookie_header(request: HTTPConnection, value: str) -> str:
    """The `Set-Cookie` of a session; an empty value takes it away. No script reads it, no other site sends it."""
    secure = "; Secure" if request.url.scheme == "https" else ""
    gone = "" if value else "; Max-Age=0"
    return f"{cookie_name(request)}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{gone}"
