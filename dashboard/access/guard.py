"""What stands before every page: it lets a request through, or answers it. No page can forget to ask.

In this order: the name that was asked for (a page of a stranger whose name leads to this machine is refused), what is
open to all, who asks, and for everything that changes something: the page that it comes from, the form's binding to the
session, and the role.
"""

from __future__ import annotations

import html
from http import HTTPStatus
from urllib.parse import parse_qsl, quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.access.gate import BEARER, Access, TooManyGuesses, cookie_header
from dashboard.access.origin import host_name, is_foreign, is_from_our_page
from dashboard.access.visitor import Role, Visitor

LOGIN = "/login"
LOGOUT = "/logout"
HEALTH = "/healthz"
STATIC = "/static/"
MAX_FORM_BYTES = 64 * 1024
_MAX_FIELDS = 200
_FORM = "application/x-www-form-urlencoded"
_READING = frozenset({"GET", "HEAD"})


class Guard:
    """Middleware that lets through what the rules allow.

    Args:
        app: What is guarded.
        access: Says who is who.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it."""
        if scope["type"] == "lifespan" or scope.get("path") == HEALTH:
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = HTTPConnection(scope)
        try:
            answer = self._refused(request) or await self._admitted(request, receive, send)
        except TooManyGuesses as guesses:
            answer = too_many(guesses)
        if answer is not None:
            await answer(scope, receive, send)

    def _refused(self, request: HTTPConnection) -> Response | None:
        hosts = self._access.rules.hosts
        if hosts is not None and host_name(request.headers) not in hosts:
            return refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "The dashboard does not answer to this name. Open it as http://localhost and its port, or name it in "
                "REPLAY_DASHBOARD_HOSTS.",
            )
        return None

    async def _admitted(self, request: HTTPConnection, receive: Receive, send: Send) -> Response | None:
        """Hand the request on to the page, or return what is answered instead."""
        scope, method, path = request.scope, request.scope["method"], request.scope["path"]
        state = scope.setdefault("state", {})
        state["form"] = {}
        state["visitor"] = None
        if path.startswith(STATIC):
            await self._app(scope, receive, send)
            return None
        visitor = self._access.visitor(request)
        state["visitor"] = visitor
        if method in _READING:
            return await self._read(request, visitor, receive, send)
        return await self._changed(request, visitor, receive, send)

    async def _read(
        self, request: HTTPConnection, visitor: Visitor | None, receive: Receive, send: Send
    ) -> Response | None:
        headers, path = request.headers, request.scope["path"]
        if headers.get("sec-fetch-site") == "cross-site":
            if headers.get("sec-fetch-mode") not in (None, "navigate"):
                return refusal(HTTPStatus.FORBIDDEN, "Nothing here is for pages of other sites.")
            if self._may_have_session() and self._access.session(request) is None and _wants_page(headers):
                # Browsers do not send the cookie when a link elsewhere leads here. From a page of ours they do.
                return _come_again(request)
        if visitor is None and path != LOGIN:
            return _sign_in(request, can=self._access.rules.can_sign_in)
        if visitor is not None and not visitor.csrf and self._opens_by_itself(request):
            send = self._with_session(request, send)
        await self._app(request.scope, receive, send)
        return None

    def _may_have_session(self) -> bool:
        return self._access.rules.can_sign_in or self._access.rules.anonymous is Role.OPERATOR

    def _opens_by_itself(self, request: HTTPConnection) -> bool:
        """Is this machine's user an operator without a token? Then a page opens a session, for its forms."""
        operator = self._access.rules.anonymous is Role.OPERATOR
        return operator and _wants_page(request.headers) and "authorization" not in request.headers

    def _with_session(self, request: HTTPConnection, send: Send) -> Send:
        session, cookie = self._access.sessions.open(Role.OPERATOR, signed_in=False)
        before: Visitor = request.scope["state"]["visitor"]
        csrf = self._access.sessions.csrf(session)
        request.scope["state"]["visitor"] = Visitor(session.role, session.name, before.address, csrf)

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", cookie_header(request, cookie))
            await send(message)

        return with_cookie

    async def _changed(
        self, request: HTTPConnection, visitor: Visitor | None, receive: Receive, send: Send
    ) -> Response | None:
        scope, path = request.scope, request.scope["path"]
        refused = self._unsound(request, visitor)
        if refused is not None:
            return refused
        body = await _body(request.headers, receive)
        if body is None:
            return refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form holds {MAX_FORM_BYTES} bytes at most.")
        form = _fields(body)
        if form is None:
            return refusal(HTTPStatus.BAD_REQUEST, "These are no fields of a form. Nothing was done.")
        refused = None if visitor is None or path == LOGIN else self._unbound(visitor, form, path)
        if refused is not None:
            return refused
        scope["state"]["form"] = form
        await self._app(scope, _again(body, receive), send)
        return None

    def _unsound(self, request: HTTPConnection, visitor: Visitor | None) -> Response | None:
        """What is wrong with a request that is to change something, before its body is read."""
        scope, headers = request.scope, request.headers
        if scope["method"] != "POST":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "Pages are read by GET, and actions are sent by POST.")
        # Only a browser says where a request comes from. What carries a token of its own is no browser's form.
        bearer = visitor is not None and visitor.session == BEARER
        if is_foreign(headers) or not (bearer or is_from_our_page(headers)):
            return refusal(HTTPStatus.FORBIDDEN, "This was not sent from a page of the dashboard. Nothing was done.")
        if visitor is None and scope["path"] != LOGIN:
            return refusal(HTTPStatus.UNAUTHORIZED, "Nobody is signed in. Nothing was done.", bearer=True)
        if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Actions are sent as {_FORM}. Nothing was done.")
        return None

    def _unbound(self, visitor: Visitor, form: dict[str, str], path: str) -> Response | None:
        """Why a form is not taken: it is of another session, or its sender may not act."""
        if visitor.session != BEARER and not self._access.is_bound(visitor, form.get("csrf", "")):
            return refusal(
                HTTPStatus.FORBIDDEN,
                "This form is of another session, or of one that has ended. Nothing was done: load the page again.",
            )
        if not visitor.may_act and path != LOGOUT:
            return refusal(HTTPStatus.FORBIDDEN, "This takes an operator. Nothing was done.")
        return None


def local_path(path: str) -> str:
    """A path on this server, or the front page: nothing in it leads to another one."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if safe else "/"


def refusal(status: HTTPStatus, why: str, *, bearer: bool = False) -> Response:
    """An answer that says why not."""
    headers = {"WWW-Authenticate": "Bearer"} if bearer else None
    return PlainTextResponse(f"{why}\n", status.value, headers)


def too_many(guesses: TooManyGuesses) -> Response:
    """The answer to somebody who guesses."""
    seconds = str(int(guesses.wait_s) + 1)
    why = f"Too many wrong tokens came from this address. Try again in {seconds} s.\n"
    return PlainTextResponse(why, HTTPStatus.TOO_MANY_REQUESTS.value, {"Retry-After": seconds})


def _sign_in(request: HTTPConnection, *, can: bool) -> Response:
    if not can:
        return refusal(
            HTTPStatus.FORBIDDEN,
            "A proxy handed this request on, and no token is set: set REPLAY_DASHBOARD_VIEWER_TOKEN.",
        )
    if _wants_page(request.headers):
        return RedirectResponse(f"{LOGIN}?next={quote(_address(request), safe='/')}", HTTPStatus.SEE_OTHER.value)
    return JSONResponse(
        {"error": "sign in, or send the header Authorization: Bearer TOKEN"},
        HTTPStatus.UNAUTHORIZED.value,
        {"WWW-Authenticate": "Bearer"},
    )


def _come_again(request: HTTPConnection) -> Response:
    to = html.escape(_address(request), quote=True)
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={to}">'
        f'<title>Replay</title><p><a href="{to}">Go on</a></p></html>',
        headers={"Vary": "Sec-Fetch-Site, Cookie"},
    )


def _address(request: HTTPConnection) -> str:
    query = request.scope["query_string"].decode("latin-1")
    path = quote(request.scope["path"], safe="/:@-._~!$&'()*+,=")
    return local_path(f"{path}?{query}" if query else path)


def _wants_page(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "")


async def _body(headers: Headers, receive: Receive) -> bytes | None:
    """The whole body, or None where it is too long."""
    said = headers.get("content-length", "0")
    if not said.isdecimal() or int(said[:18]) > MAX_FORM_BYTES:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_FORM_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _fields(body: bytes) -> dict[str, str] | None:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        return None
    fields = dict(pairs)
    # A field that is there twice means two things: whoever checked the one may have used the other.
    return fields if len(fields) == len(pairs) else None


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more for who asks for it, then what comes."""
    given = False

    async def received() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return received
