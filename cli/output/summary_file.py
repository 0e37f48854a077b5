"""The file in which a command leaves its counts for programs, beside what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from replay.errors import InputError

Option = Annotated[
    Path | None, typer.Option("--summary-json", metavar="FILE", help="Also write the counts to this file.")
]


def check(path: Path | None) -> None:
    """Prove that the file can be written: what cannot is told before the work, not after it.

    Raises:
        InputError: It cannot be written.
    """
    if path is not None:
        _write(path, "", "a")


def write(path: Path | None, counts: Any) -> None:
    """Write the counts as JSON, in place of what was there; nothing where no file is named.

    Raises:
        InputError: It cannot be written.
    """
    if path is not None:
        _write(path, json.dumps(counts, ensure_ascii=False, indent=2) + "\n", "w")


def _write(path: Path, text: str, mode: Literal["w", "a"]) -> None:
    try:
        with path.open(mode, encoding="utf-8") as target:
            target.write(text)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder that this user can write."
        ) from error
