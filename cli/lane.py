"""`replay lane`: stop a lane's workers and let them go on, and see why they have stopped by themselves."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Annotated

import redis
import typer
from rich.table import Table
from rich.text import Text

from broker import lanes
from broker.connection import connect
from broker.lanes import LaneState, LaneStatus
from cli import console
from replay.contracts import Tier
from replay.settings import Settings

app = typer.Typer(no_args_is_help=True, help="The lanes of work: pause, resume, and why one stands still.")


class LaneName(StrEnum):
    """A lane of work."""

    LOCAL = "local"
    ESCALATION = "escalation"


Name = Annotated[LaneName, typer.Argument(help="The lane.")]


@app.command("list")
def list_lanes(as_json: console.AsJson = False) -> None:
    """Show whether each lane takes messages, and if not, why and until when.

    Endpoints are those of this machine's settings; what workers elsewhere do not ask is listed below.

    Example: replay lane list
    """
    settings = Settings()
    with connect(settings) as broker:
        found = statuses(broker, settings)
        endpoints = lanes.paused_endpoints(broker)
    if as_json:
        console.print_json({"lanes": [dataclasses.asdict(lane) for lane in found], "endpoints": endpoints})
        return
    console.out.print(table(found))
    for target, why in endpoints.items():
        console.out.print(Text(f"not asked: {target}: {why}"), soft_wrap=True)


@app.command()
def pause(
    lane: Name,
    reason: Annotated[str, typer.Option(help="Said wherever the lane is shown.")] = "paused by hand",
    as_json: console.AsJson = False,
) -> None:
    """Let the workers of a lane take no more messages; what runs is finished, what waits stays in its queue.

    Example: replay lane pause escalation --reason "budget review"
    """
    settings = Settings()
    with connect(settings) as broker:
        lanes.pause(broker, lane.value, reason)
        _tell(broker, lane, settings, as_json)


@app.command()
def resume(lane: Name, as_json: console.AsJson = False) -> None:
    """Let a lane go on, whatever stopped it: a person, a breaker, an endpoint that asked to wait, a quota.

    Example: replay lane resume escalation
    """
    settings = Settings()
    with connect(settings) as broker:
        lanes.resume(broker, lanes.door(Tier(lane.value), settings))
        _tell(broker, lane, settings, as_json)


def statuses(broker: redis.Redis, settings: Settings) -> list[LaneStatus]:
    """How each lane stands."""
    return [lanes.look(broker, lanes.door(tier, settings)) for tier in Tier]


def table(found: list[LaneStatus]) -> Table:
    """Lanes for people."""
    shown = Table("lane", "state", "why", "tried again in", box=None, header_style="dim")
    for lane in found:
        colour = "green" if lane.state is LaneState.OPEN else "yellow"
        again = "" if lane.seconds is None else f"{lane.seconds:.0f} s"
        shown.add_row(lane.lane, Text(lane.state, colour), Text(lane.reason), again)
    return shown


def _tell(broker: redis.Redis, lane: LaneName, settings: Settings, as_json: bool) -> None:
    status = lanes.look(broker, lanes.door(Tier(lane.value), settings))
    if as_json:
        console.print_json(dataclasses.asdict(status))
    else:
        console.out.print(table([status]))
