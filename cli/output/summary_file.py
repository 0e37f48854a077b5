"""The file in which a command leaves its counts for programs, beside what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output.files import put

Option = Annotated[
    Path | None, typer.Option("--summary-json", metavar="FILE", help="Also write the counts to this file.")
]


def check(path: Path | None) -> None:
    """Prove that the file can be written: what cannot is told before the work, not after it.

    Raises:
        InputError: It cannot be written.
    """
    if path is not None:
        put(path, "", "a")


def write(path: Path | None, counts: Any) -> None:
    """Write the counts as JSON, in place of what was there; nothing where no file is named.

    Raises:
        InputError: It cannot be written.
    """
    if path is not None:
        put(path, json.dumps(counts, ensure_ascii=False, indent=2) + "\n")
