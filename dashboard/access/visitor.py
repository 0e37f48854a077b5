"""Who makes a request, and what that person may do."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a visitor may do: see everything, or also act."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Visitor:
    """Who makes a request.

    Attributes:
        role: What they may do.
        session: Beginning of the hash of the session's id; a word where there is no session. Nothing can be forged
            with it, so it may stand in the evidence.
        address: Where the request comes from.
        csrf: What forms of this session must carry; empty where nothing can be sent.
        signed_in: By a token, so there is something to sign out of.
    """

    role: Role
    session: str
    address: str
    csrf: str = ""
    signed_in: bool = False

    @property
    def may_act(self) -> bool:
        """Is this an operator?"""
        return self.role is Role.OPERATOR

    @property
    def who(self) -> str:
        """For the evidence: role, session and address, and the host of this dashboard."""
        return f"{self.role.value}@{socket.gethostname()} by the dashboard, session {self.session}, from {self.address}"
