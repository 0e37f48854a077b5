"""Runs: searched and filtered, a page at a time; the address holds all of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.routing import BaseRoute

from dashboard.desk import Desk
from dashboard.ranges import RANGES
from evidence.views import runs
from evidence.views.runs import Choices, RunFilter, RunPage, RunRow
from replay.errors import InputError

_RUN_ID = re.compile(r"run_[0-9a-f]{8,}")
_LONGEST = 300
_PLACES = 15
# Fields of the filter that have an input of the same name; `q` is the text.
_NAMES = ("state", "ruling", "tier", "rule", "model", "batch", "review")


@dataclass(frozen=True)
class View:
    """A page of runs.

    Attributes:
        filter: What is looked for, by names of inputs, as it was given.
        newer: Address of the page with newer runs; empty where this is the newest.
        older: Likewise.
        totals: Runs by state, of all.
        ready: False while there is no read model yet.
    """

    rows: tuple[RunRow, ...]
    filter: dict[str, str]
    newer: str
    older: str
    totals: dict[str, int]
    choices: Choices
    ready: bool

    @property
    def filtered(self) -> bool:
        """Something is looked for."""
        return any(self.filter.values())

    @property
    def first(self) -> bool:
        """These are the newest."""
        return not self.newer


def asked(request: Request) -> tuple[RunFilter, dict[str, str]]:
    """The filter of an address, and its inputs as they were given.

    Raises:
        InputError: A time is none.
    """
    given = {name: request.query_params.get(name, "")[:_LONGEST] for name in ("q", *_NAMES, "within", "since", "until")}
    since, until = _moment(given["since"], "since"), _moment(given["until"], "until")
    if given["within"]:
        if given["within"] not in RANGES:
            raise InputError("`within` names no stretch of time", hint=f"Use one of {', '.join(RANGES)}.")
        since = max(since or 0.0, time.time() - RANGES[given["within"]].seconds)
    wanted = RunFilter(text=given["q"], since=since, until=until, **{name: given[name] for name in _NAMES})
    return wanted, given


def look(desk: Desk, request: Request) -> View:
    """Take one look."""
    wanted, given = asked(request)
    before, after = _place(request, "before"), _place(request, "after")
    with desk.views() as db:
        if db is None:
            return View((), given, "", "", {}, Choices((), (), ()), ready=False)
        found = runs.get(db, given["q"].strip()) if _RUN_ID.fullmatch(given["q"].strip()) else None
        if found is not None:
            page = RunPage((found,), None, None)
        else:
            page = runs.page(db, wanted, before=before, after=after)
            if after is not None and len(page.rows) < runs.PAGE:
                # Less than a page is newer: the newest page, whole.
                page = runs.page(db, wanted)
        totals, choices = runs.totals(db), runs.choices(db)
    return View(
        page.rows,
        given,
        _address(given, after=page.newer) if page.newer is not None else "",
        _address(given, before=page.older) if page.older is not None else "",
        totals,
        choices,
        ready=True,
    )


def routes(desk: Desk) -> list[BaseRoute]:
    """The page and its twin."""

    def take(request: Request) -> View:
        return look(desk, request)

    return [*desk.view("/runs", "pages/runs.html", take)]


def _address(given: dict[str, str], **place: int | None) -> str:
    return "/runs?" + urlencode({name: value for name, value in {**given, **place}.items() if value})


def _place(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _PLACES:
        raise InputError(f"`{name}` is no place in the list", hint="Begin at the newest runs: leave it out.")
    return int(text)


def _moment(text: str, name: str) -> float | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"`{name}` is no time", hint="Write it as 2026-11-30T22:00, in UTC, or with an offset."
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
