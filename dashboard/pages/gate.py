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

# Where a family's sentence says too little.
RULES = {
    "binding.argument": "The line passes a value to a call; that is no default.",
    "binding.conditional": "The line holds under a condition, or changes the value later.",
    "binding.example": "The line is shown as an example.",
    "binding.listed": "The line lists what is possible.",
    "binding.mentioned": "The value is only mentioned in a text.",
    "binding.name": "Where its source says one name, it says another.",
    "binding.negated_name": "The name in the line turns the switch round.",
    "binding.number": "The number belongs to something else in what it cites.",
    "binding.other_class": "The line says what another class is.",
    "binding.other_definition": "The line stands in another definition than the claim names.",
    "binding.other_name": "The line gives a value to another name.",
    "binding.other_package": "The record is from another package.",
    "binding.other_record": "The record is not about what the claim names.",
    "binding.other_subject": "What it cites covers too little of what the claim is about.",
    "binding.rival_line": "Another shown line is closer to the claim and says otherwise.",
    "binding.stale": "Its source has a later value.",
    "binding.stated_elsewhere": "Another line, as close to the claim, says what it refutes.",
    "binding.test_code": "The line belongs to tests or samples.",
    "binding.unset": "A None in a signature says that nothing was given.",
    "verdict.contradicts_findings": "The two values and the verdict do not agree.",
    "verdict.fail_but_literal_present": "It refutes what the cited line says.",
    "verdict.fail_by_own_word": "It refutes the claim by a word of the claim.",
    "verdict.fail_leaves_literal": "It refutes one value of the claim and leaves another.",
    "verdict.fail_of_another_kind": "What it found is no counter-value.",
    "verdict.fail_of_existence": "No line can show that something does not exist.",
    "verdict.fail_without_ground": "It refutes without a ground.",
    "verdict.pass_against_claim": "It passes, and says the opposite.",
    "verdict.pass_over_failed_check": "It passes over a failed check.",
    "verdict.pass_over_negative": "It passes over a reported failure.",
    "verdict.pass_without_literal": "It passes what the cited lines do not say.",
    "verdict.relation": "The claim denies or compares; only equality is checked.",
    "verdict.unit_unknown": "Nothing says that the two are in the same unit.",
    "verdict.unsure": "It says itself that it is unsure.",
}


@dataclass(frozen=True)
class Rule:
    """A rule at work.

    Attributes:
        family: What it, or its family, objects to, in words.
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
            RULES.get(rule) or FAMILIES.get(rule.partition(".")[0], ""),
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
