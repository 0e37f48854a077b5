"""What an answer that is no reply means: try again, give up for now, or give up for good.

A transport fault is never a verdict on the task: connection and read errors, 408, 409, 429, 5xx, and a body that
carries such a code although its status is 200 (OpenRouter, once the model has started). Any other 4xx is a refusal.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from replay.errors import ModelRefused, ModelUnavailable

LONGEST_WAIT_S = 60.0

_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded|(context|prompt)[ _](length|size|window)|maximum context|n_ctx|"
    r"prompt is too long",
    re.IGNORECASE,
)
# OpenAI says 429 for an account that is used up as well as for a rate that is too high; its code tells them apart.
_QUOTA = re.compile(r"insufficient_(quota|credits|balance)|billing_(hard_limit_reached|not_active)", re.IGNORECASE)
_HINTS = {
    401: "Check the key: REPLAY_API_KEY for REPLAY_BASE_URL, REPLAY_OPENROUTER_API_KEY for OpenRouter.",
    402: "The account has no credit left for this model.",
    403: "The key may not use this model.",
    404: "Check the model's name, and that the endpoint has it: `ollama pull NAME` for Ollama.",
}
_SHOWN = 300


class Transient(ModelUnavailable):
    """A transport fault that is worth another try.

    Attributes:
        may_have_run: The request went out and no readable answer came back: the model may have worked, and be paid for.
    """

    def __init__(
        self, message: str, *, hint: str = "", retry_after_s: float | None = None, may_have_run: bool = False
    ) -> None:
        super().__init__(message, hint=hint, retry_after_s=retry_after_s)
        self.may_have_run = may_have_run


class Refused(ModelRefused):
    """A refusal with the status that said it.

    Attributes:
        status: HTTP status, or the code in the body.
        quota: The account is used up: no other request will fare better.
        retry_after_s: Seconds that the endpoint asked to wait, if it did.
    """

    def __init__(
        self, message: str, *, status: int, hint: str = "", quota: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.quota = quota
        self.retry_after_s = retry_after_s


def fault(
    status: int, headers: Mapping[str, str], body: Any, *, model: str, where: str
) -> ModelUnavailable | Refused | None:
    """Judge a response; None is a reply.

    Args:
        status: HTTP status.
        headers: Of the response, looked up in lower case.
        body: The parsed JSON, or the text where it is none.
        model: Name for messages.
        where: Address for messages.
    """
    error = body.get("error") if isinstance(body, dict) else None
    code = status if status >= 300 else _code(error)
    if code is None and not error:
        return None
    said = _said(error or body)
    message = f"{model} at {where}: {f'status {code}' if code else 'error'}{f': {said}' if said else ''}"
    if code is not None and _is_quota(code, error):
        return Refused(message, status=code, hint=_HINTS[402], quota=True, retry_after_s=retry_after_s(headers))
    if _worth_a_retry(code, headers):
        wait_s = retry_after_s(headers)
        if wait_s is not None and wait_s > LONGEST_WAIT_S:
            return ModelUnavailable(message, hint=f"It asks to wait {wait_s:.0f} s.", retry_after_s=wait_s)
        return Transient(message, retry_after_s=wait_s)
    if code is None or _is_transport(code):
        return ModelUnavailable(message, hint="The endpoint asks not to try again.")
    return _refusal(code, error, message, said)


def _refusal(code: int, error: Any, message: str, said: str) -> Refused:
    if code in {400, 413, 422} and _OVERFLOW.search(f"{_kind(error)} {said}"):
        return Refused(
            f"The prompt does not fit into the context of {message}",
            hint="Show less (REPLAY_LINES_SHOWN, REPLAY_EXEMPLARS_SHOWN), or serve the model with a larger context.",
            status=code,
        )
    return Refused(message, status=code, hint=_HINTS.get(code, ""))


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a response asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        if math.isfinite(wait_s):
            return max(0.0, wait_s)
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def _worth_a_retry(code: int | None, headers: Mapping[str, str]) -> bool:
    asked = headers.get("x-should-retry", "").strip().lower()
    if asked in {"true", "false"}:
        return asked == "true"
    return code is None or _is_transport(code)


def _is_quota(code: int, error: Any) -> bool:
    return code == 402 or (code in {403, 429} and _QUOTA.search(_kind(error)) is not None)


def _is_transport(code: int) -> bool:
    return code in {408, 409, 429} or code >= 500


def _code(error: Any) -> int | None:
    """The HTTP code inside an error object, where it is one."""
    code = error.get("code") if isinstance(error, dict) else None
    try:
        number = int(str(code))
    except ValueError:
        return None
    return number if 400 <= number <= 599 else None


def _kind(error: Any) -> str:
    return f"{error.get('type', '')} {error.get('code', '')}" if isinstance(error, dict) else ""


def _said(error: Any) -> str:
    """What the endpoint says, short and on one line."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    text = " ".join(str(error or "").split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
