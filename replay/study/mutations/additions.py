"""Invented statements of the kind that models add: in many parts, so that no list of sentences recognises them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

_VERBS = (
    "logs", "caches", "retries", "validates", "encrypts", "compresses", "locks", "copies", "flushes", "notifies",
    "schedules", "rejects", "deduplicates", "persists", "measures", "throttles",
)  # fmt: skip
_OBJECTS = (
    "every warning", "the previous connection", "all subclasses", "the audit trail", "the caller's credentials",
    "each pending request", "the temporary directory", "the environment variables", "the remote certificate",
    "its own metrics", "the parent process", "the thread pool", "unused handles", "the signal handlers",
)  # fmt: skip
_CONDITIONS = (
    "", " under asyncio", " on Windows", " during shutdown", " when the disk is full", " in debug builds",
    " once per hour", " after a failed login", " for privileged users", " before the fork",
)  # fmt: skip
_QUALITIES = (
    "thread-safe", "deprecated", "experimental", "faster than its predecessor", "guaranteed never to block",
    "idempotent", "the recommended choice in production", "unavailable on macOS", "covered by the test suite",
    "backwards compatible", "subject to rate limits", "safe to call from signal handlers", "required by the protocol",
)  # fmt: skip
_SINCE = ("the 2019 rewrite", "the security audit", "the last major release", "Python 2 was dropped")


@dataclass(frozen=True)
class Addition:
    """A clause that continues a sentence, or a sentence that follows it or leads to it."""

    text: str
    is_clause: bool = False
    leads: bool = False


def addition(rng: Random) -> Addition:
    """Draw a statement: of some ten thousand that can be made."""
    verb, thing, condition = rng.choice(_VERBS), rng.choice(_OBJECTS), rng.choice(_CONDITIONS)
    quality, since = rng.choice(_QUALITIES), rng.choice(_SINCE)
    forms = (
        Addition(f", and {verb} {thing}{condition}", is_clause=True),
        Addition(f", which {verb} {thing}{condition}", is_clause=True),
        Addition(f" because this {verb} {thing}", is_clause=True),
        Addition(f", after which it {verb} {thing}{condition}", is_clause=True),
        Addition(f", and is {quality}", is_clause=True),
        Addition(f"It also {verb} {thing}{condition}."),
        Addition(f"It is {quality}{condition}."),
        Addition(f"This makes it {quality}."),
        Addition(f"Internally it {verb} {thing}{condition}."),
        Addition(f"Users should know that it {verb} {thing}."),
        Addition(f"Since {since}, it {verb} {thing}."),
        Addition(f"Because it {verb} {thing}, the following holds:", leads=True),
        Addition(f"Being {quality},", leads=True),
        Addition(f"It {verb} {thing}{condition}.", leads=True),
    )
    return rng.choice(forms)
