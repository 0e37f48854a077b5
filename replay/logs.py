"""Log lines: as text for people or as JSON for programs, each with the ids of what it is about, none with a secret.

Whoever works on something binds its ids (`bound`); every line that is written meanwhile carries them, in this thread
and in those that are given its context. What is bound are ids, never a task's text.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from replay.settings import Settings

FIELDS = ("role", "queue", "run_id", "batch_id", "task_id", "trace_id")
"""What may be bound. `task_id` is the task's own id in its batch, `custom_id` elsewhere."""

_LONGEST_ID = 200
_SHORTEST_SECRET = 6
_HIDDEN = "***"

_bound: ContextVar[Mapping[str, str]] = ContextVar("replay_log_ids")


@contextmanager
def bound(**ids: str | None) -> Iterator[None]:
    """Let every line of this block carry these ids besides those that are bound already; None binds nothing."""
    given = {name: value[:_LONGEST_ID] for name, value in ids.items() if value}
    assert given.keys() <= set(FIELDS), f"the fields of a log line are {FIELDS}"  # noqa: S101  a bug of ours
    token = _bound.set({**_bound.get({}), **given})
    try:
        yield
    finally:
        _bound.reset(token)


def ids_of(payload: Mapping[str, Any]) -> dict[str, str]:
    """The ids that a message's payload names, be it a task or an order about one; a stranger's may name none."""
    inner = payload.get("task")
    task = inner if isinstance(inner, dict) else payload
    names = {"run_id": "run_id", "batch_id": "batch_id", "custom_id": "task_id"}
    return {field: value for name, field in names.items() if isinstance(value := task.get(name), str)}


def configure(settings: Settings, role: str, level: str = "INFO") -> None:
    """Let this process write its log to stderr, as the settings say; what an earlier call set up is replaced."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(settings, role))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    quieten()


def formatter(settings: Settings, role: str) -> logging.Formatter:
    """How a process of this role writes its lines."""
    return (_Json if settings.log_format == "json" else _Text)(role, secrets_of(settings))


def quieten() -> None:
    """One line for each HTTP request says nothing that the evidence does not say better."""
    logging.getLogger("httpx").setLevel(logging.WARNING)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """What no line may show: every secret setting, each key of a list of them, and passwords in addresses."""
    found: set[str] = set()
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        if isinstance(value, SecretStr):
            found |= {value.get_secret_value(), *value.get_secret_value().split(",")}
        elif isinstance(value, str) and "://" in value:
            found |= _password_in(value)
    plain = {word.strip() for word in found}
    # Also as an error shows it, with its quotes and backslashes escaped.
    words = {form for word in plain for form in (word, repr(word)[1:-1], json.dumps(word)[1:-1])}
    # The longest first: one may be a part of another.
    return tuple(sorted((word for word in words if len(word) >= _SHORTEST_SECRET), key=len, reverse=True))


def _password_in(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


class _Lines(logging.Formatter):
    """What both formats share.

    Args:
        role: Of this process.
        secrets: What is hidden, wherever it stands.
    """

    def __init__(self, role: str, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._role = role
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        bound_ids = {"role": self._role, **_of_celery(record), **_bound.get({})}
        ids = {name: self._shown(bound_ids[name]) for name in FIELDS if name in bound_ids}
        return self.line(record, self._shown(record.getMessage()), ids, self._shown(_trace(record)))

    def line(self, record: logging.LogRecord, message: str, ids: Mapping[str, str], trace: str) -> str:
        """Put it together of what may be shown."""
        raise NotImplementedError

    def _shown(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


class _Text(_Lines):
    def line(self, record: logging.LogRecord, message: str, ids: Mapping[str, str], trace: str) -> str:
        words = " ".join(f"{name}={_in_line(value)}" for name, value in ids.items())
        line = f"{_at(record, sep=' ')} {record.levelname} {_in_line(message)} [{words}]"
        return f"{line}\n{trace}" if trace else line


class _Json(_Lines):
    def line(self, record: logging.LogRecord, message: str, ids: Mapping[str, str], trace: str) -> str:
        value = {
            "time": _at(record),
            "level": record.levelname.lower(),
            "message": message,
            "logger": record.name,
            "pid": record.process,
            **ids,
            **({"exception": trace} if trace else {}),
        }
        # ASCII: whatever a stranger's text holds, a line is one line and can be written.
        return json.dumps(value)


def _at(record: logging.LogRecord, sep: str = "T") -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(sep=sep, timespec="milliseconds")


def _of_celery(record: logging.LogRecord) -> dict[str, str]:
    """The run that a line of Celery's own is about: it gives the message's id, `<run_id>:<tier>`."""
    data = getattr(record, "data", None)
    message_id = data.get("id") if isinstance(data, dict) else None
    run_id = message_id.rpartition(":")[0] if isinstance(message_id, str) else ""
    return {"run_id": run_id[:_LONGEST_ID]} if run_id.startswith("run_") else {}


def _in_line(text: str) -> str:
    """The text on one line that does nothing to a terminal: a stranger's line break must not begin a line of ours."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\t" else one.encode("unicode_escape").decode() for one in text)


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append("".join(traceback.format_exception(*record.exc_info)).rstrip())
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)
