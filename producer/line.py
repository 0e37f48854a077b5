"""One line of a tasks file: what may stand in it, and what is wrong with a bad one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import StringConstraints, ValidationError

from replay.contracts import MAX_TASK_BYTES, Message, NonEmpty, TaskOptions

MAX_LINE_BYTES = 1024 * 1024
MAX_CUSTOM_ID = 256

# With a constraint, so that it is looked at: without any a text is taken as it is, half a character in it included.
Tag = Annotated[str, StringConstraints(min_length=0)]
CustomId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_CUSTOM_ID)]


class TaskLine(Message):
    """A task as a person writes it. Without a `custom_id` it is called `line-<number>`."""

    custom_id: CustomId
    task: NonEmpty
    checklist: tuple[NonEmpty, ...] = ()
    tags: tuple[Tag, ...] = ()
    options: TaskOptions = TaskOptions()


@dataclass(frozen=True)
class LineError:
    r"""Why a line is refused.

    Attributes:
        line: Its number, from 1.
        field: Which field is wrong, dotted where it is nested; empty where the line as a whole is.
        error: What is wrong.
        raw: The line, with `\xNN` for bytes that are not UTF-8.
    """

    line: int
    field: str
    error: str
    raw: str

    def wire(self) -> dict[str, Any]:
        """As it is written into the error file."""
        return {"line": self.line, "field": self.field, "error": self.error, "raw": self.raw}


def parse(raw: bytes, number: int) -> TaskLine | LineError:
    """Read one line.

    Args:
        raw: Its bytes.
        number: Counted from 1; names the task where it has no name of its own.
    """
    try:
        value = _object(raw.rstrip(b"\r\n"))
        if value.get("custom_id") is None:
            value["custom_id"] = f"line-{number}"
        line = TaskLine.model_validate(value)
        _refuse_long("task", line.task)
        _refuse_long("checklist", "".join(line.checklist))
    except ValidationError as error:
        field, what = _first_fault(error)
    except _BadLineError as error:
        field, what = error.field, error.what
    else:
        return line
    return LineError(number, field, what, raw.rstrip(b"\r\n").decode("utf-8", errors="backslashreplace"))


class _BadLineError(Exception):
    """Never leaves this file."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(what)
        self.field = field
        self.what = what


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _BadLineError("", f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start}") from None
    except json.JSONDecodeError as error:
        raise _BadLineError("", f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise _BadLineError("", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _BadLineError("", "not a JSON object")
    return value


def _refuse_long(field: str, text: str) -> None:
    size = len(text.encode())
    if size > MAX_TASK_BYTES:
        raise _BadLineError(field, f"{size:,} bytes, the limit is {MAX_TASK_BYTES:,}")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin!r} stands there twice")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _first_fault(error: ValidationError) -> tuple[str, str]:
    fault = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in fault["loc"])
    match fault["type"]:
        case "extra_forbidden":
            return field, "unknown field"
        case "missing":
            return field, "missing"
        case "string_too_short":
            return field, "empty"
        case _:
            return field, fault["msg"][0].lower() + fault["msg"][1:]


# Made once: `json.loads` makes one for each line.
_DECODER = json.JSONDecoder(object_pairs_hook=_no_twins, parse_constant=_no_constant)
