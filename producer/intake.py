"""Reading a file of tasks: the good lines go on, each bad one is reported and kept in an error file.

A file may have millions of lines, so nothing of it is held but what tells two names apart: `Lines` gives one task after
the other, and `read` is for small files, which it holds.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from producer.line import MAX_LINE_BYTES, LineError, TaskLine, parse
from replay.compact import FirstNumbers
from replay.contracts import TaskOptions
from replay.corpus.oneline import as_text
from replay.errors import InputError

STDIN = "-"

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_SHOWN_OF_LONG = 4096
_BUFFER = 1 << 20
# So many lines are read between two looks at whether the file is still the one that was opened.
_LOOK_EVERY = 4096
# So many bad lines are kept to be told; all of them are in the error file.
_TOLD = 20


@dataclass(frozen=True)
class Overrides:
    """What the caller decides for every task of a file, whatever its lines say; None leaves an option alone.

    `tags` are put behind a line's own ones.
    """

    allow_escalation: bool | None = None
    retrieval: bool | None = None
    repeat: int | None = None
    reuse: bool | None = None
    tags: tuple[str, ...] = ()

    def apply(self, line: TaskLine) -> TaskLine:
        """The line with these options and tags."""
        options = _overridden(line.options, self)
        tags = tuple(dict.fromkeys((*line.tags, *self.tags))) if self.tags else line.tags
        if options is line.options and tags is line.tags:
            return line
        return line.model_copy(update={"options": options, "tags": tags})


@lru_cache(maxsize=1024)
def _overridden(options: TaskOptions, overrides: Overrides) -> TaskOptions:
    chosen = {
        name: value
        for name in ("allow_escalation", "retrieval", "repeat", "reuse")
        if (value := getattr(overrides, name)) is not None
    }
    return options.model_copy(update=chosen) if chosen else options


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

    @property
    def good(self) -> int:
        """Good lines."""
        return len(self.lines)

    @property
    def bad(self) -> int:
        """Bad lines."""
        return len(self.errors)

    @property
    def first_errors(self) -> Sequence[LineError]:
        """The first ones of the bad lines, to be told."""
        return self.errors[:_TOLD]


class Lines:
    """The good lines of a file, one after the other; iterate once. Bad ones go into the error file as they come.

    A file that gzip made is read as what it holds, whatever it is called. A file that grows or is changed meanwhile is
    refused: with other lines it would be another batch.

    Args:
        source: Path, or `-` for standard input.
        overrides: Options for all tasks.
        errors_file: Where bad lines go; by default `<FILE>.errors.jsonl`, or `stdin.errors.jsonl` here. An old one is
            removed where every line is good.
        keep_errors: Write that file; False leaves what lies there alone, and writes nothing anywhere.
        limit: Read so many good lines and no more.
        on_read: Told now and then how many bytes of the file are read.
        on_error: Told each bad line.

    Attributes:
        source: Name of the file, or `stdin`.
        size: Bytes of the file; None where that is not known.
        good: Good lines so far.
        bad: Bad lines so far.
        first_errors: The first ones of them, to be told.
    """

    def __init__(
        self,
        source: str | Path,
        overrides: Overrides = Overrides(),
        *,
        errors_file: Path | None = None,
        keep_errors: bool = True,
        limit: int | None = None,
        on_read: Callable[[int], object] = lambda _: None,
        on_error: Callable[[LineError], object] = lambda _: None,
    ) -> None:
        is_stdin = str(source) == STDIN
        self.source = "stdin" if is_stdin else as_text(Path(source).name)
        self.size: int | None = None
        self.good = 0
        self.bad = 0
        self.first_errors: list[LineError] = []
        self._place = source
        # Most often nothing is decided for all tasks; then nothing is to be done for each.
        self._apply = overrides.apply if overrides != Overrides() else _as_it_is
        self._target = errors_file or Path("stdin.errors.jsonl" if is_stdin else f"{source}.errors.jsonl")
        self._keeps = keep_errors
        self._limit = limit
        self._on_read = on_read
        self._on_error = on_error

    @property
    def errors_file(self) -> Path | None:
        """Where the bad lines are; None without any, and where they are not kept."""
        return self._target if self.bad and self._keeps else None

    def __iter__(self) -> Iterator[TaskLine]:
        """Read.

        Raises:
            InputError: The file cannot be read, or changes meanwhile, or the error file cannot be written.
        """
        with ExitStack() as owned:
            raw = owned.enter_context(_opened(self._place))
            before = _state(raw)
            self.size = before[0] if before is not None else None
            errors: BinaryIO | None = None
            for number, item in enumerate(_whole(scan(_unpacked(raw)), self._place)):
                if number % _LOOK_EVERY == 0:
                    self._look(raw, before)
                if isinstance(item, TaskLine):
                    self.good += 1
                    yield self._apply(item)
                    if self.good == self._limit:
                        break
                    continue
                self._tell(item)
                if self._keeps:
                    errors = errors or owned.enter_context(self._new_errors())
                    self._keep(item, errors)
            else:
                self._look(raw, before)
            if errors is not None:
                self._flush(errors)
        if self._keeps and not self.bad:
            self._remove_old()

    def _look(self, raw: BinaryIO, before: tuple[int, int] | None) -> None:
        if before is None:
            return
        if _state(raw) != before:
            raise InputError(
                f"{self._place} was changed while it was read; nothing of it was submitted.",
                hint="Wait until it is written, or submit a copy: with other lines it would be another batch.",
            )
        self._on_read(raw.tell())

    def _tell(self, error: LineError) -> None:
        self.bad += 1
        if len(self.first_errors) < _TOLD:
            self.first_errors.append(error)
        self._on_error(error)

    def _keep(self, error: LineError, errors: BinaryIO) -> None:
        line = json.dumps(error.wire(), ensure_ascii=False) + "\n"
        try:
            errors.write(line.encode("utf-8", errors="backslashreplace"))
        except OSError as fault:
            raise self._cannot_keep(fault) from fault

    def _flush(self, errors: BinaryIO) -> None:
        try:
            errors.flush()
        except OSError as fault:
            raise self._cannot_keep(fault) from fault

    @contextmanager
    def _new_errors(self) -> Iterator[BinaryIO]:
        try:
            file = self._target.open("wb")
        except OSError as error:
            raise self._cannot_keep(error) from error
        with file:
            yield file

    def _cannot_keep(self, error: OSError) -> InputError:
        return InputError(
            f"Bad lines cannot be written to {self._target}: {error.strerror}.",
            hint="Choose another place for them, or make that folder writable; nothing was submitted.",
        )

    def _remove_old(self) -> None:
        try:
            if self._target.is_file():
                self._target.unlink()
        except OSError as error:
            raise InputError(
                f"{self._target} is of an earlier attempt, and cannot be removed: {error.strerror}.",
                hint="Remove it, or make that folder writable; nothing was submitted.",
            ) from error


def _as_it_is(line: TaskLine) -> TaskLine:
    return line


def read(source: str | Path, overrides: Overrides = Overrides(), *, errors_file: Path | None = None) -> Intake:
    """Read a small file of tasks, or standard input for `-`, and hold what is in it.

    Args:
        source: Path, or `-`.
        overrides: Options for all tasks.
        errors_file: As of `Lines`.

    Raises:
        InputError: The file cannot be read, or the error file cannot be written.
    """
    errors: list[LineError] = []
    lines = Lines(source, overrides, errors_file=errors_file, on_error=errors.append)
    return Intake(lines.source, tuple(lines), tuple(errors), lines.errors_file)


def scan(stream: BinaryIO) -> Iterator[TaskLine | LineError]:
    """Read lines one at a time, in memory bounded by the longest allowed line and some 20 bytes for each name.

    Blank lines are skipped but counted. Of two lines with one `custom_id` the first stands. Names are told apart by
    their hashes (`replay.compact`): where two hashes were ever the same, a good line would be called a double, and
    nothing would be lost silently.
    """
    first_with = FirstNumbers()
    for number, raw in enumerate(_raw_lines(stream), start=1):
        if len(raw) > MAX_LINE_BYTES:
            shown = raw[:_SHOWN_OF_LONG].decode("utf-8", errors="backslashreplace")
            yield LineError(number, "", f"over {MAX_LINE_BYTES:,} bytes; `raw` holds its beginning", shown)
            continue
        text = raw.removeprefix(_BOM) if number == 1 else raw
        if not text.strip():
            continue
        item = parse(text, number)
        if isinstance(item, TaskLine) and (earlier := first_with.put(item.custom_id, number)) is not None:
            shown = text.rstrip(b"\r\n").decode("utf-8")
            yield LineError(number, "custom_id", f"{item.custom_id!r} stands in line {earlier} already", shown)
            continue
        yield item


def _whole(items: Iterator[TaskLine | LineError], source: str | Path) -> Iterator[TaskLine | LineError]:
    try:
        yield from items
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{source} is gzip, and damaged: {error}.", hint="`gzip -t` checks it; nothing of it was submitted."
        ) from error
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.", hint="Check the disk.") from error


def _state(raw: BinaryIO) -> tuple[int, int] | None:
    """What changes when a file is written; None of what is no file."""
    try:
        found = os.fstat(raw.fileno())
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _unpacked(raw: BinaryIO) -> BinaryIO:
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", raw), _BUFFER)
    if buffered.peek(len(_GZIP))[: len(_GZIP)] != _GZIP:
        return buffered
    return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered)), _BUFFER))


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
        if sys.stdin is None:
            raise InputError("Standard input is closed.", hint="Name a file, or give the tasks through a pipe.")
        yield sys.stdin.buffer
        return
    try:
        stream = Path(source).open("rb", buffering=_BUFFER)  # noqa: SIM115  closed below
    except FileNotFoundError:
        raise InputError(f"There is no file {source}.", hint="Check the path; `-` reads standard input.") from None
    except IsADirectoryError:
        raise InputError(f"{source} is a folder.", hint="Name one JSONL file, with one task in each line.") from None
    except PermissionError:
        raise InputError(f"{source} may not be read by this user.", hint="Change its mode or its owner.") from None
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}.", hint="Check the path and the disk.") from error
    with stream:
        yield stream
