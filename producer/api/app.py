"""The application: endpoints, access, refusals, and a page that lists them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from producer.api import batches, files, models
from producer.api.desk import Desk
from producer.api.errors import answer_fault, answer_invalid, answer_refusal, body_of
from producer.api.guard import Guard
from producer.api.page import page_of
from producer.api.shapes import Refused
from replay.errors import AppendFailed, ReplayError

_ABOUT = (
    "Bulk audits in the form of OpenAI's Files and Batches. A request's last user message is the claim; its answer is "
    "JSON with a verdict, the values that it rests on and the line that says so."
)


def make_app(desk: Desk) -> ASGIApp:
    """The application over the parts of one server; its keeper runs as long as it does."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        desk.keeper.start()
        yield
        await run_in_threadpool(desk.close)

    # No /docs of the framework's own: that page loads scripts from elsewhere.
    app = FastAPI(
        title="Replay Batch API",
        description=_ABOUT,
        version="1",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.desk = desk
    app.add_exception_handler(HTTPException, answer_refusal)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.add_exception_handler(ReplayError, _answer_trouble)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, answer_fault)
    # For the document only: the guard has looked.
    bearer = HTTPBearer(auto_error=False, description="One of REPLAY_API_TOKENS.")
    for part in (files, batches, models):
        app.include_router(part.router, dependencies=[Depends(bearer)], responses={"4XX": {"model": Refused}})
    app.add_api_route("/docs", _page, include_in_schema=False, response_class=HTMLResponse)
    app.add_api_route("/healthz", _health, include_in_schema=False, response_class=PlainTextResponse)
    # Around all of it, the answer to a bug of ours included.
    return Guard(app, desk.access)


def _page(request: Request) -> HTMLResponse:
    return HTMLResponse(page_of(request.app.openapi()))


def _health() -> PlainTextResponse:
    return PlainTextResponse("ok")


async def _answer_trouble(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ReplayError)  # noqa: S101  registered for this class
    status, message = (
        (507, "The server's disk took no more.") if isinstance(error, AppendFailed) else (503, error.message)
    )
    return JSONResponse(body_of(status, message, code="unavailable"), status)


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)
