"""`replay lane`: stop a lane's workers and let them go on, and see why they have stopped by themselves.

What limits a lane is shown here as well; `cli.lane.budget` changes budgets.
"""

from __future__ import annotations

from typing import Annotated

import redis
import typer
from rich.table import Table
from rich.text import Text

from broker import lanes
from broker.connection import connect
from broker.lanes import LaneStatus
from broker.limits.snapshot import LaneSnapshot, snapshot, snapshot_of
from cli.lane import acts, budget
from cli.lane.budget import OF, LaneName, Name
from cli.output import bare, console
from replay.contracts import Tier
from replay.settings import Settings

app = typer.Typer(
    help="The lanes of work: pause, resume, budgets, and why one stands still. Alone it shows them, as `list` does."
)
app.add_typer(budget.app, name="budget")


@app.command("list")
def list_lanes(as_json: console.AsJson = False) -> None:
    """Show whether each lane takes messages, and if not, why and until when; and what is used of its limits.

    Endpoints and limits are those of this machine's settings; what workers elsewhere do not ask is listed below.

    Example: replay lane list
    """
    settings = Settings()
    with connect(settings) as broker:
        found = snapshot(broker, settings)
        endpoints = lanes.paused_endpoints(broker)
    if as_json:
        console.print_json({"lanes": [lane.as_json() for lane in found], "endpoints": endpoints})
        return
    console.out.print(table([lane.status for lane in found]))
    console.out.print()
    console.out.print(limits_table(found))
    for target, why in endpoints.items():
        console.out.print(Text(f"not asked: {target}: {why}"), soft_wrap=True)


bare.shows(app, list_lanes)


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
        acts.note(broker, settings, "lane.pause", lane.value, reason)
        lanes.pause(broker, lane.value, reason)
        _tell(broker, lane, settings, as_json)


@app.command()
def resume(lane: Name, as_json: console.AsJson = False) -> None:
    """Let a lane go on, whatever stopped it: a person, a breaker, an endpoint that asked to wait, a quota.

    A limit or a budget that is reached is not passed by: `replay lane budget set` raises a budget.

    Example: replay lane resume escalation
    """
    settings = Settings()
    with connect(settings) as broker:
        acts.note(broker, settings, "lane.resume", lane.value)
        lanes.resume(broker, lanes.door(Tier(lane.value), settings))
        _tell(broker, lane, settings, as_json)


def statuses(broker: redis.Redis, settings: Settings) -> list[LaneStatus]:
    """How each lane stands."""
    return [lanes.look(broker, lanes.door(tier, settings)) for tier in Tier]


def table(found: list[LaneStatus]) -> Table:
    """Lanes for people."""
    shown = Table("lane", "state", "why", "tried again in", box=None, header_style="dim")
    for lane in found:
        colour = "green" if lane.works else "yellow"
        again = "" if lane.seconds is None else f"{lane.seconds:.0f} s"
        shown.add_row(lane.lane, Text(lane.state, colour), Text(lane.reason), again)
    return shown


def limits_table(found: list[LaneSnapshot]) -> Table:
    """What is used of each limit, for people; a number alone is without a limit."""
    names = ("lane", "in work", "requests/min", "tokens/min", "calls", "tokens", "money", "of")
    shown = Table(*names, box=None, header_style="dim")
    for lane in found:
        spent = lane.budget
        # Fallbacks have rates of their own; `--json` tells them all.
        minute = [str(lane.rates[0].requests), str(lane.rates[0].tokens)] if lane.rates else ["", ""]
        budget = [str(spent.calls), str(spent.tokens), str(spent.money)]
        shown.add_row(lane.status.lane, str(lane.in_flight), *minute, *budget, OF[spent.period])
    return shown


def _tell(broker: redis.Redis, lane: LaneName, settings: Settings, as_json: bool) -> None:
    found = snapshot_of(broker, lanes.door(Tier(lane.value), settings))
    if as_json:
        console.print_json(found.as_json())
    else:
        console.out.print(table([found.status]))
