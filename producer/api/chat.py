"""A chat completion request as a task: the last message of the user is the claim.

What Replay does with a request is not what a chat model does, so whatever would change the meaning of the answer is
refused, and what only tunes a model (temperature, max_tokens, seed and the like) is left to the settings of the server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from producer.api.options import BadOption, Options
from producer.api.shapes import ENDPOINT, MODEL
from producer.line import LineError, TaskLine, parse

_NOT_SERVED = {
    "stream": "answers of a batch are not streamed",
    "tools": "no tools are called",
    "functions": "no functions are called",
    "audio": "answers are text",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is no task: the answer that it gets.

    Attributes:
        status: As of an HTTP answer.
        message: What is wrong.
        param: The field that is wrong.
        code: A word for programs.
    """

    status: int
    message: str
    param: str | None = None
    code: str | None = None


@dataclass(frozen=True)
class Asked:
    """A request that is a task.

    Attributes:
        line: The task.
        left_out: How many other messages it had; they are not part of the claim.
    """

    line: TaskLine
    left_out: int


class _Refused(Exception):
    """Never leaves this file."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, message, param, code)


def task_of(custom_id: str, url: str, body: Any, defaults: Options) -> Asked | Refusal:
    """Read one request.

    Args:
        custom_id: Its name in the file.
        url: Where it is addressed to.
        body: What stands in it.
        defaults: The options of its batch.
    """
    try:
        return _task(custom_id, url, body, defaults)
    except _Refused as error:
        return error.refusal


def _task(custom_id: str, url: str, body: Any, defaults: Options) -> Asked:
    if url != ENDPOINT:
        raise _Refused(404, f"A batch has no {url[:200]!r} here, only {ENDPOINT}.", "url", "url_mismatch")
    if not isinstance(body, dict):
        raise _Refused(400, "The body is not a JSON object.", "body")
    _refuse_what_is_not_served(body)
    claim, left_out = _claim(body.get("messages"))
    return Asked(_line(custom_id, claim, _options(body).over(defaults)), left_out)


def _refuse_what_is_not_served(body: dict[str, Any]) -> None:
    model = body.get("model")
    if model != MODEL:
        raise _Refused(
            404,
            f"The model {model[:200]!r} does not exist here; the one to name is {MODEL!r}."
            if isinstance(model, str)
            else f"The model is named by a text; the one to name is {MODEL!r}.",
            "model",
            "model_not_found",
        )
    for name, why in _NOT_SERVED.items():
        if body.get(name):
            raise _Refused(400, f"'{name}' is not served: {why}.", name, "unsupported_parameter")
    if body.get("n") not in (None, 1):  # a set would have to hash whatever JSON stands there
        raise _Refused(400, "'n' is not served: a claim has one answer.", "n", "unsupported_parameter")
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        raise _Refused(
            400,
            "'response_format' with a schema is not served: the answer has a form of its own.",
            "response_format",
            "unsupported_parameter",
        )


def _claim(messages: Any) -> tuple[str, int]:
    if not isinstance(messages, list) or not messages:
        raise _Refused(400, "There is no message.", "messages", "missing_required_parameter")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _Refused(400, "A message is an object with a role.", f"messages[{number}]")
    last = max((number for number, message in enumerate(messages) if message["role"] == "user"), default=None)
    if last is None:
        raise _Refused(400, "There is no message of the role 'user': the last one is the claim.", "messages")
    return _text(messages[last].get("content"), f"messages[{last}].content"), len(messages) - 1


def _text(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content if isinstance(content, list) else [None]:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise _Refused(400, "A claim is text: a string, or parts of the type 'text'.", where)
        texts.append(part["text"])
    return "\n".join(texts)


def _options(body: dict[str, Any]) -> Options:
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise _Refused(400, "It is not an object.", "metadata")
    try:
        return Options.read(metadata)
    except BadOption as error:
        raise _Refused(400, f"'{error.name}': {error.message}.", f"metadata.{error.name}") from None


def _line(custom_id: str, claim: str, options: Options) -> TaskLine:
    """The task, held to the same rules as a line of a tasks file."""
    fields = {"custom_id": custom_id, "task": claim, **options.line()}
    item = parse(json.dumps(fields).encode(), 1)
    if isinstance(item, LineError):
        where = "messages" if item.field in {"task", ""} else f"metadata.{item.field.partition('.')[0]}"
        raise _Refused(400, f"{item.field or 'task'}: {item.error}.", where)
    return item
