"""What happened when: every fault, restart and unexpected end of a run, on standard error and in a file."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path


class Journal:
    """The log of one run. Times are seconds since it began.

    Args:
        path: Where the lines are kept.
        echo: Also print them.
    """

    def __init__(self, path: Path, *, echo: bool = True) -> None:
        self.faults: Counter[str] = Counter()
        self._path = path
        self._echo = echo
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def note(self, text: str) -> None:
        """Write a line."""
        line = f"{self.seconds:8.2f} s  {text}"
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self._echo:
            print(line, file=sys.stderr, flush=True)  # noqa: T201  this command's running output

    def fault(self, kind: str, text: str) -> None:
        """Write down a fault and count it."""
        self.faults[kind] += 1
        self.note(f"{kind}: {text}")

    def tail(self, count: int) -> list[str]:
        """The last lines."""
        return self._path.read_text(encoding="utf-8").splitlines()[-count:] if self._path.exists() else []
