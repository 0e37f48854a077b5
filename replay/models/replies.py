"""The parts of a chat completion that Replay keeps. Servers differ in what they leave out; none of it may raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from replay.contracts import Usage


@dataclass(frozen=True)
class Reply:
    """The first choice of a completion."""

    content: str
    reasoning: str
    finish_reason: str | None
    usage: Usage


def read(body: Any) -> Reply | None:
    """Return the reply in a response body, or None where there is no choice in it."""
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return None
    finish = choice.get("finish_reason")
    return Reply(
        content=_text(message.get("content")),
        reasoning=_text(message.get("reasoning_content")) or _text(message.get("reasoning")),
        finish_reason=finish if isinstance(finish, str) else None,
        usage=_usage(body),
    )


def _usage(body: dict[str, Any]) -> Usage:
    usage = _dict(body.get("usage"))
    cached = _count(_dict(usage.get("prompt_tokens_details")).get("cached_tokens"))
    if cached is None:
        cached = _count(_dict(body.get("timings")).get("cache_n"))  # llama.cpp
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=cached,
    )


def _text(content: Any) -> str:
    """Content is text, null, or a list of parts of which some hold text."""
    if isinstance(content, list):
        return "".join(_text(_dict(part).get("text")) for part in content)
    return content if isinstance(content, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
