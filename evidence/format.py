"""One line of the log: canonical JSON of a record, with its place in the hash chain.

A line is the record plus `"chain":{"hash":…,"prev":…,"seq":…}`, in canonical JSON, and a line end, which is the commit
mark. `hash` is the SHA-256 of the canonical bytes with `chain` lacking `hash`; `prev` is the hash of the line before.

A record is encoded once: its keys sort before or after `chain`, so each half is encoded alone and the chain object is
set between them, once without the hash to compute it and once with it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from replay.errors import InputError
from replay.identity import Json, canonical_json

NO_HASH = "sha256:" + "0" * 64
"""`prev` of the first line."""

MAX_BODY_BYTES = 8 * 1024 * 1024
"""What a caller may append."""

MAX_LINE_BYTES = 2 * MAX_BODY_BYTES
"""No line is longer, conflicts that wrap a whole body included, so no reader needs more memory."""

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


class Body(NamedTuple):
    """A record, encoded but not yet placed. `hash` identifies its content, wherever it lies.

    `before` and `after` are what stands on both sides of the chain; `begun` is the hash over `{` and `before`, with
    which the hashes of the content and of the line both begin.
    """

    record: Mapping[str, Json]
    hash: str
    before: bytes
    after: bytes
    begun: hashlib._Hash

    @property
    def id(self) -> str:
        """The record's idempotency key."""
        return str(self.record["id"])


class Chain(NamedTuple):
    """The place of a line: `seq` counts from 1 and is also the line number."""

    seq: int
    prev: str
    hash: str


class Line(NamedTuple):
    """A record in its place; `data` is what lies in the file, with the line end."""

    record: Mapping[str, Json]
    body_hash: str
    chain: Chain
    data: bytes


class Head(NamedTuple):
    """The end of a log: its last line, which begins at position `last`, and the position after it."""

    seq: int = 0
    hash: str = NO_HASH
    last: int = 0
    end: int = 0

    def after(self, line: Line) -> Head:
        """The end of the log once this line is on it."""
        return Head(line.chain.seq, line.chain.hash, self.end, self.end + len(line.data))


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why bytes are not a line of this log: the first bad byte, counted from the start of the line, and what fits."""

    position: int
    expected: str


def prepare(record: Mapping[str, Json], limit: int = MAX_BODY_BYTES) -> Body:
    """Encode a record, once.

    Args:
        record: A JSON object as `json.loads` or `Message.wire` gives it, with text in `schema` and `id`.
        limit: The most bytes that it may have.

    Raises:
        InputError: It is not such an object, is too large, or holds what JSON cannot say (NaN, a lone surrogate).
    """
    name = f"record {record.get('id')!r}"
    for field in ("schema", "id"):
        if not isinstance(record.get(field), str) or not record[field]:
            raise InputError(f"{name} has no {field}", hint=f"Give every record a text field `{field}`.")
    if "chain" in record:
        raise InputError(f"{name} brings its own `chain`", hint="Only the log writes `chain`; send the bare record.")
    try:
        before = canonical_json({key: value for key, value in record.items() if key < "chain"})[1:-1]
        after = canonical_json({key: value for key, value in record.items() if key > "chain"})[1:-1]
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be stored as JSON: {error}", hint="Look at the code that made it.") from error
    if (size := len(before) + len(after)) > limit:
        raise InputError(f"{name} has {size} bytes", hint=f"A record holds at most {limit} bytes.")
    return join(record, before, after)


def join(record: Mapping[str, Json], before: bytes, after: bytes) -> Body:
    """The body of a record whose canonical bytes are these two halves, without the brackets and the comma."""
    before = before + b"," if before else b""
    begun = hashlib.sha256(b"{" + before)
    whole = begun.copy()
    whole.update(after + b"}")
    return Body(record, "sha256:" + whole.hexdigest(), before, after, begun)


def seal(body: Body, seq: int, prev: str) -> Line:
    """Place an encoded record in the chain."""
    tail = b'"prev":"%b","seq":%d},%b}' % (prev.encode(), seq, body.after)
    line = body.begun.copy()
    line.update(b'"chain":{' + tail)
    hashed = "sha256:" + line.hexdigest()
    data = b'{%b"chain":{"hash":"%b",%b\n' % (body.before, hashed.encode(), tail)
    return Line(body.record, body.hash, Chain(seq, prev, hashed), data)


def encode(record: Mapping[str, Json], seq: int, prev: str) -> Line:
    """Make the line of a record.

    Raises:
        InputError: See `prepare`.
    """
    return seal(prepare(record, MAX_LINE_BYTES), seq, prev)


def parse(data: bytes) -> tuple[dict[str, Any], Chain] | Flaw:
    """Read a line without proving it: the record without `chain`, and its chain."""
    record = _load(data)
    if isinstance(record, Flaw):
        return record
    match record.pop("chain", None):
        case {"seq": int(seq), "prev": str(prev), "hash": str(hashed), **rest} if (
            not rest and seq > 0 and seq is not True and _HASH.fullmatch(prev) and _HASH.fullmatch(hashed)
        ):
            return record, Chain(seq, prev, hashed)
        case _:
            return Flaw(max(data.find(b'"chain"'), 0), "a chain object with exactly hash, prev and seq")


def decode(data: bytes) -> Line | Flaw:
    """Read a line and prove it alone: encoding its record again gives these bytes, hash included."""
    parsed = parse(data)
    if isinstance(parsed, Flaw):
        return parsed
    record, chain = parsed
    try:
        line = encode(record, chain.seq, chain.prev)
    except InputError as error:
        return Flaw(0, f"a record ({error.message})")
    if line.data == data:
        return line
    position = next((i for i, (a, b) in enumerate(zip(line.data, data, strict=False)) if a != b), len(line.data))
    if line.chain.hash != chain.hash:
        return Flaw(position, f"the hash of the line's content, {line.chain.hash}")
    return Flaw(position, "canonical JSON: sorted keys, no spaces, each key once")


def succeed(data: bytes, head: Head) -> Line | Flaw:
    """Read a line and prove that it is the one after `head`."""
    line = decode(data)
    if isinstance(line, Flaw):
        return line
    place = data.find(b'"chain":{"hash":"' + line.chain.hash.encode())
    if line.chain.prev != head.hash:
        return Flaw(data.find(b'"prev"', place), f"prev {head.hash}, the hash of the line before")
    if line.chain.seq != head.seq + 1:
        return Flaw(data.find(b'"seq"', place), f"seq {head.seq + 1}")
    return line


def _load(data: bytes) -> dict[str, Any] | Flaw:
    if not data.endswith(b"\n"):
        return Flaw(len(data), "a line end")
    try:
        text = data.decode()
        value = json.loads(text)
    except UnicodeDecodeError as error:
        return Flaw(error.start, "UTF-8")
    except json.JSONDecodeError as error:
        return Flaw(len(text[: error.pos].encode()), f"JSON ({error.msg})")
    except (ValueError, RecursionError) as error:
        return Flaw(0, f"JSON that can be read ({error})")
    return value if isinstance(value, dict) else Flaw(0, "a JSON object")
