"""What every page is given: settings, the broker, the live stream, and how a page or its JSON twin is sent.

A page module exports `routes(desk)` and gives each view once, as a value: `Desk.view` makes two routes of it, the page
and, under the same path with `.json`, the same value for programs.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from jinja2.bccache import Bucket, BytecodeCache
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from broker.connection import connect
from dashboard import foreign, formats
from dashboard.actions import Actions, Books
from dashboard.assets import Assets
from dashboard.follower import Follower
from dashboard.live import Live
from dashboard.ranges import RANGES
from dashboard.watch import Watch
from evidence import telling
from evidence.views.schema import reading
from replay.contracts import Ruling, State, Tier
from replay.errors import BrokerUnavailable, InputError, ReplayError, UnavailableError
from replay.settings import Settings

HERE = Path(__file__).parent
STATIC = HERE / "static"


class _Compiled(BytecodeCache):
    """Templates that this process has compiled; every application of it has the same."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """See Jinja."""
        if (kept := self._kept.get(f"{bucket.key}:{bucket.checksum}")) is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """See Jinja."""
        self._kept[f"{bucket.key}:{bucket.checksum}"] = bucket.bytecode_to_string()


_COMPILED = _Compiled()
ASSETS = Assets(STATIC)


@dataclass(frozen=True)
class Place:
    """An entry of the navigation: where it leads, its name, and the key that goes there after `g`."""

    path: str
    name: str
    key: str
    icon: str


NAVIGATION = (
    Place("/", "Overview", "o", "gauge"),
    Place("/batches", "Batches", "b", "stack"),
    Place("/runs", "Runs", "r", "list"),
    Place("/gate", "Gate", "g", "gate"),
    Place("/corpus", "Corpus", "c", "book"),
    Place("/review", "Review", "v", "eye"),
    Place("/dead", "Dead letters", "d", "mail"),
)


@dataclass
class Desk:
    """Shared by all pages of one application.

    Attributes:
        settings: Say where everything lies.
        live: Where a page registers what it pushes.
        context: Called with each request; its values are given to every template (who is logged in, for instance).
        books: Reads batches and dead letters; None: their pages are left out.
        actions: Does what operators ask for; None: nobody can act.
        badges: By path of a `Place`, what counts what waits there; shown beside its name while it is not 0.
        watch: The latest look at the broker, shared by all pages.
        follower: Keeps the views of the evidence fresh.
    """

    settings: Settings
    live: Live = field(default_factory=Live)
    context: list[Callable[[Request], dict[str, Any]]] = field(default_factory=list)
    books: Books | None = None
    actions: Actions | None = None
    badges: dict[str, Callable[[], int]] = field(default_factory=dict)
    templates: Jinja2Templates = field(init=False)
    watch: Watch = field(init=False)
    follower: Follower = field(init=False)
    _broker: redis.Redis | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.settings, self.ask_broker)
        self.follower = Follower(self.settings.evidence_log)
        # Templates escape everything: task and model texts are hostile until proved otherwise.
        self.templates = Jinja2Templates(HERE / "templates")
        env = self.templates.env
        env.bytecode_cache = _COMPILED
        env.trim_blocks = env.lstrip_blocks = True
        env.filters.update(formats.FILTERS | foreign.FILTERS)
        env.globals.update(marked=foreign.marked, in_words=telling.in_words)
        env.globals.update(states=tuple(State), rulings=tuple(Ruling), tiers=tuple(Tier))
        env.globals.update(navigation=NAVIGATION, ranges=RANGES, asset=ASSETS.address)

    def broker(self) -> redis.Redis:
        """A client of the broker, which answered when it was made; one for all pages, safe in threads.

        Raises:
            BrokerUnavailable: It does not answer.
            ConfigurationError: Its address is none.
        """
        if self._broker is None:
            self._broker = connect(self.settings, patience=0)
        return self._broker

    def ask_broker(self, question: Callable[[redis.Redis], Any]) -> Any:
        """What the broker answers.

        Raises:
            BrokerUnavailable: It does not answer, or not to this.
            ConfigurationError: Its address is none.
        """
        try:
            return question(self.broker())
        except RedisError as error:
            self._broker = None  # the next question says properly what is wrong with it
            raise BrokerUnavailable(
                f"the broker answers, but not to everything: {error}",
                hint="Look at its log, and at `replay doctor`.",
            ) from error

    @contextmanager
    def views(self) -> Iterator[sqlite3.Connection | None]:
        """The views of the evidence, as fresh as a moment's wait makes them; None where there are none yet.

        Raises:
            UnavailableError: They cannot be read; also where the block's own question cannot be answered.
        """
        self.follower.fresh()
        with reading(self.settings.evidence_log) as db:
            try:
                yield db
            except sqlite3.DatabaseError as error:
                raise UnavailableError(
                    f"the views of the evidence cannot be read: {error}",
                    hint="They are made again from the log where they are damaged. Try again in a moment.",
                ) from error

    def render(self, template: str, **values: Any) -> str:
        """A template as text, for what is pushed to open pages."""
        return self.templates.env.get_template(template).render(**values)

    def page(self, request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
        """A whole page. `layout.html` says which values it wants besides those of the page."""
        given = {"topic": "status"}
        for more in self.context:
            given |= more(request)
        return self.templates.TemplateResponse(request, template, given | values, status_code=status)

    def view(
        self,
        path: str,
        template: str,
        look: Callable[[Request], Any],
        *,
        twin: str | None = None,
        topic: str | Callable[[Any], str] = "status",
    ) -> list[Route]:
        """Two routes of one view: the page, whose template gets it as `view`, and the same as JSON.

        Args:
            path: Of the page.
            template: Of the page.
            look: Takes the look that is shown; a dataclass or a JSON value. It runs in a thread.
            twin: Path of the JSON form; by default the page's with `.json`.
            topic: What the open page is pushed (`Live.topic`), or what tells it from the view.
        """

        def page(request: Request) -> Response:
            view = look(request)
            return self.page(request, template, view=view, topic=topic if isinstance(topic, str) else topic(view))

        def as_json(request: Request) -> Response:
            return JSONResponse(plain(look(request)))

        # The twin first: a parameter at the end of the path would take it for a value.
        return [Route(twin or f"{path}.json", as_json), Route(path, page)]


def plain(value: Any) -> Any:
    """A view as a JSON value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value


def not_found(what: str) -> HTTPException:
    """The error of a page about something that is not there."""
    return HTTPException(404, what)


def whole(request: Request, name: str, default: int, *, most: int) -> int:
    """A whole number of the query, from 1 to `most`.

    Raises:
        InputError: It is none.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:18]) <= most:
        raise InputError(f"{name} is no number from 1 to {most}", hint="Correct the address, or leave it out.")
    return int(text)


__all__ = ["NAVIGATION", "STATIC", "Desk", "Place", "ReplayError", "not_found", "plain", "whole"]
