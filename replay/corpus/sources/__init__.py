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
from replay.corpus.sources.reading import OnProgress, Reading, read_package, read_tree
from replay.corpus.sources.report import BuildReport, Progress, Skipped, Why
from replay.errors import InputError

__all__ = [
    "MAX_FILE_BYTES",
    "PACKAGE_PREFIX",
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


def stream(argument: str, progress: OnProgress | None = None) -> Reading:
    """Open what a user names: `package:NAME` for an installed package, or else a directory.

    Raises:
        InputError: There is no such package or directory, or the package lists no files.
    """
    if argument.startswith(PACKAGE_PREFIX):
        return read_package(argument.removeprefix(PACKAGE_PREFIX).strip(), progress)
    root = Path(argument)
    if not root.is_dir():
        raise InputError(
            f"{argument!r} is not a directory", hint="Give a directory, or package:NAME for an installed package."
        )
    return read_tree(root, progress)


def read(argument: str) -> tuple[list[Record], BuildReport]:
    """Read what a user names, all at once.

    Raises:
        InputError: As `stream`.
    """
    reading = stream(argument)
    return list(reading), reading.report
