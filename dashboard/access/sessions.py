"""Sessions: a signed cookie that says which role was proved when, and what its forms must carry.

The cookie holds no secret and is kept nowhere; only sessions that were signed out of are remembered, until they would
have ended by themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from dashboard.access.visitor import Role

LASTS_S = 12 * 3600


@dataclass(frozen=True)
class Session:
    """An open session.

    Attributes:
        id: Known to the browser and this process alone.
        role: What was proved.
        signed_in: By a token, and not by being on this machine.
    """

    id: str
    role: Role
    signed_in: bool

    @property
    def name(self) -> str:
        """Beginning of the id's hash: says which session it was, and opens none."""
        return hashlib.sha256(self.id.encode()).hexdigest()[:12]


class Sessions:
    """Opens, recognises and closes sessions.

    Args:
        key: Signs them; None: a random one, so that they end with this process.
        fingerprint: Of the tokens: with other tokens all sessions are void.
        lasts_s: How long one lasts.
    """

    def __init__(self, key: str | None, fingerprint: str, *, lasts_s: float = LASTS_S) -> None:
        self._key = key or secrets.token_hex(32)
        self._lasts_s = lasts_s
        self._closed: dict[str, float] = {}
        self._serializer = URLSafeTimedSerializer(
            self._key,
            salt=f"replay.dashboard.session.{fingerprint}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def open(self, role: Role, *, signed_in: bool) -> tuple[Session, str]:
        """A new session, and the value of its cookie."""
        session = Session(secrets.token_urlsafe(24), role, signed_in)
        cookie = self._serializer.dumps([session.id, session.role.value, session.signed_in])
        return session, cookie if isinstance(cookie, str) else cookie.decode("ascii")

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is none of ours, is over, or was closed."""
        try:
            value: Any = self._serializer.loads(cookie, max_age=int(self._lasts_s))
            session_id, role, signed_in = value
            session = Session(str(session_id), Role(role), bool(signed_in))
        except (BadData, ValueError, TypeError):
            return None
        return None if session.id in self._closed else session

    def close(self, session: Session) -> None:
        """Void a session, whoever may have kept its cookie."""
        now = time.monotonic()
        self._closed = {known: until for known, until in self._closed.items() if until > now}
        self._closed[session.id] = now + self._lasts_s + 1

    def csrf(self, session: Session) -> str:
        """What a form of this session carries; another page can neither read nor guess it."""
        return hmac.new(self._key.encode(), f"csrf.{session.id}".encode(), hashlib.sha256).hexdigest()
