"""`replay lane budget`: what a lane may spend, and what it has spent."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated

import redis
import typer
from rich.table import Table

from broker import lanes
from broker.connection import connect
from broker.lanes import Door
from broker.limits import budget as budgets
from broker.limits.bounds import Period
from broker.limits.budget import Part
from broker.limits.snapshot import LaneSnapshot, snapshot, snapshot_of
from cli.lane import acts
from cli.output import bare, console
from replay.contracts import Tier
from replay.errors import ConfigurationError, InputError
from replay.settings import Settings

app = typer.Typer(help="What a lane may spend: calls, tokens, money. Alone it shows what is spent, as `show` does.")

OF = {Period.DAY: "today, UTC", Period.TOTAL: "in all"}

_NOT_LIMITED = "none"


class LaneName(StrEnum):
    """A lane of work."""

    LOCAL = "local"
    ESCALATION = "escalation"


Name = Annotated[LaneName, typer.Argument(help="The lane.")]


@app.command()
def show(as_json: console.AsJson = False) -> None:
    """Show what each lane has spent of its budget; a call in work counts by its estimate.

    Example: replay lane budget show
    """
    settings = Settings()
    with connect(settings) as broker:
        _print(snapshot(broker, settings), as_json)


bare.shows(app, show)


@app.command("set")
def set_(
    lane: Name,
    calls: Annotated[str | None, typer.Option(help="Requests to its models, retries counted; or `none`.")] = None,
    tokens: Annotated[str | None, typer.Option(help="Tokens, read and written; or `none`.")] = None,
    money: Annotated[str | None, typer.Option(help="In the currency of REPLAY_ESCALATION_PRICES; or `none`.")] = None,
    as_json: console.AsJson = False,
) -> None:
    """Set a budget for the workers of all machines, from now on, over that of their settings.

    A lane that was out of budget goes on by itself once there is room. What is set lies in the broker and goes with its
    data; what is to hold after that belongs into the settings (REPLAY_ESCALATION_BUDGET_…).

    Example: replay lane budget set escalation --calls 500
    """
    settings = Settings()
    door = lanes.door(Tier(lane.value), settings)
    amounts = {
        part: _amount(part, text)
        for part, text in ((Part.CALLS, calls), (Part.TOKENS, tokens), (Part.MONEY, money))
        if text is not None
    }
    if not amounts:
        raise InputError("no budget was given", hint="Give --calls, --tokens or --money, with a number or `none`.")
    if amounts.get(Part.MONEY) is not None and door.bounds.unpriced:
        raise ConfigurationError(
            f"{door.bounds.unpriced} has no price, so its money cannot be counted",
            hint="Set REPLAY_ESCALATION_PRICES for the workers and here, e.g. vendor/model=0.5/1.5; the local lane has "
            "none.",
        )
    told = ", ".join(
        f"{part.value} {_NOT_LIMITED if amount is None else _whole(amount)}" for part, amount in amounts.items()
    )
    with connect(settings) as broker:
        acts.note(broker, settings, "lane.budget.set", lane.value, told)
        for part, amount in amounts.items():
            budgets.limit(broker, lane.value, part, amount)
        _tell(broker, door, as_json)


@app.command()
def unset(lane: Name, as_json: console.AsJson = False) -> None:
    """Take back what `set` has set: the settings of the workers count again.

    Example: replay lane budget unset escalation
    """
    settings = Settings()
    with connect(settings) as broker:
        acts.note(broker, settings, "lane.budget.unset", lane.value)
        budgets.unlimit(broker, lane.value)
        _tell(broker, lanes.door(Tier(lane.value), settings), as_json)


@app.command()
def reset(lane: Name, as_json: console.AsJson = False) -> None:
    """Count what a lane spends from zero again, from now on; the limits stay.

    Example: replay lane budget reset escalation
    """
    settings = Settings()
    door = lanes.door(Tier(lane.value), settings)
    with connect(settings) as broker:
        acts.note(broker, settings, "lane.budget.reset", lane.value)
        budgets.reset(broker, lane.value)
        _tell(broker, door, as_json)


def _amount(part: Part, text: str) -> float | None:
    if text.strip().lower() == _NOT_LIMITED:
        return None
    try:
        amount = float(text)
    except ValueError:
        amount = math.nan
    if not (0 <= amount <= 1e15) or (part is not Part.MONEY and amount != int(amount)):
        kind = "an amount of money" if part is Part.MONEY else "a whole number"
        raise InputError(f"--{part.value}: {text!r} is not {kind}", hint="Give a number from 0 on, or `none`.")
    return amount


def _tell(broker: redis.Redis, door: Door, as_json: bool) -> None:
    _print([snapshot_of(broker, door)], as_json)


def _print(found: list[LaneSnapshot], as_json: bool) -> None:
    if as_json:
        lines = [lane.as_json() for lane in found]
        console.print_json({"lanes": [{name: line[name] for name in ("lane", "state", "budget")} for line in lines]})
        return
    shown = Table("lane", "state", "calls", "tokens", "money", "of", box=None, header_style="dim")
    for lane in found:
        spent = lane.budget
        amounts = [str(spent.calls), str(spent.tokens), str(spent.money)]
        shown.add_row(lane.status.lane, lane.status.state.value, *amounts, OF[spent.period])
    console.out.print(shown)


def _whole(amount: float) -> str:
    """An amount with all its figures: what is noted in the evidence is what was set."""
    return f"{amount:,.0f}" if amount == int(amount) else repr(amount)
