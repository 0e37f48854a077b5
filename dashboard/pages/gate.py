"""The gate: which rules reject how much, and examples."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute

from dashboard import charts, ranges
from dashboard.desk import Desk
from dashboard.kept import Kept
from dashboard.ranges import Range
from evidence.views import period, runs
from evidence.views.runs import RunFilter, RunRow
from replay.contracts import Tier

_EXAMPLES = 2
_MOST = 60
FAMILIES = {
    "transport": "The reply did not arrive whole.",
    "form": "The reply is not in the answer's form.",
    "citations": "It points to what was not shown, or quotes it wrongly.",
    "literals": "It names a value, path or name that what it cites does not have.",
    "binding": "What it cites is about another thing.",
    "polarity": "It says the opposite of what it cites.",
    "verdict": "Its verdict does not follow from what it found.",
    "support": "What it cites backs too little of it.",
    "coverage": "It leaves out something that was asked.",
    "echo": "It repeats an example instead of answering.",
}


@dataclass(frozen=True)
class Rule:
    """A rule at work.

    Attributes:
        family: What its family objects to, in words.
        local: Attempts of this tier that it objected to; `escalation` likewise.
        share: Of the judged attempts.
        examples: The latest runs that it objected to.
    """

    rule: str
    family: str
    local: int
    escalation: int
    share: float
    examples: tuple[RunRow, ...]

    @property
    def attempts(self) -> int:
        """Of both tiers."""
        return self.local + self.escalation


@dataclass(frozen=True)
class Judged:
    """What the gate did with the answers of a tier."""

    tier: str
    judged: int
    accepted: int

    @property
    def rejected(self) -> float | None:
        """Their share."""
        return 1 - self.accepted / self.judged if self.judged else None


@dataclass(frozen=True)
class View:
    """The gate over a stretch of time."""

    range: str
    tiers: tuple[Judged, ...]
    rules: tuple[Rule, ...]
    charts: dict[str, Any]


def look(desk: Desk, wanted: Range, kept: Kept[View]) -> View:
    """Take one look."""
    with desk.views() as db:
        if db is None:
            return View(wanted.name, (), (), {})
        return kept.get(wanted.name, desk.follower.progress.seq, wanted.good_for_s, partial(_told, db, wanted))


def _told(db: sqlite3.Connection, wanted: Range) -> View:
    since, until = wanted.bounds()
    found = period.series(db, since, until, wanted.step_s)
    over = period.objections_over(db, since, until, wanted.step_s)
    whole = {tier: found.whole(tier) for tier in Tier}
    judged = sum(one.judged for one in whole.values())
    counted = sorted(period.objections(db, since, until).items(), key=lambda rule: (-sum(rule[1].values()), rule[0]))
    rules = tuple(
        Rule(
            rule,
            FAMILIES.get(rule.partition(".")[0], ""),
            tiers[Tier.LOCAL],
            tiers[Tier.ESCALATION],
            sum(tiers.values()) / judged if judged else 0.0,
            runs.page(db, RunFilter(rule=rule), limit=_EXAMPLES).rows,
        )
        for rule, tiers in counted[:_MOST]
    )
    tiers = tuple(Judged(tier, one.judged, one.accepted) for tier, one in whole.items())
    return View(wanted.name, tiers, rules, charts.gate(found, over))


def routes(desk: Desk) -> list[BaseRoute]:
    """The page and its twin."""
    kept: Kept[View] = Kept()

    def take(request: Request) -> View:
        return look(desk, ranges.asked(request, "24h"), kept)

    return [*desk.view("/gate", "pages/gate.html", take)]
