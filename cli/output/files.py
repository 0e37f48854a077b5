"""Where a command writes what it makes: standard output, or a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from replay.errors import InputError


@contextmanager
def opened(output: Path | None) -> Iterator[IO[bytes]]:
    """Stdout for None, else a file that takes its name when all is written.

    Raises:
        InputError: It cannot be written.
    """
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if output.is_dir():
        raise InputError(f"{output} is a folder.", hint="Name a file in it.")
    partly = output.with_name(output.name + ".part")
    try:
        with partly.open("wb") as file:
            yield file
        partly.replace(output)
    except OSError as error:
        raise InputError(
            f"{output} cannot be written: {error.strerror}", hint="Name a file in a folder that you may write."
        ) from error
    finally:
        partly.unlink(missing_ok=True)


def put(path: Path, text: str, mode: Literal["w", "a"] = "w") -> None:
    """Write a text to a file at once; nothing, with `a`, proves before the work that it can be written.

    Raises:
        InputError: It cannot be written.
    """
    try:
        with path.open(mode, encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder that this user can write."
        ) from error
