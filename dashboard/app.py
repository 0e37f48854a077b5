"""The monitoring web application, put together from its pages, behind the guard that lets visitors in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from dashboard import assets, status
from dashboard.access import login
from dashboard.access.gate import Access, while_admitted
from dashboard.access.guard import Guard
from dashboard.access.rules import rules
from dashboard.acting import Counter
from dashboard.actions import Actions, Books
from dashboard.desk import ASSETS, Desk
from dashboard.headers import SecurityHeaders
from dashboard.pages import batches, corpus, dead, gate, lanes, metrics, overview, review, run, runs
from replay.errors import EvidenceError, InputError, ReplayError, UnavailableError
from replay.settings import Settings

PAGES = (overview, runs, run, gate, corpus, metrics)

Endpoint = Callable[[Request], Awaitable[Response]]
ErrorHandler = Callable[[Request, Exception], Response]

_STATUS_OF: dict[type[ReplayError], int] = {InputError: 400, UnavailableError: 503, EvidenceError: 500}


def make_app(
    settings: Settings, *, access: Access | None = None, books: Books | None = None, actions: Actions | None = None
) -> Starlette:
    """The application over one data directory and broker.

    Args:
        settings: Say where everything lies.
        access: Who may see and do what; by default as on the loopback.
        books: Reads batches and dead letters; without it their pages are left out.
        actions: Does what operators ask for; without it nobody can act.

    Raises:
        ConfigurationError: The settings of the access contradict each other.
    """
    access = access or Access.of(settings, rules(settings, "127.0.0.1"))
    desk = Desk(settings, books=books, actions=actions)
    status.register(desk)
    login.register(desk, access)
    routes = [
        Route("/healthz", _health),
        Route("/live", _stream(desk, access)),
        Mount(assets.PREFIX, ASSETS),
        *login.routes(desk, access),
    ]
    for page in PAGES:
        routes += page.routes(desk)
    counter = Counter(desk)
    if books is not None:
        routes += [*batches.routes(desk, books, counter), *dead.routes(desk, books, counter)]
    routes += [*review.routes(desk, counter), *lanes.routes(desk, counter)]
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(Guard, access=access),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
        exception_handlers={ReplayError: _mistake(desk), HTTPException: _wrong_address(desk)},
        lifespan=_following(desk),
    )
    app.state.live = desk.live
    return app


def _following(desk: Desk) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def following(_app: Starlette) -> AsyncIterator[None]:
        desk.follower.start()
        try:
            yield
        finally:
            await run_in_threadpool(desk.follower.stop)

    return following


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok")


def _stream(desk: Desk, access: Access) -> Endpoint:
    async def stream(request: Request) -> Response:
        names = tuple(dict.fromkeys(request.query_params.getlist("topic")))
        if not names or not set(names) <= set(desk.live.topics):
            return PlainTextResponse(f"topics: {', '.join(desk.live.topics)}", status_code=400)
        # Proxies that gather answers would hold the events back.
        headers = {"X-Accel-Buffering": "no"}
        events = while_admitted(desk.live.events(names), request, access)
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    return stream


def _mistake(desk: Desk) -> ErrorHandler:
    def handle(request: Request, error: Exception) -> Response:
        mistake = cast("ReplayError", error)
        return _told(desk, request, _status_of(mistake), mistake.message, mistake.hint)

    return handle


def _status_of(error: ReplayError) -> int:
    return next((status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), 500)


def _wrong_address(desk: Desk) -> ErrorHandler:
    def handle(request: Request, error: Exception) -> Response:
        wrong = cast("HTTPException", error)
        # Starlette's own detail is the bare phrase of the status.
        what = "There is nothing at this address." if wrong.detail == "Not Found" else wrong.detail
        return _told(desk, request, wrong.status_code, what, "")

    return handle


def _told(desk: Desk, request: Request, status: int, message: str, hint: str) -> Response:
    if getattr(request.state, "visitor", None) is None:
        # The frame of a page shows how things stand, which is not for who has not signed in.
        return PlainTextResponse(HTTPStatus(status).phrase, status)
    if request.url.path.endswith(".json"):
        return JSONResponse({"error": message, "hint": hint}, status_code=status)
    return desk.page(request, "error.html", status=status, message=message, hint=hint)
