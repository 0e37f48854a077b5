"""Trees of small source files, and what reading them gives."""

from __future__ import annotations

from pathlib import Path

from replay.contracts import Record
from replay.corpus import sources
from replay.corpus.sources import Why


def write(root: Path, **contents: str | bytes) -> Path:
    """A tree of files; `__` in a name is a `/`, and the last `_` the dot before the suffix."""
    for name, held in contents.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        at = root / (f"{stem}.{suffix}" if stem else suffix)
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(held.encode() if isinstance(held, str) else held)
    return root


def paths(records: list[Record]) -> list[str]:
    """The files that gave records, in order."""
    return list(dict.fromkeys(str(record.path) for record in records))


def reasons(root: Path) -> dict[str, tuple[Why, str]]:
    """Why each left out file of a tree was left out."""
    return {skipped.path: (skipped.why, skipped.reason) for skipped in sources.read(str(root))[1].skipped}
