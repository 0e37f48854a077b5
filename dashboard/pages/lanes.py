"""The lanes of work: how each stands and why; an operator pauses one, or lets it go on."""

from __future__ import annotations

from dataclasses import dataclass

import redis
from starlette.requests import Request
from starlette.routing import BaseRoute

from broker import lanes
from broker.lanes import LaneStatus
from broker.queues import depths
from dashboard.acting import Counter, Form
from dashboard.actions import Actions, Done
from dashboard.desk import Desk
from replay.contracts import Tier
from replay.topology import Queue

_QUEUES = {Tier.LOCAL: Queue.LOCAL, Tier.ESCALATION: Queue.ESCALATION}


@dataclass(frozen=True)
class Lane:
    """A lane, and how much lies in it."""

    status: LaneStatus
    waiting: int
    in_flight: int


@dataclass(frozen=True)
class LanesView:
    """Both lanes, and the endpoints that are not asked, of all machines, with the reason."""

    lanes: tuple[Lane, ...]
    endpoints: dict[str, str]


def routes(desk: Desk, counter: Counter) -> list[BaseRoute]:
    """The page, and the two actions."""

    def ask(client: redis.Redis) -> LanesView:
        found = depths(client)
        shown = tuple(
            Lane(
                lanes.look(client, lanes.door(tier, desk.settings)),
                found.waiting[queue.value],
                found.in_flight[queue.value],
            )
            for tier, queue in _QUEUES.items()
        )
        return LanesView(shown, lanes.paused_endpoints(client))

    def take(_request: Request) -> LanesView:
        view: LanesView = desk.ask_broker(ask)
        return view

    return [
        *desk.view("/lanes", "pages/lanes.html", take),
        counter.route("/lanes/{lane}/pause", _pause, back=lambda _: "/lanes"),
        counter.route("/lanes/{lane}/resume", _resume, back=lambda _: "/lanes"),
    ]


def _pause(actions: Actions, request: Request, form: Form, who: str) -> Done:
    return actions.pause_lane(request.path_params["lane"], form.get("reason", ""), who)


def _resume(actions: Actions, request: Request, _form: Form, who: str) -> Done:
    return actions.resume_lane(request.path_params["lane"], who)
