"""How an operator's form becomes an action: one way for all of them, behind the guard.

The answer to a browser is the page again, with what came of it above; to a program with a token, JSON.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dashboard.access.gate import BEARER
from dashboard.access.guard import local_path, refusal
from dashboard.access.visitor import Visitor
from dashboard.actions import Actions, Done
from dashboard.desk import Desk
from replay.errors import InputError, ReplayError, UnavailableError

_NOTICES = 1000

Form = Mapping[str, str]
Do = Callable[[Actions, Request, Form, str], Done]


class Notices:
    """What came of each session's last action, until the next page of that session shows it."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, Done] = OrderedDict()

    def leave(self, visitor: Visitor, done: Done) -> None:
        """Keep it."""
        self._left[visitor.session] = done
        while len(self._left) > _NOTICES:
            self._left.popitem(last=False)

    def take(self, visitor: Visitor | None) -> Done | None:
        """Take it away."""
        return self._left.pop(visitor.session, None) if visitor is not None and visitor.csrf else None


class Counter:
    """Where actions are asked for: makes their routes, and gives every template what its forms need.

    Templates get `may_act`, `csrf` and `notice`.

    Args:
        desk: Of the application.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._notices = Notices()
        desk.context.append(self._given)

    def route(self, path: str, do: Do, *, back: Callable[[Request], str]) -> Route:
        """The route of an action.

        Args:
            path: Where its form is sent.
            do: Does it; gets the actions, the request, the form's fields and who sent it.
            back: The page to return to, where the form does not name another of ours.
        """

        def endpoint(request: Request) -> Response:
            visitor: Visitor | None = request.state.visitor
            # The guard has seen to it; an action is not left to one line alone.
            if visitor is None or not visitor.may_act or self._desk.actions is None:
                return refusal(HTTPStatus.FORBIDDEN, "This takes an operator. Nothing was done.")
            form: Form = request.state.form
            try:
                done = do(self._desk.actions, request, form, visitor.who)
            except ReplayError as error:
                if visitor.session != BEARER:
                    raise
                return JSONResponse({"error": error.message, "hint": error.hint}, _status(error).value)
            if visitor.session == BEARER:
                status = HTTPStatus.OK if done.ok else HTTPStatus.CONFLICT
                return JSONResponse(dataclasses.asdict(done), status.value)
            self._notices.leave(visitor, done)
            return RedirectResponse(local_path(form.get("back") or back(request)), HTTPStatus.SEE_OTHER.value)

        return Route(path, endpoint, methods=["POST"])

    def _given(self, request: Request) -> dict[str, Any]:
        visitor: Visitor | None = getattr(request.state, "visitor", None)
        return {
            "may_act": visitor is not None
            and visitor.may_act
            and bool(visitor.csrf)
            and self._desk.actions is not None,
            "csrf": visitor.csrf if visitor is not None else "",
            "notice": self._notices.take(visitor),
        }


def marked(form: Form, prefix: str) -> list[str]:
    """What was ticked in a list: the fields `PREFIX:NAME`."""
    return [name.removeprefix(f"{prefix}:") for name in form if name.startswith(f"{prefix}:")]


def _status(error: ReplayError) -> HTTPStatus:
    if isinstance(error, InputError):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, UnavailableError) else HTTPStatus.INTERNAL_SERVER_ERROR
