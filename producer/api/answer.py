"""What came of a request, as a line of the output file or of the error file.

A rejection is an answer: the system did its work, and its verdict is that the model's answer cannot be relied on. So it
is a line with status 200 in the output file, but its `verdict` is null: whoever reads only that takes nothing for true
that the gate did not let through. What the rejected answer said stands in `replay.ruling`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from producer.api.chat import Refusal
from producer.api.errors import body_of
from producer.api.shapes import MODEL
from producer.results import Result
from replay import identity
from replay.contracts import Check, State

Ending = Literal["completed", "expired", "cancelled"]

_UNDONE = {
    "batch_cancelled": "The batch was cancelled before this request was done.",
    "batch_expired": "This request could not be done before the completion window expired.",
}


@dataclass(frozen=True)
class Line:
    """One line of a file.

    Attributes:
        is_answer: It belongs into the output file; otherwise into the error file.
        value: What stands in it.
    """

    is_answer: bool
    value: dict[str, Any]

    def data(self) -> bytes:
        """Its bytes."""
        # Escaped, since some readers of lines take more characters than one for the end of a line.
        return json.dumps(self.value).encode() + b"\n"


def refused(batch_id: str, custom_id: str, refusal: Refusal) -> Line:
    """The line of a request that is no task."""
    body = body_of(refusal.status, refusal.message, param=refusal.param, code=refusal.code)
    return _line(batch_id, custom_id, {"status_code": refusal.status, "body": body})


def undone(batch_id: str, custom_id: str, ending: Ending) -> Line:
    """The line of a request that was not done, because its batch came to an end before."""
    code = "batch_expired" if ending == "expired" else "batch_cancelled"
    return _line(batch_id, custom_id, None, {"code": code, "message": _UNDONE[code]})


def lost(batch_id: str, custom_id: str) -> Line:
    """The line of a request that this version of the server reads otherwise than the one that submitted it."""
    body = body_of(500, "This request was submitted by another version of this server, which refused it.")
    return _line(batch_id, custom_id, {"status_code": 500, "body": body})


def done(
    batch_id: str,
    custom_id: str,
    result: Result,
    ending: Ending,
    *,
    at: int,
    left_out: int,
    checks: Sequence[Check] = (),
) -> Line:
    """The line of a request that is a task.

    Args:
        batch_id: Of the API.
        custom_id: As the client wrote it.
        result: What is known of the task.
        ending: How the batch ends.
        at: Unix time of the answer.
        left_out: Messages of the request that are no part of the claim.
        checks: What the answer says to the items of the checklist.
    """
    match result.state:
        case State.ACCEPTED | State.REJECTED:
            body = _completion(result, at, left_out, checks)
            return _line(batch_id, custom_id, {"status_code": 200, "body": body}, request_id=result.run_id)
        case State.FAILED:
            message = "; ".join(result.reasons) or "It failed without a reason."
            body = body_of(500, message, code="run_failed") | {
                "replay": {"run_id": result.run_id, "state": result.state}
            }
            return _line(batch_id, custom_id, {"status_code": 500, "body": body}, request_id=result.run_id)
        case _:
            return undone(batch_id, custom_id, ending)


def _line(
    batch_id: str,
    custom_id: str,
    response: dict[str, Any] | None,
    error: dict[str, Any] | None = None,
    *,
    request_id: str | None = None,
) -> Line:
    # Content-derived, so that a file which is written again after a crash is the same file.
    mark = identity.digest([batch_id, custom_id])[7:39]
    if response is not None:
        response = {
            "status_code": response["status_code"],
            "request_id": request_id or f"req_{mark}",
            "body": response["body"],
        }
    value = {"id": f"batch_req_{mark}", "custom_id": custom_id, "response": response, "error": error}
    return Line(response is not None and response["status_code"] == 200, value)


def _completion(result: Result, at: int, left_out: int, checks: Sequence[Check]) -> dict[str, Any]:
    message = {"role": "assistant", "content": _content(result, checks), "refusal": None}
    return {
        "id": f"chatcmpl-{result.run_id.removeprefix('run_')}",
        "object": "chat.completion",
        "created": at,
        "model": result.model or MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": result.prompt_tokens,
            "completion_tokens": result.completion_tokens,
            "total_tokens": result.prompt_tokens + result.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": result.cached_tokens},
        },
        "replay": {
            "run_id": result.run_id,
            "state": result.state,
            "tier": result.tier,
            "ruling": result.ruling,
            "reasons": list(result.reasons),
            "local_rules": list(result.local_rules),
            "seconds": result.seconds,
            "reused": result.reused,
            "messages_left_out": left_out,
        },
    }


def _content(result: Result, checks: Sequence[Check]) -> str:
    is_accepted = result.state == State.ACCEPTED
    value = {
        "state": result.state,
        "verdict": result.ruling if is_accepted else None,
        "expected": result.expected,
        "found": result.found,
        "cites": [{"at": result.citation, "quote": result.quote}] if result.citation else [],
        "checks": [check.wire() for check in checks],
        "reasons": [] if is_accepted else list(result.reasons),
    }
    return json.dumps(value, ensure_ascii=False)
