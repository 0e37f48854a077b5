"""Reading a file of tasks: the good lines go on, each bad one is reported and kept in an error file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from producer.line import MAX_LINE_BYTES, LineError, TaskLine, parse
from replay.errors import InputError

STDIN = "-"

_BOM = b"\xef\xbb\xbf"
_SHOWN_OF_LONG = 4096


@dataclass(frozen=True)
class Overrides:
    """Options that the caller decides for every task of a file, whatever its lines say; None leaves them alone."""

    allow_escalation: bool | None = None
    retrieval: bool | None = None
    repeat: int | None = None

    def apply(self, line: TaskLine) -> TaskLine:
        """The line with these options."""
        chosen = {name: value for name, value in vars(self).items() if value is not None}
        return line.model_copy(update={"options": line.options.model_copy(update=chosen)}) if chosen else line


@dataclass(frozen=True)
class Intake:
    """What was read.

    Attributes:
        source: Name of the file, or `stdin`.
        lines: The good lines, in order, with the overrides applied.
        errors: The bad ones.
        errors_file: Where the bad ones were written; None without any.
    """

    source: str
    lines: tuple[TaskLine, ...]
    errors: tuple[LineError, ...]
    errors_file: Path | None


def read(source: str | Path, overrides: Overrides = Overrides(), *, errors_file: Path | None = None) -> Intake:
    """Read a file of tasks, or standard input for `-`.

    Args:
        source: Path, or `-`.
        overrides: Options for all tasks.
        errors_file: Where bad lines go; by default `<FILE>.errors.jsonl`, or `stdin.errors.jsonl` here. An old one is
            removed where every line is good.

    Raises:
        InputError: The file cannot be read, or the error file cannot be written.
    """
    is_stdin = str(source) == STDIN
    name = "stdin" if is_stdin else Path(source).name
    target = errors_file or Path("stdin.errors.jsonl" if is_stdin else f"{source}.errors.jsonl")
    lines: list[TaskLine] = []
    errors: list[LineError] = []
    with _opened(source) as stream:
        for item in scan(stream):
            if isinstance(item, TaskLine):
                lines.append(overrides.apply(item))
            else:
                errors.append(item)
    _write_errors(errors, target)
    return Intake(name, tuple(lines), tuple(errors), target if errors else None)


def scan(stream: BinaryIO) -> Iterator[TaskLine | LineError]:
    """Read lines one at a time, in memory bounded by the longest allowed line and the names seen so far.

    Blank lines are skipped but counted. Of two lines with one `custom_id` the first stands.
    """
    first_with: dict[str, int] = {}
    for number, raw in enumerate(_raw_lines(stream), start=1):
        if len(raw) > MAX_LINE_BYTES:
            shown = raw[:_SHOWN_OF_LONG].decode("utf-8", errors="backslashreplace")
            yield LineError(number, "", f"over {MAX_LINE_BYTES:,} bytes; `raw` holds its beginning", shown)
            continue
        text = raw.removeprefix(_BOM) if number == 1 else raw
        if not text.strip():
            continue
        item = parse(text, number)
        if isinstance(item, TaskLine) and item.custom_id in first_with:
            earlier = first_with[item.custom_id]
            shown = text.rstrip(b"\r\n").decode("utf-8")
            yield LineError(number, "custom_id", f"{item.custom_id!r} stands in line {earlier} already", shown)
            continue
        if isinstance(item, TaskLine):
            first_with[item.custom_id] = number
        yield item


def _raw_lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; of an overlong one only its beginning, one byte more than is allowed."""
    while raw := stream.readline(MAX_LINE_BYTES + 1):
        yield raw
        while len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
            raw = stream.readline(MAX_LINE_BYTES + 1)
            if len(raw) <= MAX_LINE_BYTES:
                break


@contextmanager
def _opened(source: str | Path) -> Iterator[BinaryIO]:
    if str(source) == STDIN:
        yield sys.stdin.buffer
        return
    try:
        with Path(source).open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise InputError(f"There is no file {source}.", hint="Check the path; `-` reads standard input.") from None
    except IsADirectoryError:
        raise InputError(f"{source} is a folder.", hint="Name one JSONL file, with one task in each line.") from None
    except PermissionError:
        raise InputError(f"{source} may not be read by this user.", hint="Change its mode or its owner.") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.", hint="Check the path and the disk.") from error


def _write_errors(errors: list[LineError], target: Path) -> None:
    if not errors and not target.is_file():
        return
    try:
        if not errors:
            target.unlink()
            return
        text = "".join(json.dumps(error.wire(), ensure_ascii=False) + "\n" for error in errors)
        target.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(
            f"{len(errors)} bad lines cannot be written to {target}: {error.strerror}.",
            hint="Choose another place for them, or make that folder writable; nothing was submitted.",
        ) from error
