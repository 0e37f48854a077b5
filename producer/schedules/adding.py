"""A file of tasks on its way into an entry: copied to the disk, and checked to the last line."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evidence import durable
from producer import intake
from producer.intake import Lines
from producer.schedules.store import Schedules
from replay.errors import InputError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Copied:
    """A copy of a file of tasks that no entry has yet.

    Attributes:
        path: Where it lies.
        source: Name of the file.
        sha256: Its hash.
        tasks: How many tasks are in it.
    """

    path: Path
    source: str
    sha256: str
    tasks: int


@contextmanager
def copied(file: str, schedules: Schedules) -> Iterator[Copied]:
    """Copy a file of tasks, or standard input for `-`, beside the entries, and read every line of it.

    Raises:
        InputError: It cannot be read, or has a bad line, or no good one.
        AppendFailed: The disk said no.
    """
    folder = schedules.tasks_folder
    durable.make_folders(folder)
    try:
        target = tempfile.NamedTemporaryFile(dir=folder, prefix="new-", suffix=".tmp", delete=False)  # noqa: SIM115  closed below
    except OSError as error:
        raise durable.append_failed("open", folder, error) from error
    path = Path(target.name)
    try:
        with target, _opened(file) as source:
            sha256 = _copy(source, target.fileno(), path)
        yield Copied(path, "stdin" if file == intake.STDIN else Path(file).name, sha256, _checked(file, path))
    finally:
        path.unlink(missing_ok=True)


def _copy(source: BinaryIO, fd: int, path: Path) -> str:
    hashed = hashlib.sha256()
    try:
        while data := source.read(_BLOCK):
            hashed.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        os.fchmod(fd, 0o644)
        os.fsync(fd)
    except OSError as error:
        raise durable.append_failed("write", path, error) from error
    return hashed.hexdigest()


def _checked(file: str, path: Path) -> int:
    errors = Path("stdin.errors.jsonl" if file == intake.STDIN else f"{file}.errors.jsonl")
    lines = Lines(path, errors_file=errors)
    tasks = sum(1 for _ in lines)
    where = "the input" if file == intake.STDIN else file
    if lines.bad:
        first = lines.first_errors[0]
        field = f"field {first.field}: " if first.field else ""
        raise InputError(
            f"{where} has {lines.bad:,} bad lines, the first is line {first.line}: {field}{first.error}.",
            hint=f"Mend them: what runs unasked is taken whole or not at all. All of them are in {lines.errors_file}.",
        )
    if not tasks:
        raise InputError(f"There is no task in {where}.", hint='A line is {"custom_id": "…", "task": "…"}.')
    return tasks


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == intake.STDIN:
        yield sys.stdin.buffer
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115  closed below
    except FileNotFoundError:
        raise InputError(f"There is no file {file}.", hint="Check the path; `-` reads standard input.") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.", hint="Name one JSONL file of tasks.") from error
    with source:
        yield source
