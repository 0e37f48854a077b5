"""The overview: what there is to do, who does it, how fast, and how well."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from dashboard import charts, ranges
from dashboard.alerts import Alert, alerts
from dashboard.desk import Desk
from dashboard.kept import Kept
from dashboard.ranges import RANGES, Range
from dashboard.system import System, system
from evidence.views import period, runs
from evidence.views.period import Series, Sum
from evidence.views.runs import RunRow
from replay.contracts import State, Tier

_LATEST = 8


@dataclass(frozen=True)
class Figures:
    """What happened in the range, in numbers; None where nothing did.

    Attributes:
        ended: Runs; `per_s` over the last five minutes.
        accepted: Share of the ended runs; `by_local` of the accepted ones, by the local model.
        escalated: Share of the local answers that were judged.
        p50_ms: Of a local generation; `p95_ms` likewise, `large_` for the large model.
        tokens_per_s: Read and written, over the last five minutes.
        cached: Share of the tokens read that came from the server's cache.
    """

    ended: int
    per_s: float
    accepted: float | None
    by_local: float | None
    escalated: float | None
    p50_ms: float | None
    p95_ms: float | None
    large_p50_ms: float | None
    large_p95_ms: float | None
    tokens_per_s: float
    cached: float | None
    cost: float
    runs: int


@dataclass(frozen=True)
class View:
    """The overview.

    Attributes:
        range: Name of the stretch of time.
        alerts: What is wrong.
        system: What the broker says; None where it says nothing.
        figures: Of the range.
        latest: The runs that last began.
        charts: See `dashboard.charts`.
    """

    at: float
    range: str
    alerts: tuple[Alert, ...]
    system: System | None
    figures: Figures | None
    latest: tuple[RunRow, ...]
    charts: dict[str, Any]


@dataclass(frozen=True)
class Told:
    """What the evidence says of a range."""

    figures: Figures
    charts: dict[str, Any]
    hour: Series | None


def look(desk: Desk, wanted: Range, kept: Kept[Told]) -> View:
    """Take one look."""
    seen = desk.watch.look()
    latest: tuple[RunRow, ...] = ()
    told: Told | None = None
    with desk.views() as db:
        if db is not None:
            seq = desk.follower.progress.seq
            told = kept.get(wanted.name, seq, wanted.good_for_s, partial(_told, db, wanted))
            latest = runs.page(db, limit=_LATEST).rows
    follower = desk.follower
    return View(
        at=time.time(),
        range=wanted.name,
        alerts=alerts(seen, follower.progress, follower.problem, told.hour if told else None),
        system=system(seen.system, desk.watch) if seen.system else None,
        figures=told.figures if told else None,
        latest=latest,
        charts=told.charts if told else {},
    )


def _told(db: sqlite3.Connection, wanted: Range) -> Told:
    since, until = wanted.bounds()
    found = period.series(db, since, until, wanted.step_s)
    drawn = charts.overview(found, period.objections_over(db, since, until, wanted.step_s))
    lately = period.series(db, until - 240, until, 60)
    return Told(_figures(found, lately, runs.totals(db)), drawn, found if wanted.name == "1h" else None)


def routes(desk: Desk) -> list[BaseRoute]:
    """The page and its twin, and what open pages are pushed."""
    kept: Kept[Told] = Kept()

    def take(request: Request) -> View:
        return look(desk, ranges.asked(request), kept)

    def pushed(wanted: Range) -> dict[str, Any]:
        view = look(desk, wanted, kept)
        html = {name: desk.render(f"pages/overview_{name}.html", view=view) for name in ("now", "lately")}
        return {"html": html, "charts": view.charts}

    for wanted in RANGES.values():
        desk.live.topic(f"overview:{wanted.name}", partial(pushed, wanted))

    return [
        *desk.view("/", "pages/overview.html", take, twin="/overview.json", topic=lambda view: f"overview:{view.range}")
    ]


def _figures(found: Series, lately: Series, totals: dict[str, int]) -> Figures:
    whole, local, large, now = found.whole(), found.whole(Tier.LOCAL), found.whole(Tier.ESCALATION), lately.whole()
    seconds = len(lately.starts) * lately.step_s
    return Figures(
        ended=whole.ended,
        per_s=now.ended / seconds,
        accepted=_share(whole.accepted, whole.ended),
        by_local=_share(local.accepted, whole.accepted),
        escalated=_share(local.escalated, local.judged),
        p50_ms=local.percentile(0.5),
        p95_ms=local.percentile(0.95),
        large_p50_ms=large.percentile(0.5),
        large_p95_ms=large.percentile(0.95),
        tokens_per_s=_tokens(now) / seconds,
        cached=_share(whole.cached_tokens, whole.prompt_tokens),
        cost=whole.cost,
        runs=sum(totals[state] for state in State),
    )


def _tokens(one: Sum) -> int:
    return one.prompt_tokens + one.completion_tokens


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
