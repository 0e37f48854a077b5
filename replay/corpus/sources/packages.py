"""The files of an installed package: its modules, and the long description in its METADATA."""

from __future__ import annotations

import base64
import os
from importlib import metadata
from pathlib import Path

from replay.corpus.oneline import is_one_line
from replay.corpus.sources.cutting import form_of
from replay.corpus.sources.files import File
from replay.corpus.sources.report import Skipped, Why
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
    root = Path(str(found.locate_file(""))).resolve()
    met = Walk(os.fsencode(root))
    for file in sorted(found.files or (), key=lambda file: file.as_posix()):
        path = file.as_posix()
        if file.is_absolute() or ".." in file.parts or "__pycache__" in file.parts:
            continue
        is_metadata = file.name == "METADATA"
        if file.parts[0].endswith(".dist-info") and not is_metadata:
            continue
        if not is_one_line(path):
            met.skipped.append(Skipped(ascii(path)[1:-1], "its name has control characters", Why.NAME))
            continue
        # Some installers put links to a cache of theirs in place of the files. What they lead to must be what was
        # installed: a link can lead to any file of this machine.
        at = os.path.realpath(os.fsencode(root / path))
        digest = b"" if at == os.fsencode(root / path) else _digest(file)
        if digest is None:
            met.skipped.append(Skipped(path, "a link, and the installation lists no SHA-256 of its file", Why.LINK))
            continue
        met.files.append(File(path, at, describes=found.metadata["Name"] if is_metadata else "", sha256=digest))
    if not met.skipped and not any(form_of(file.path) for file in met.files if not file.describes):
        raise InputError(
            f"the installation of {name!r} lists no source files",
            hint="An editable install keeps them elsewhere: give that directory instead.",
        )
    return met, f"{found.metadata['Name']} {found.version}"


def _digest(file: metadata.PackagePath) -> bytes | None:
    """The SHA-256 that the installation lists for a file; None where it lists none."""
    if file.hash is None or file.hash.mode != "sha256":
        return None
    try:
        return base64.urlsafe_b64decode(file.hash.value + "=" * (-len(file.hash.value) % 4)) or None
    except ValueError:
        return None
