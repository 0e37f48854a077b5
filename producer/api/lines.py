"""Reading an input file: what makes it no batch at all, and its requests one by one.

A line that is no request (no JSON, no name, a name twice) fails the whole batch, before anything is run, since its
answer could not be told apart. A request that is one, but asks for what is not served, gets its own line in the error
file, and the others run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from producer.api.chat import Asked, Refusal, task_of
from producer.api.options import Options
from producer.api.shapes import BatchFault
from producer.line import MAX_LINE_BYTES, CustomId

_MOST_FAULTS = 100
# A line is read twice, at different depths of the stack, and has to be the same both times: Python reads no deeper than
# its stack is, which is more than this.
_DEEPEST = 100
_BOM = b"\xef\xbb\xbf"
_NAME = TypeAdapter(CustomId)


@dataclass(frozen=True)
class Request:
    """A line that is a request.

    Attributes:
        custom_id: Exactly as the client wrote it.
        content: The task, or why it is none.
    """

    custom_id: str
    content: Asked | Refusal


@dataclass(frozen=True)
class Checked:
    """A file that was read once.

    Attributes:
        total: Its requests.
        refused: Those among them that are no task.
        faults: What makes it no batch; nothing is run then.
    """

    total: int
    refused: int
    faults: tuple[BatchFault, ...]


class _BadLine(Exception):
    """Never leaves this file."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def check(path: Path, defaults: Options, most: int) -> Checked:
    """Read a file and say what is wrong with it as a whole, in memory bounded by its names.

    Args:
        path: Where it lies.
        defaults: The options of the batch.
        most: Requests that it may have.
    """
    faults: list[BatchFault] = []
    first_with: dict[str, int] = {}
    total = refused = 0
    with path.open("rb") as file:
        for number, raw in _raw_lines(file):
            if len(faults) == _MOST_FAULTS:
                break
            total += 1
            if total > most:
                message = f"There are more than {most:,} requests in this file. Split it."
                faults.append(BatchFault(code="too_many_tasks", message=message))
                break
            try:
                name, url, body = _request(raw)
                if name.strip() in first_with:
                    message = f"The custom_id of this request stands in line {first_with[name.strip()]} already."
                    raise _BadLine("duplicate_custom_id", message, "custom_id")  # noqa: TRY301  told like the others
            except _BadLine as error:
                faults.append(BatchFault(code=error.code, message=error.message, param=error.param, line=number))
            else:
                first_with[name.strip()] = number
                refused += isinstance(task_of(name, url, body, defaults), Refusal)
    if not total:
        faults.append(BatchFault(code="empty_file", message="There is no request in this file."))
    return Checked(total, refused, tuple(faults))


def requests(path: Path, defaults: Options) -> Iterator[Request]:
    """The requests of a file that was checked, in its order."""
    with path.open("rb") as file:
        for _, raw in _raw_lines(file):
            name, url, body = _request(raw)
            yield Request(name, task_of(name, url, body, defaults))


def _raw_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1; of an overlong one its beginning."""
    number = 0
    while raw := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        piece = raw
        while len(piece) > MAX_LINE_BYTES and not piece.endswith(b"\n"):
            piece = file.readline(MAX_LINE_BYTES + 1)
        text = raw.removeprefix(_BOM) if number == 1 else raw
        if text.strip():
            yield number, text


def _request(raw: bytes) -> tuple[str, str, Any]:
    value = _object(raw)
    for name in ("custom_id", "method", "url", "body"):
        if value.get(name) is None:
            raise _BadLine("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    try:
        _NAME.validate_python(value["custom_id"], strict=True)
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise _BadLine("invalid_custom_id", f"The custom_id is no name: {what}.", "custom_id") from None
    if value["method"] != "POST":
        raise _BadLine("invalid_method", "The method of a request is POST.", "method")
    if not isinstance(value["url"], str):
        raise _BadLine("invalid_request", "The url of a request is text.", "url")
    return value["custom_id"], value["url"], value["body"]


def _object(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise _BadLine("line_too_long", f"This line is over the limit of {MAX_LINE_BYTES:,} bytes.")
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _BadLine("invalid_json_line", f"This line is not UTF-8 at byte {error.start}.") from None
    except (ValueError, RecursionError) as error:
        raise _BadLine("invalid_json_line", f"This line is not parseable as valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise _BadLine("invalid_json_line", "This line is JSON, but not an object.")
    if _is_deep(raw, value):
        raise _BadLine("invalid_json_line", f"This line is nested deeper than {_DEEPEST} levels.")
    return value


def _is_deep(raw: bytes, value: dict[str, Any]) -> bool:
    if raw.count(b"[") + raw.count(b"{") <= _DEEPEST:
        return False  # nearly every line
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [one for several in inner for one in several if isinstance(one, (dict, list))]
        if not level:
            return False
    return True
