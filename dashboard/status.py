"""The strip above every page and the counts beside the navigation, when a page is sent and while it is open."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from dashboard.alerts import Alert, alerts
from dashboard.desk import Desk
from dashboard.formats import compact
from evidence.views import period
from evidence.views.period import Series
from replay.errors import ReplayError, UnavailableError

TOPIC = "status"
_STEP_S = 60
_FRESH_S = 0.8


@dataclass(frozen=True)
class Status:
    """What every page shows.

    Attributes:
        alerts: The worst first.
        badges: Counts by path of the navigation.
        seq: Number of the last record of evidence that the views have.
    """

    alerts: tuple[Alert, ...]
    badges: dict[str, int]
    seq: int


class Statuses:
    """Takes looks; one within a moment, however many pages ask."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._latest: Status | None = None
        self._at = float("-inf")

    def look(self) -> Status:
        """How things stand, or stood a moment ago."""
        with self._lock:
            if self._latest is None or time.monotonic() - self._at >= _FRESH_S:
                self._latest = self._taken()
                self._at = time.monotonic()
            return self._latest

    def _taken(self) -> Status:
        desk = self._desk
        seen = desk.watch.look()
        hour: Series | None = None
        # A page that cannot be shown has a strip all the same.
        with suppress(UnavailableError), desk.views() as db:
            now = time.time()
            hour = period.series(db, now - 3600, now, _STEP_S) if db is not None else None
        follower = desk.follower
        return Status(alerts(seen, follower.progress, follower.problem, hour), self._badges(), follower.progress.seq)

    def _badges(self) -> dict[str, int]:
        badges = {}
        for path, count in self._desk.badges.items():
            try:
                badges[path] = count()
            except ReplayError:
                badges[path] = 0  # why it cannot be counted is said above
        return badges


def register(desk: Desk) -> Statuses:
    """Give every page its status, when it is sent and while it is open."""
    statuses = Statuses(desk)

    def pushed() -> dict[str, Any]:
        status = statuses.look()
        html = {"alerts": desk.render("alerts.html", status=status)}
        html |= {f"badge:{path}": compact(count) if count else "" for path, count in status.badges.items()}
        return {"seq": status.seq, "html": html}

    def given(_request: Request) -> dict[str, Any]:
        return {"status": statuses.look()}

    desk.live.topic(TOPIC, pushed)
    desk.context.append(given)
    return statuses
