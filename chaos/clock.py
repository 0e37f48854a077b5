"""Clocks that jump: one process after the other is told another time of day, by libfaketime.

Only the wall clock jumps, as it does when a host is set right or resumed: the clocks that only rise go on, and so do
the clocks of everybody else. A process and its children read one file each second, so a jump needs no restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

JUMP_S = 3600

_PLACES = ("/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
_LIBRARY = "libfaketimeMT.so.1"


def library() -> Path | None:
    """Where libfaketime lies; None where it is not installed (Debian: `apt-get install faketime`)."""
    found = (path / _LIBRARY for place in _PLACES for path in Path("/").glob(place.lstrip("/")))
    return next((path for path in found if path.is_file()), None)


class Clock:
    """The wall clock of one member.

    Args:
        file: Where it is kept; made here.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set_off(0)

    def environment(self, preloaded: Path) -> Mapping[str, str]:
        """What a process needs to go by this clock."""
        return {
            "LD_PRELOAD": str(preloaded),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set_off(self, seconds: int) -> None:
        """Let it show so much more than the true time, from within a second on."""
        # Renamed into place: a process that reads half of it would end.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n", encoding="ascii")
        fresh.replace(self._file)
