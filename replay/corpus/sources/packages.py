"""The files of an installed package: its modules, and the long description in its METADATA."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from replay.corpus.sources.cutting import form_of
from replay.corpus.sources.files import File
from replay.corpus.sources.walking import Walk
from replay.errors import InputError


def listed(name: str) -> tuple[Walk, str]:
    """What the installation of a package lists, by path from site-packages, and its name with its version.

    Raises:
        InputError: It is not installed here, or its installation lists no files.
    """
    try:
        found = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise InputError(
            f"no installed package is named {name!r}", hint="Install it beside replay, or give a directory instead."
        ) from None
    root = Path(str(found.locate_file("")))
    met = Walk(os.fsencode(root))
    for file in sorted(found.files or (), key=lambda file: file.as_posix()):
        path = file.as_posix()
        if file.is_absolute() or ".." in file.parts or "__pycache__" in file.parts:
            continue
        # Some installers put links to a cache of theirs in place of the files.
        at = os.path.realpath(os.fsencode(root / path))
        if file.name == "METADATA":
            met.files.append(File(path, at, describes=name))
        elif not file.parts[0].endswith(".dist-info"):
            met.files.append(File(path, at))
    if not any(form_of(file.path) for file in met.files if not file.describes):
        raise InputError(
            f"the installation of {name!r} lists no source files",
            hint="An editable install keeps them elsewhere: give that directory instead.",
        )
    return met, f"{found.metadata['Name']} {found.version}"
