"""Users of a shared broker, each with the least that its role needs: the access control list of Redis and Valkey.

A contract test has every role do its whole work with these rights, and tries what it must not be able to do. Scripts
run with the rights of whoever calls them, so what they call is listed like what we call ourselves.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker import breaker, writer_lease
from broker.claims import MOVED_BACK
from broker.lanes import lane_key
from replay.topology import CANCELLED, EVIDENCE_STREAM, HEARTBEATS, METERS, STARTS, Queue

ADMIN = "replay-admin"
"""May do anything: for people at `valkey-cli`, never for Replay."""

_PASSWORD_BYTES = 24


class Role(StrEnum):
    """Who speaks to the broker.

    `PRODUCER`: `replay submit`, `results`, looking at batches, and the scheduler. `WORKER`: both lanes. `WRITER`: the
    evidence writer. `OPERATOR`: what a producer may, `replay dead`, `replay lane`, and what is done to whole batches.
    `DASHBOARD`: only looks.
    """

    PRODUCER = "producer"
    WORKER = "worker"
    WRITER = "writer"
    OPERATOR = "operator"
    DASHBOARD = "dashboard"


@dataclass(frozen=True)
class Rights:
    """What one role may do: commands and families of them, on keys that it may read or also change."""

    commands: str
    reads: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


# A queue and everything beside it: claims, what is in flight, lists for the priorities of stock producers.
_LANES = tuple(f"{queue}*" for queue in (Queue.LOCAL, Queue.ESCALATION))
_LANE, _BREAKER, _STARTS, _BEATS = lane_key("*"), breaker.key("*"), f"{STARTS}:*", f"{HEARTBEATS}:*"
# What a lane may spend, set by hand, and what it has spent.
_LIMITS, _SPENT = ("replay.limits:*",), ("replay.budget:*", "replay.rate:*")
_ANSWERS = "replay.answers:*"
_STOPPED = (CANCELLED, "replay.paused")

# What every client sends. SCAN finds heartbeats: `replay worker ROLE --check`.
_ALWAYS = "@connection time info scan multi exec evalsha eval eval_ro script|load"
# Whole families on keys of one's own; of lists and streams, where several roles meet, each command by its name.
_BOOKS = "@hash @set @sortedset @string del expire pexpire exists"

_PRODUCER = Rights(
    f"@read {_BOOKS} {_ALWAYS} lpush rpush lmove",
    reads=(EVIDENCE_STREAM, Queue.DEAD.value, _LANE, _BREAKER, *_LIMITS, *_SPENT),
    # The scheduler counts again what was spent before a broker lost its data.
    changes=(*_LANES, MOVED_BACK, *_STOPPED, _STARTS, _BEATS, METERS, "replay.scheduler*", "replay.budget:*"),
)

RIGHTS: Mapping[Role, Rights] = {
    Role.PRODUCER: _PRODUCER,
    Role.OPERATOR: Rights(
        f"{_PRODUCER.commands} lrem xadd",
        reads=_PRODUCER.reads,
        changes=(*_PRODUCER.changes, EVIDENCE_STREAM, Queue.DEAD.value, _LANE, _BREAKER, *_LIMITS, *_SPENT),
    ),
    Role.WORKER: Rights(
        f"{_BOOKS} {_ALWAYS} blmove lmove lrem lpush rpush llen xadd xlen",
        reads=_STOPPED,
        changes=(
            *_LANES,
            # These two are only looked at, but by a script that also writes, and a script's keys must be free for both.
            _LANE,
            *_LIMITS,
            *_SPENT,
            _ANSWERS,
            Queue.DEAD.value,
            EVIDENCE_STREAM,
            MOVED_BACK,
            _STARTS,
            _BREAKER,
            _BEATS,
            METERS,
            # Where kombu notes which queue belongs to which exchange.
            "_kombu.binding*",
        ),
    ),
    Role.WRITER: Rights(
        f"{_BOOKS} {_ALWAYS} xlen xreadgroup xack xdel xpending xclaim"
        " xgroup|create xgroup|delconsumer xinfo|consumers",
        changes=(EVIDENCE_STREAM, writer_lease.KEY, writer_lease.EPOCH_KEY, _BEATS, METERS),
    ),
    Role.DASHBOARD: Rights(f"@read {_ALWAYS}", reads=("replay.*",)),
}


def user(role: Role) -> str:
    """The name of a role's user."""
    return f"replay-{role}"


def new_passwords() -> dict[Role, str]:
    """A password for each role, from the system's randomness."""
    return {role: new_password() for role in Role}


def new_password() -> str:
    """One that may stand in a URL as it is."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def rules(role: Role, password: str) -> list[str]:
    """The rules of a user, as `ACL SETUSER` takes them. The password is in them as its hash only."""
    rights = RIGHTS[role]
    words = rights.commands.split()
    return [
        "reset",
        "on",
        f"#{hashlib.sha256(password.encode()).hexdigest()}",
        *(f"%R~{pattern}" for pattern in rights.reads),
        *(f"~{pattern}" for pattern in rights.changes),
        "-@all",
        *(f"+{word}" for word in words if word.startswith("@")),
        # KEYS, SORT and their like are in the families too.
        "-@dangerous",
        *(f"+{word}" for word in words if not word.startswith("@")),
    ]


def users_file(passwords: Mapping[Role, str], admin: str) -> str:
    """A file for `aclfile`: these users, an administrator who may do anything, and nobody without a password.

    Args:
        passwords: Of each role.
        admin: The administrator's password.
    """
    hashed = hashlib.sha256(admin.encode()).hexdigest()
    lines = ["user default off", f"user {ADMIN} on #{hashed} ~* &* +@all"]
    lines += [" ".join(["user", user(role), *rules(role, passwords[role])]) for role in passwords]
    return "\n".join(lines) + "\n"
