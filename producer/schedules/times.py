"""When a cron expression is due, as Debian's cron has it, in a time zone. All moments that come out are UTC.

Where clocks go forward, what is due in the hour that is not there is due when that hour is over. Where they go back,
what has a fixed hour is due once, in the first of the two hours, and what is due at every hour is due in both.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from replay.errors import InputError

_EVERY = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = 200
_HINT = (
    "Five fields: minute, hour, day of the month, month, day of the week. '30 3 * * MON-FRI' is half past three on "
    "working days, '0 */6 * * *' every six hours, '@daily' midnight."
)
_FIRST_LOOK = timedelta(hours=1)
# The shortest time between two runs is looked for among so many.
_GAPS = 100


def zone(name: str) -> tzinfo:
    """A time zone by its name.

    Raises:
        InputError: There is none of this name.
    """
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise InputError(
            f"There is no time zone {name!r}.", hint="Zones have names like Europe/Berlin or America/New_York, or UTC."
        ) from None


def check(cron: str, timezone: str) -> None:
    """See to it that an expression is one, and is ever due.

    Raises:
        InputError: It is not, or there is no such time zone.
    """
    if next(upcoming(cron, timezone, datetime.now(UTC)), None) is None:
        raise InputError(f"{cron!r} is never due.", hint=_HINT)


def upcoming(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """When it is due after a moment, in order.

    Raises:
        InputError: It is no cron expression, or there is no such time zone.
    """
    expression = _EVERY.get(cron.strip().lower(), cron)
    if len(cron) > _LONGEST or len(expression.split()) != 5:
        raise InputError(f"{cron[:_LONGEST]!r} is no cron expression: it has not five fields.", hint=_HINT)
    try:
        moments = CronSim(expression, after.astimezone(zone(timezone)))
    except (CronSimError, ValueError, AssertionError) as error:
        why = str(error).lower() if isinstance(error, CronSimError) else "it cannot be read"
        raise InputError(f"{cron!r} is no cron expression: {why}.", hint=_HINT) from None
    return _growing(moments, after)


def _growing(moments: Iterator[datetime], after: datetime) -> Iterator[datetime]:
    # Begun in the second of two equal hours, a fixed time comes out that was in the first of them.
    last = after
    for moment in moments:
        due = moment.astimezone(UTC)
        if due > last:
            last = due
            yield due


def newest(cron: str, timezone: str, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The newest moments at which it was due after one and up to another, at most so many, the oldest first.

    It looks back from the end, further each time: what was due while nothing ran for a year costs no more than that.
    """
    look = _FIRST_LOOK
    while True:
        start = max(after, until - look)
        found: deque[datetime] = deque(maxlen=most)
        for due in upcoming(cron, timezone, start):
            if due > until:
                break
            found.append(due)
        if len(found) == most or start == after:
            return list(found)
        look *= 4


def jitter(name: str, due: datetime, most_s: int) -> timedelta:
    """How much later than due something runs: the same for the same name and moment, wherever it is asked."""
    if not most_s:
        return timedelta()
    hashed = hashlib.sha256(f"{name}@{written(due)}".encode()).digest()
    return timedelta(seconds=int.from_bytes(hashed[:8]) % (most_s + 1))


def shortest_gap(cron: str, timezone: str, after: datetime) -> timedelta | None:
    """The shortest time between two of its next runs; None where there are not two."""
    due = islice(upcoming(cron, timezone, after), _GAPS)
    return min((later - sooner for sooner, later in pairwise(due)), default=None)


def written(moment: datetime) -> str:
    """A moment as it stands in files and names: UTC, in whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
