"""What an endpoint does for a model, found out by asking instead of assumed.

Some servers drop an unknown or unsupported `response_format` and answer 200. So the probe asks a free question under a
schema whose only valid value is a nonce that the prompt does not contain: a reply with the nonce obeyed the schema.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from replay.models.faults import Refused
from replay.models.replies import Reply

MAX_TOKENS = 256  # room for a short reasoning before the nonce
MEANS_NO = frozenset({400, 422})


@dataclass(frozen=True)
class Abilities:
    """What may be used with one model at one endpoint.

    Attributes:
        json_schema: `response_format` with a schema is obeyed.
        silences_reasoning: The model thinks aloud before it answers, and `reasoning_effort: none` stops that; without
            it the thinking eats the answer's tokens (Ollama turns it on by default for models that can).
    """

    json_schema: bool
    silences_reasoning: bool = False


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    """A `response_format` that holds the reply to a schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def probe(ask: Callable[[dict[str, Any]], Reply], means_no: frozenset[int] = MEANS_NO) -> Abilities:
    """Ask at most twice.

    Args:
        ask: Sends the given fields of a chat completion request.
        means_no: Statuses by which this endpoint says that it cannot do what the request asks for.

    Raises:
        ModelUnavailable: No answer, so no verdict: to be tried again later.
        ModelRefused: The endpoint refuses more than the response format, a wrong key for example.
    """
    obeyed, reply = _ask(ask, {}, means_no)
    if reply is None or not (reply.reasoning or "<think>" in reply.content or _cut_before_content(reply)):
        return Abilities(obeyed)
    quiet_obeyed, quiet = _ask(ask, {"reasoning_effort": "none"}, means_no)
    if quiet is None or quiet.reasoning or "<think>" in quiet.content or _cut_before_content(quiet):
        return Abilities(obeyed)
    return Abilities(quiet_obeyed, silences_reasoning=True)


def _ask(
    ask: Callable[[dict[str, Any]], Reply], more: dict[str, Any], means_no: frozenset[int]
) -> tuple[bool, Reply | None]:
    nonce = f"n-{secrets.token_hex(4)}"
    schema = {
        "type": "object",
        "properties": {"token": {"type": "string", "enum": [nonce]}},
        "required": ["token"],
        "additionalProperties": False,
    }
    try:
        reply = ask(
            {
                "messages": [
                    {"role": "user", "content": "Reply with a JSON object that holds a token of your choice."}
                ],
                "max_tokens": MAX_TOKENS,
                "response_format": schema_format(schema),
                **more,
            }
        )
    except Refused as refusal:
        if refusal.status in means_no:
            return False, None  # it knows the field, and says that it cannot
        raise
    return _obeys(reply.content, nonce), reply


def _obeys(content: str, nonce: str) -> bool:
    try:
        return bool(json.loads(content) == {"token": nonce})
    except ValueError:
        return False


def _cut_before_content(reply: Reply) -> bool:
    return reply.finish_reason == "length" and not reply.content.strip()
