"""How numbers, durations and times are written for people, the same on every page."""

from __future__ import annotations

from datetime import UTC, datetime

from replay.contracts import State

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_UNITS = ("", "k", "M", "G")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def number(value: float | None) -> str:
    """A count, whole, with separators: 12,345. Nothing where it is unknown."""
    return "" if value is None else f"{value:,.0f}"


def compact(value: float | None) -> str:
    """A count in at most four characters and a unit: 12.3k."""
    if value is None:
        return ""
    size = float(value)
    for unit in _UNITS:
        if abs(size) < 999.5 or unit == _UNITS[-1]:
            digits = 0 if unit == "" and size == int(size) else 1 if abs(size) < 99.95 else 0
            return f"{size:.{digits}f}{unit}"
        size /= 1000
    raise AssertionError


def rate(per_second: float | None) -> str:
    """A rate with the unit that makes it readable: 3.2/s, 14/min."""
    if per_second is None:
        return ""
    if per_second == 0:
        return "0/s"
    if per_second >= 1:
        return f"{compact(round(per_second, 1))}/s"
    if per_second >= 1 / _MINUTE:
        return f"{per_second * _MINUTE:.1f}/min"
    return f"{per_second * _HOUR:.1f}/h"


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: 340 ms, 4.2 s, 3 min 5 s, 2 h 10 min."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    for size, name, below, below_name in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name}" + (f" {rest} {below_name}" if rest else "")
    return f"{whole} s"


def milliseconds(value: float | None) -> str:
    """The same, from milliseconds; below one the digits that are left."""
    if value is None:
        return ""
    return f"{value:.1f} ms" if 0 < value < 10 else duration(value / 1000)


def percent(share: float | None) -> str:
    """A share of 1, in per cent: 3.4 %."""
    if share is None:
        return ""
    value = share * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def size(value: float | None) -> str:
    """Bytes: 42 MiB."""
    if value is None:
        return ""
    left = float(value)
    for unit in _BINARY:
        if left < 1024 or unit == _BINARY[-1]:
            return f"{left:.0f} {unit}" if left >= 10 or unit == "B" else f"{left:.1f} {unit}"
        left /= 1024
    raise AssertionError


def clock(unix_s: float | None) -> str:
    """A moment, UTC: 2026-11-30 22:41:07."""
    if unix_s is None:
        return ""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def iso(unix_s: float | None) -> str:
    """A moment as `<time datetime>` wants it."""
    return "" if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")


def short(text: str | None, most: int = 12) -> str:
    """An id or a hash cut to what tells it from others; the whole belongs into the title."""
    if not text:
        return ""
    return text if len(text) <= most else text[: most - 1] + "…"


def standing(state: str) -> str:
    """A run's state in words. *Escalated* is kept for all that went on to the large model, whatever came of it."""
    return "at the large model" if state == State.ESCALATED else state


FILTERS = {
    "standing": standing,
    "number": number,
    "compact": compact,
    "rate": rate,
    "duration": duration,
    "ms": milliseconds,
    "percent": percent,
    "size": size,
    "clock": clock,
    "iso": iso,
    "short": short,
}
