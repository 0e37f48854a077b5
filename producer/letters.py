"""Dead letters as an operator asks about them: which run they are of, and what stood in the message."""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from broker import dead, envelope
from replay.contracts import DeadLetter
from replay.errors import InputError

_PREFIX = "dead_"
_BODY = re.compile(rb'"body":\s*"([A-Za-z0-9+/]+)')
_RUN = re.compile(rb'\\?"run_id\\?":\s*\\?"(run_[0-9a-f]{24})\\?"')
_BATCH = re.compile(rb'\\?"batch_id\\?":\s*\\?"(batch_[0-9a-f]{16})\\?"')


@dataclass(frozen=True)
class Lying:
    """A letter on the dead queue, with its bytes there."""

    item: bytes
    letter: DeadLetter


def on_the_queue(client: redis.Redis) -> Iterator[tuple[bytes, DeadLetter]]:
    """Every letter with its bytes on the queue, the newest first."""
    return dead.items(client)


def choose(
    client: redis.Redis, names: Sequence[str], *, cause: str | None = None, everything: bool = False
) -> list[Lying]:
    """The letters that somebody means, the oldest first.

    Args:
        client: The broker.
        names: Ids, or unambiguous beginnings of them, with or without `dead_`.
        cause: Beginning of the cause; alone it chooses all letters of that cause, with names it narrows them.
        everything: All letters.

    Raises:
        InputError: A name fits none or several, or nothing is chosen at all.
    """
    if not names and cause is None and not everything:
        raise InputError(
            "no letter is chosen", hint="Give ids from `replay dead list`, `--cause BEGINNING`, or `--all`."
        )
    lying = [Lying(*found) for found in on_the_queue(client)][::-1]
    if names:
        chosen = {id(found): found for name in names for found in [_named(name, lying)]}
        lying = list(chosen.values())
    return [found for found in lying if cause is None or found.letter.cause.startswith(cause)]


def newest(client: redis.Redis, count: int, *, cause: str | None = None) -> tuple[list[DeadLetter], int]:
    """The newest letters of a cause, oldest first, and how many older ones there are; only the former are held."""
    found: list[DeadLetter] = []
    older = 0
    for _, letter in on_the_queue(client):
        if cause is not None and not letter.cause.startswith(cause):
            continue
        if len(found) < count:
            found.append(letter)
        else:
            older += 1
    return found[::-1], older


def payload(letter: DeadLetter) -> bytes:
    """The bytes of the message, as many as were kept."""
    try:
        return base64.b64decode(letter.payload_base64, validate=True)
    except (binascii.Error, ValueError):
        # A letter that a stranger wrote.
        return b""


def is_whole(letter: DeadLetter) -> bool:
    """Were all bytes of the message kept?"""
    return len(payload(letter)) == letter.payload_bytes


def run_id_of(letter: DeadLetter) -> str | None:
    """The run that the message is about, as far as its bytes say; they may be cut, or anything."""
    kept = payload(letter)
    return envelope.run_id_of(kept) or _first(_RUN, kept)


def batch_id_of(letter: DeadLetter) -> str | None:
    """The batch that the message is about, as far as its bytes say."""
    return _first(_BATCH, payload(letter))


def bare(letter: DeadLetter) -> dict[str, Any] | None:
    """The payload of a letter that keeps no envelope around it, as that of a poisoned run; None where it has none."""
    try:
        value = json.loads(payload(letter))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and "schema" in value else None


def readable(letter: DeadLetter) -> str:
    """The message for a terminal: its call decoded where it has one, nothing in it that could steer a terminal."""
    kept = payload(letter)
    try:
        message = json.loads(kept)
        if isinstance(message, dict) and isinstance(message.get("body"), str):
            message["body"] = json.loads(_call(kept))
        text = json.dumps(message, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = kept.decode("utf-8", "backslashreplace")
    return harmless(text)


def harmless(text: str) -> str:
    """The text with every control, format and unassigned character written as an escape; line ends stay."""
    return "".join(
        character
        if character == "\n" or not unicodedata.category(character).startswith("C")
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _named(name: str, lying: Sequence[Lying]) -> Lying:
    fitting = [found for found in lying if found.letter.id == name] or [
        found for found in lying if found.letter.id.removeprefix(_PREFIX).startswith(name.removeprefix(_PREFIX))
    ]
    if len(fitting) != 1:
        what = f"{len(fitting)} letters begin" if fitting else "no letter on the dead queue begins"
        raise InputError(f"{what} with {name!r}", hint="`replay dead list` shows their ids.")
    return fitting[0]


def _first(pattern: re.Pattern[bytes], kept: bytes) -> str | None:
    found = pattern.search(_call(kept)) or pattern.search(kept)
    return found[1].decode("ascii") if found is not None else None


def _call(kept: bytes) -> bytes:
    """The body of an envelope, decoded from base64 as far as it is there; else the bytes as they are."""
    body = _BODY.search(kept)
    if body is None:
        return kept
    whole = len(body[1]) // 4 * 4
    try:
        return base64.b64decode(body[1][:whole])
    except binascii.Error:
        return kept
