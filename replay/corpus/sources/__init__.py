"""Source records from a directory tree or an installed package: verbatim lines with their path and line range.

As a stream, for any size::

    reading = sources.stream(argument, progress)    # InputError at once: there is no such package or directory
    for record in reading:                          # files are read one by one, as records are asked for
        ...
    reading.report                                  # BuildReport of the latest pass; whole once it has ended

and for callers that hold everything in memory::

    records, report = sources.read(argument)

`argument` is a directory, or `package:NAME`. `progress: Callable[[Progress], None] | None` is called after each file
with `Progress(files, of, bytes, path)`. Each `for` reads everything anew. Records come in the order of the paths, never
in that of the file system: the same tree gives the same records, byte for byte. See docs/sources.md for what becomes a
record and what is left out.
"""

from __future__ import annotations

from pathlib import Path

from replay.contracts import Record
from replay.corpus.sources.files import MAX_FILE_BYTES
from replay.corpus.sources.reading import RELEASE, OnProgress, Reading, read_package, read_tree
from replay.corpus.sources.report import BuildReport, Progress, Skipped, Why
from replay.errors import InputError

__all__ = [
    "MAX_FILE_BYTES",
    "PACKAGE_PREFIX",
    "RELEASE",
    "BuildReport",
    "OnProgress",
    "Progress",
    "Reading",
    "Skipped",
    "Why",
    "read",
    "stream",
]

PACKAGE_PREFIX = "package:"


def stream(argument: str, progress: OnProgress | None = None, *, but: Path | None = None) -> Reading:
    """Open what a user names: `package:NAME` for an installed package, or else a directory.

    Args:
        argument: What the user names.
        progress: Is told after each file.
        but: The folder of Replay's own data, which is no source: it is left out of a tree around it.

    Raises:
        InputError: There is no such package or directory, the package lists no files, or the directory is `but` or
            lies in it.
    """
    if not argument.strip():
        raise InputError(
            "a source is empty: was a variable not set?",
            hint="Give a directory (`.` for this one), or package:NAME for an installed package.",
        )
    if argument.startswith(PACKAGE_PREFIX):
        return read_package(argument.removeprefix(PACKAGE_PREFIX).strip(), progress)
    root = Path(argument)
    if not root.is_dir():
        raise InputError(
            f"{argument!r} is not a directory", hint="Give a directory, or package:NAME for an installed package."
        )
    if but is not None and root.resolve().is_relative_to(but.resolve()):
        raise InputError(
            f"{argument!r} is part of Replay's own data, which is no source",
            hint="Give a directory outside of it, or set REPLAY_DATA_DIR to another one.",
        )
    return read_tree(root, progress, but)


def read(argument: str) -> tuple[list[Record], BuildReport]:
    """Read what a user names, all at once.

    Raises:
        InputError: As `stream`.
    """
    reading = stream(argument)
    return list(reading), reading.report
