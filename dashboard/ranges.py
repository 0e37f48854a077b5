"""The stretches of time that charts show, by their names in addresses."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.requests import Request

from replay.errors import InputError


@dataclass(frozen=True)
class Range:
    """A stretch of time up to now. `step_s` is the width of one step of its charts."""

    name: str
    words: str
    seconds: int
    step_s: int

    @property
    def good_for_s(self) -> float:
        """How long what was computed for it does: a sixtieth of a step, which nobody sees on a chart."""
        return self.step_s / 60

    def bounds(self) -> tuple[float, float]:
        """From when to when, Unix time."""
        now = time.time()
        return now - self.seconds + self.step_s, now


RANGES = {
    found.name: found
    for found in (
        Range("1h", "the last hour", 3600, 60),
        Range("6h", "the last 6 hours", 6 * 3600, 300),
        Range("24h", "the last 24 hours", 86400, 1200),
        Range("7d", "the last 7 days", 7 * 86400, 2 * 3600),
        Range("30d", "the last 30 days", 30 * 86400, 6 * 3600),
    )
}


def asked(request: Request, default: str = "1h") -> Range:
    """The range that an address names.

    Raises:
        InputError: There is none of that name.
    """
    name = request.query_params.get("range") or default
    if name not in RANGES:
        raise InputError(f"there is no range {name[:20]!r}", hint=f"Use one of {', '.join(RANGES)}.")
    return RANGES[name]
