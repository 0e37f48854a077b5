"""The outer form of a message on a queue: kombu's envelope around Celery's protocol 2, written and read by hand.

Written by hand because it is 25 times as fast as Celery's own publishing. Read by hand because a queue may hold any
bytes: kombu 5.7 takes a message off the list first and looks at it then, and a worker that stumbles over one exits, or
reconnects for ever, and the message is gone. What `opened` accepts is rebuilt from the few fields that are checked, so
nothing else in an envelope (links, callbacks, expiry, a foreign routing key) ever reaches Celery.

Where messages are signed (`broker.signing`), the signature of the body stands in a header of the envelope.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Any

import redis

from broker.signing import HEADER, UNSIGNED, Keyring
from replay import tracing
from replay.contracts import Tier
from replay.topology import ROUTES, Queue, TaskName

# When the message was enqueued for the first time, Unix time by the clock of who did it. Informative: it is not signed.
ENQUEUED_AT = "replay-enqueued-at"

MAX_ENVELOPE_BYTES = 16 * 1024 * 1024
CHUNK = 500

_ENQUEUED_AT = ENQUEUED_AT.encode()
# How the bytes of a message of ours begin; the task's name stands in the middle, the quoted id follows.
_HEAD = b'{"headers":{"lang":"py","task":"%b","id":'
_OUR_HEADS = tuple(_HEAD % name.value.encode() + b'"' for name in ROUTES)

TASK_OF: dict[Queue, TaskName] = {queue: name for name, queue in ROUTES.items()}


# The year 2286: what is later is no time, and an integer beyond it may be none that a float can say.
_LAST_MOMENT = 1e10

_TIER_OF = {Queue.LOCAL: Tier.LOCAL, Queue.ESCALATION: Tier.ESCALATION}


class EnvelopeFault(ValueError):
    """The bytes are no message that may run; the text says why."""

    cause = "envelope"


class SignatureFault(EnvelopeFault):
    """The message is not signed, or not by us."""

    cause = "signature"


@dataclass(frozen=True)
class Envelope:
    """One task message: Celery's task name, its id `<run_id>:<tier>`, and the one JSON argument.

    `enqueued_at` is None where the message does not say, and before it is enqueued; `traceparent` is empty then.
    `body` is the call as it was read, where it is nothing but that argument; empty: it is to be written from `payload`.
    """

    task_name: TaskName
    message_id: str
    payload: dict[str, Any]
    enqueued_at: float | None = field(default=None, compare=False)
    traceparent: str = field(default="", compare=False)
    body: bytes = field(default=b"", compare=False, repr=False)

    def message(self, queue: str, tag: str, keyring: Keyring = UNSIGNED) -> dict[str, Any]:
        """The kombu form, with `tag` as its delivery tag."""
        # ASCII only: JSON from a stranger may hold a lone surrogate, which UTF-8 cannot say.
        body = self.body or json.dumps([[self.payload], {}, {}], separators=(",", ":")).encode("ascii")
        since = time.time() if self.enqueued_at is None else self.enqueued_at
        headers = {"lang": "py", "task": self.task_name.value, "id": self.message_id, ENQUEUED_AT: round(since, 3)}
        headers |= {tracing.HEADER: self.traceparent} if self.traceparent else {}
        signature = keyring.sign(queue, self.message_id, body)
        return {
            "body": base64.b64encode(body).decode("ascii"),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers if signature is None else headers | {HEADER: signature},
            "properties": {
                "correlation_id": self.message_id,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_tag": tag,
                "body_encoding": "base64",
            },
        }

    def sealed(self, queue: str, keyring: Keyring = UNSIGNED) -> bytes:
        """The bytes that lie on a queue, signed where there are keys."""
        # ASCII only: JSON from a stranger may hold a lone surrogate, which UTF-8 cannot say.
        argument = json.dumps(self.payload, separators=(",", ":")).encode("ascii")
        return Press(self.task_name, queue, keyring).sealed(self.message_id, argument, self.enqueued_at)


class Press:
    """Seals many messages of one queue: what is the same in all of them is written once.

    The task's name and the message's id come first in the bytes, so that `run_id_of` finds them without reading on.

    Args:
        task_name: Celery's name of the task.
        queue: Where the messages will lie.
        keyring: Signs them.
    """

    def __init__(self, task_name: TaskName, queue: str, keyring: Keyring = UNSIGNED) -> None:
        self._queue = queue
        self._keyring = keyring
        self._head = _HEAD % task_name.value.encode()
        self._middle = (
            b'},"content-encoding":"utf-8","content-type":"application/json","properties":{"body_encoding":"base64",'
            b'"delivery_info":{"exchange":"","routing_key":%b},"correlation_id":' % _quoted(queue)
        )
        # A tag is unique with its number; random digits for each message would cost as much as all the rest of it.
        self._series = uuid.uuid4().hex
        self._count = 0

    def sealed(self, message_id: str, argument: bytes, enqueued_at: float | None = None) -> bytes:
        """The bytes of one message.

        Args:
            message_id: `<run_id>:<tier>`.
            argument: The one JSON object of the call, as bytes.
            enqueued_at: When it was enqueued for the first time; None is now.
        """
        body = b"[[%b],{},{}]" % argument
        quoted = _quoted(message_id)
        self._count += 1
        signature = self._keyring.sign(self._queue, message_id, body)
        traced = tracing.sent(self._queue, message_id)
        return b'%b%b,"%b":%.3f%b%b%b%b,"delivery_tag":"%b-%d"},"body":"%b"}' % (
            self._head,
            quoted,
            _ENQUEUED_AT,
            time.time() if enqueued_at is None else enqueued_at,
            b',"%b":"%b"' % (tracing.HEADER.encode(), traced.encode()) if traced else b"",
            b"" if signature is None else b',"%b":"%b"' % (HEADER.encode(), signature.encode()),
            self._middle,
            quoted,
            self._series.encode(),
            self._count,
            binascii.b2a_base64(body, newline=False),
        )


def opened(item: bytes, queue: Queue, keyring: Keyring = UNSIGNED) -> Envelope:
    """Read the bytes of one message that lay on `queue`.

    The properties are not looked at: they are kombu's bookkeeping, and the queue is known from where the bytes lay.

    Raises:
        SignatureFault: There are keys, and the body bears the signature of none of them.
        EnvelopeFault: Not JSON, a needed field missing or of the wrong type, a foreign task, or too large.
    """
    if len(item) > MAX_ENVELOPE_BYTES:
        raise EnvelopeFault(f"{len(item)} bytes, at most {MAX_ENVELOPE_BYTES} are read")
    message = _json_object(item)
    headers = message.get("headers")
    if not isinstance(headers, dict):
        raise EnvelopeFault("headers: missing or not an object")
    message_id = headers.get("id")
    if not isinstance(message_id, str) or not message_id:
        raise EnvelopeFault("headers.id: missing or not a text")
    if headers.get("task") != TASK_OF[queue].value:
        raise EnvelopeFault(f"headers.task: {headers.get('task')!r:.80}, this queue holds {TASK_OF[queue].value}")
    if headers.get("compression"):
        raise EnvelopeFault("headers.compression: compressed bodies are not read")
    if message.get("content-type") != "application/json":
        raise EnvelopeFault(f"content-type: {message.get('content-type')!r:.80}, only application/json is read")
    body = _body(message)
    # Before the body is parsed: what is not ours is not read any further.
    if (fault := keyring.fault(queue.value, message_id, body, headers.get(HEADER))) is not None:
        raise SignatureFault(fault)
    payload, is_bare = _argument(body)
    as_read = body if is_bare else b""
    return Envelope(TASK_OF[queue], message_id, payload, _moment(headers), _traceparent(headers), as_read)


def tier_of(queue: Queue) -> Tier:
    """The tier whose attempts the messages of a queue ask for."""
    return _TIER_OF[queue]


def run_id_of(item: bytes) -> str | None:
    """The run that a message is about, or None where its bytes do not say."""
    for head in _OUR_HEADS:
        if item.startswith(head):
            message_id = item[len(head) : item.find(b'"', len(head))]
            if b"\\" not in message_id and message_id.isascii():
                return message_id.decode("ascii").rpartition(":")[0] or None
    try:
        message_id = _json_object(item)["headers"]["id"]
    except (EnvelopeFault, KeyError, TypeError):
        return None
    return message_id.rpartition(":")[0] or None if isinstance(message_id, str) else None


def _quoted(text: str) -> bytes:
    return encode_basestring_ascii(text).encode("ascii")


def enqueued_at_of(item: bytes) -> float | None:
    """When a message was enqueued, or None where its bytes do not say."""
    try:
        headers = _json_object(item).get("headers")
    except EnvelopeFault:
        return None
    return _moment(headers) if isinstance(headers, dict) else None


def publish(
    client: redis.Redis,
    queue: str,
    messages: Iterable[tuple[TaskName, str, dict[str, Any]]],
    *,
    chunk: int = CHUNK,
    keyring: Keyring = UNSIGNED,
) -> int:
    """Put messages on a queue, many to a command, and return how many.

    A crash or a lost connection in the middle leaves whole chunks: enqueuing the same again costs nothing, since a
    worker drops a message whose attempt is made or being made (`broker.claims.Claims.begin`).

    Args:
        client: The broker.
        queue: Name of the list.
        messages: Task name, message id `<run_id>:<tier>` and payload of each, oldest first.
        chunk: Messages that one command carries.
        keyring: Signs them.
    """
    total = 0
    for batch in _chunks(_sealed(messages, queue, keyring), chunk):
        client.lpush(queue, *batch)
        total += len(batch)
    return total


def _moment(headers: dict[str, Any]) -> float | None:
    said = headers.get(ENQUEUED_AT)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if 0 <= said < _LAST_MOMENT else None


def _traceparent(headers: dict[str, Any]) -> str:
    said = headers.get(tracing.HEADER)
    return said if isinstance(said, str) and tracing.is_valid(said) else ""


def _json_object(item: bytes) -> dict[str, Any]:
    try:
        value = json.loads(item, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EnvelopeFault(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise EnvelopeFault("not a JSON object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _body(message: dict[str, Any]) -> bytes:
    """The exact bytes of the call that the message makes."""
    body = message.get("body")
    if not isinstance(body, str):
        raise EnvelopeFault("body: missing or not a text")
    properties = message.get("properties")
    encoding = properties.get("body_encoding") if isinstance(properties, dict) else None
    try:
        return base64.b64decode(body, validate=True) if encoding == "base64" else body.encode("utf-8", "surrogatepass")
    except (binascii.Error, ValueError) as error:
        raise EnvelopeFault(f"body: {error}") from None


def _argument(body: bytes) -> tuple[dict[str, Any], bool]:
    """The one argument of the call, and whether the call is in ASCII and nothing else stands in it."""
    try:
        call = json.loads(body.decode("utf-8", "surrogatepass"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EnvelopeFault(f"body: {error}") from None
    match call:
        case [[dict() as payload], dict() as keywords, *rest] if not keywords:
            return payload, rest == [{}] and body.isascii()
        case _:
            raise EnvelopeFault("body: not a call with exactly one JSON object as its argument")


def _sealed(messages: Iterable[tuple[TaskName, str, dict[str, Any]]], queue: str, keyring: Keyring) -> Iterator[bytes]:
    presses: dict[TaskName, Press] = {}
    for name, message_id, payload in messages:
        press = presses.get(name) or presses.setdefault(name, Press(name, queue, keyring))
        yield press.sealed(message_id, json.dumps(payload, separators=(",", ":")).encode("ascii"))


def _chunks(items: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
