"""The end of a log file, for error messages."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 16 * 1024


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log, indented; a sentence where there is none. Reads one block from the end at most."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _BLOCK))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return "    (no log)"
    kept = text.splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in kept) if kept else "    (the log is empty)"
