"""Signing in with a token, and out again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashboard.access.gate import Access, TooManyGuesses, address_of, cookie_header
from dashboard.access.guard import LOGIN, LOGOUT, local_path, too_many
from dashboard.desk import Desk


def register(desk: Desk, access: Access) -> None:
    """Tell every template who looks: `visitor`, and whether there is anything to sign in with."""

    def given(request: Request) -> dict[str, Any]:
        # An answer that was made before the guard, such as that of a wrong method, has no visitor.
        visitor = getattr(request.state, "visitor", None)
        return {"visitor": visitor, "can_sign_in": access.rules.can_sign_in}

    desk.context.append(given)


def routes(desk: Desk, access: Access) -> list[Route]:
    """The page that asks for a token, what it is sent to, and the way out."""

    async def form(request: Request) -> Response:
        return _page(desk, request, next_path=local_path(request.query_params.get("next", "/")))

    async def sign_in(request: Request) -> Response:
        given: dict[str, str] = request.state.form
        next_path = local_path(given.get("next", "/"))
        try:
            role = access.proved(given.get("token", "").strip(), address_of(request))
        except TooManyGuesses as guesses:
            return too_many(guesses)
        if role is None:
            return _page(desk, request, HTTPStatus.UNAUTHORIZED, next_path=next_path, wrong=True)
        _, cookie = access.sessions.open(role, signed_in=True)
        answer = RedirectResponse(next_path, HTTPStatus.SEE_OTHER.value)
        answer.headers.append("set-cookie", cookie_header(request, cookie))
        return answer

    async def sign_out(request: Request) -> Response:
        session = access.session(request)
        if session is not None:
            access.sessions.close(session)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER.value)
        answer.headers.append("set-cookie", cookie_header(request, ""))
        return answer

    return [
        Route(LOGIN, form, methods=["GET"]),
        Route(LOGIN, sign_in, methods=["POST"]),
        Route(LOGOUT, sign_out, methods=["POST"]),
    ]


def _page(desk: Desk, request: Request, status: HTTPStatus = HTTPStatus.OK, **values: Any) -> Response:
    # Not a page of the frame: that one shows how things stand, which is for who has signed in.
    values = {"wrong": False} | values
    return desk.templates.TemplateResponse(request, "login.html", values, status_code=status.value)
