"""The monitoring web application: one page, the same as JSON, and a health check. It reads and never writes."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from dashboard.view import look
from replay.settings import Settings

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(settings: Settings) -> Starlette:
    """The application over one data directory and broker."""
    # Templates escape everything: task and model texts are hostile until proved otherwise.
    templates = Jinja2Templates(Path(__file__).parent / "templates")

    async def page(request: Request) -> Response:
        view = await run_in_threadpool(look, settings)
        return templates.TemplateResponse(request, "overview.html", {"view": view}, headers=_HEADERS)

    async def as_json(_request: Request) -> Response:
        view = await run_in_threadpool(look, settings)
        return JSONResponse(view.as_json(), headers=_HEADERS)

    async def health(_request: Request) -> Response:
        return PlainTextResponse("ok", headers=_HEADERS)

    return Starlette(routes=[Route("/", page), Route("/overview.json", as_json), Route("/healthz", health)])
