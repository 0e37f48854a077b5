"""Dead letters: the messages that could not be run, why, and what is to become of them."""

from __future__ import annotations

from dataclasses import dataclass

import redis
from starlette.requests import Request
from starlette.routing import BaseRoute

from dashboard.acting import Counter, Form, marked
from dashboard.actions import Actions, Books, Done, Letter
from dashboard.desk import Desk, whole
from replay.topology import Queue

SHOWN = 50
MOST = 150


@dataclass(frozen=True)
class Letters:
    """The list.

    Attributes:
        letters: Newest first.
        older: How many older ones are not shown.
        cause: What the causes begin with that are shown; empty: all.
        count: How many are shown at most.
    """

    letters: tuple[Letter, ...]
    older: int
    cause: str
    count: int


def routes(desk: Desk, books: Books, counter: Counter) -> list[BaseRoute]:
    """The list, one letter, and the two actions on each of them."""
    desk.badges["/dead"] = lambda: desk.ask_broker(_count)

    def take(request: Request) -> Letters:
        count = whole(request, "n", SHOWN, most=MOST)
        cause = request.query_params.get("cause", "")[:200]
        found, older = books.letters(count, cause)
        return Letters(tuple(found), older, cause, count)

    def take_one(request: Request) -> Letter:
        return books.letter(request.path_params["letter_id"])

    return [
        *desk.view("/dead", "pages/dead.html", take),
        counter.route("/dead/requeue", _requeue, back=lambda _: "/dead"),
        counter.route("/dead/discard", _discard, back=lambda _: "/dead"),
        *desk.view("/dead/{letter_id:path}", "pages/dead_letter.html", take_one),
    ]


def _count(client: redis.Redis) -> int:
    return client.llen(Queue.DEAD.value)


def _requeue(actions: Actions, _request: Request, form: Form, who: str) -> Done:
    return actions.requeue(marked(form, "letter"), who)


def _discard(actions: Actions, _request: Request, form: Form, who: str) -> Done:
    return actions.discard(marked(form, "letter"), who)
