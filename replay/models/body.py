"""What an endpoint answers, as it may be kept: text that can be written as UTF-8, and no key of ours in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx

# Shorter keys are the placeholders that local servers are given ("none", "ollama"): a reply may hold such a word.
SECRET_LENGTH = 8

_MASK = "***"
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read(response: httpx.Response) -> Any:
    r"""The parsed JSON of a response, or its text where it is none.

    JSON can spell half of a surrogate pair (`"\ud83d"`), which no UTF-8 file can hold: it becomes U+FFFD.
    """
    try:
        return _each_text(response.json(), _writable, _writable)
    except (ValueError, RecursionError):
        return response.text


def without(key: str, value: Any) -> Any:
    """The same text or JSON value with the key masked wherever it stands; for what is shown or told as a fault."""
    if not key:
        return value

    def masked(text: str) -> str:
        return text.replace(key, _MASK)

    # A placeholder like "error" must not hide the field of that name.
    return _each_text(value, masked, masked if len(key) >= SECRET_LENGTH else str)


def without_secret(key: str, value: Any) -> Any:
    """As `without`, for what the model says: a key of fewer than `SECRET_LENGTH` characters is a word like others."""
    return without(key, value) if len(key) >= SECRET_LENGTH else value


def _writable(text: str) -> str:
    return _LONE_SURROGATE.sub("\ufffd", text)


def _each_text(value: Any, change: Callable[[str], str], change_name: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_each_text(item, change, change_name) for item in value]
    if isinstance(value, dict):
        return {change_name(name): _each_text(item, change, change_name) for name, item in value.items()}
    return value
