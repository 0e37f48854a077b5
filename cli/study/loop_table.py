"""How the study of the loop is told: tables on a terminal, and the same as a document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from cli.output import console
from replay.study.loop.measuring import ALL, ProbePart, WorkRound
from replay.study.loop.report import Compared, Drop, LoopReport, Power
from replay.study.scoring import Share

Row = tuple[str, ...]

_WORK = (
    "arm",
    "round",
    "escalated",
    "undecidable",
    "accepted",
    "right",
    "false accepts",
    "of the accepted",
    "reachable",
    "added",
)
_CAUSES = ("arm", "round", "why the gate handed on (first reason)", "own answer in bundle", "of these escalated")
_MORE = ("of the others escalated", "a remembered line", "any produced record")
_RANDOM = ("arm", "round", "right", "at random, expected", "wrong", "at random, expected wrong", "ceiling")
_COST = ("arm", "round", "tokens a right answer", "seconds a right answer")
_PROBE = ("arm", "after round", "part", "right", "wrong", "undecided", "a remembered line", "any produced", "reachable")
_DROPS = ("arm", "escalated in the first round", "in the last", "fell by (95 % interval)", "p")
_COMPARED = ("compared", "first", "second", "counted", "part", "tasks", "both", "only first", "only second", "p")
_POWER = ("tasks of", "count", "smallest gain found", "a rate of 0 is below", "power at +10 points")

_INTRODUCTION = """\
# The loop, by rounds

Written by `replay study loop`. Shares carry their 95 % interval (Wilson); *p* is McNemar's exact test on the same
tasks. *Right* is accepted by the gate with the known ruling, a *false accept* accepted with another one. *Reachable* is
the ceiling: bundles with an accepted right choice. The probe is answered by the local side alone.
"""


def as_markdown(made: LoopReport, picture: str | None) -> str:
    """The report as a document."""
    parts = [_INTRODUCTION, f"{made.conditions.sentence()}\n"]
    if picture is not None:
        parts.append(f"![Escalation and the probe's right answers by round]({picture})\n")
    for title, header, rows in _tables(made):
        parts += [f"## {title}\n", *_markdown(header, rows), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def print_report(made: LoopReport) -> None:
    """The report on a terminal."""
    for title, header, rows in _tables(made):
        table = Table(box=None, header_style="dim", pad_edge=False, title=title, title_justify="left")
        for column in header:
            table.add_column(column, overflow="fold")
        for cells in rows:
            table.add_row(*(Text(cell) for cell in cells))
        console.out.print(table)
        console.out.print()
    console.out.print(made.conditions.sentence(), style="dim", soft_wrap=True)


def _tables(made: LoopReport) -> Iterator[tuple[str, Row, list[Row]]]:
    large = f" (large: {made.conditions.large})" if made.conditions.stand_in else ""
    works = [(arm.arm.value, counted) for arm in made.arms for counted, _ in arm.work]
    yield "What it could see, before the result", _POWER, [_power(one) for one in made.power]
    yield f"Work{large}", _WORK, [_work(arm, one) for arm, one in works]
    yield f"Escalations, first round against last{large}", _DROPS, [_drop(one) for one in made.drops]
    yield (
        f"Why the gate handed on, and what was remembered{large}",
        (*_CAUSES, *_MORE),
        [_memory(arm, one) for arm, one in works],
    )
    if any(one.at_random for _, one in works):
        yield (
            f"Against escalating as many at random, and the ceiling{large}",
            _RANDOM,
            [_random(arm, one) for arm, one in works],
        )
    if any(one.cost.tokens for _, one in works):
        yield f"Cost{large}", _COST, [_cost(arm, one) for arm, one in works]
    yield (
        f"The sealed probe{large}",
        _PROBE,
        [
            _probe(arm.arm.value, after, part)
            for arm in made.arms
            for after, (parts, _) in enumerate(arm.probe)
            for part in parts
        ],
    )
    yield f"Compared{large}", _COMPARED, [_compared(one) for one in made.compared]


def _power(one: Power) -> Row:
    gains = (
        f"{100 * gain:.1f} points ({name})" if gain is not None else f"none ({name})"
        for name, gain in one.smallest.items()
    )
    return (
        one.name,
        str(one.tasks),
        ", ".join(gains),
        f"{100 * one.least_upper:.1f} %",
        f"{one.at_ten_points:.2f}",
    )


def _work(arm: str, one: WorkRound) -> Row:
    shares = (one.escalated, one.undecidable, one.accepted, one.right, one.wrong, one.wrong_of_accepted, one.reachable)
    changed = f"+{one.added}" + (f" -{one.removed}" if one.removed else "")
    return (arm, str(one.number), *map(share_text, shares), changed)


def _memory(arm: str, one: WorkRound) -> Row:
    causes = ", ".join(f"{name} {count}" for name, count in one.causes.items())
    shares = (one.repeated, one.escalated_of_repeated, one.escalated_of_others, one.remembered, one.produced)
    return (arm, str(one.number), causes, *map(share_text, shares))


def _random(arm: str, one: WorkRound) -> Row:
    expected = ("-", "-") if one.at_random is None else (f"{one.at_random.right:.1f}", f"{one.at_random.wrong:.1f}")
    return (
        arm,
        str(one.number),
        str(one.right.hits),
        expected[0],
        str(one.wrong.hits),
        expected[1],
        share_text(one.reachable),
    )


def _cost(arm: str, one: WorkRound) -> Row:
    tokens, seconds = one.cost.tokens_per_right, one.cost.seconds_per_right
    return (
        arm,
        str(one.number),
        "-" if tokens is None else f"{tokens:,.0f}",
        "-" if seconds is None else f"{seconds:.2f}",
    )


def _probe(arm: str, after: int, part: ProbePart) -> Row:
    shares = (part.right, part.wrong, part.undecided, part.remembered, part.produced, part.reachable)
    return (arm, str(after), part.part, *map(share_text, shares))


def _drop(one: Drop) -> Row:
    fell = "-" if one.relative is None else f"{100 * one.relative:.0f} %"
    if one.low is not None and one.high is not None:
        fell += f" ({100 * one.low:.0f} to {100 * one.high:.0f})"
    return (one.arm.value, f"{one.first} of {one.tasks}", f"{one.last} of {one.tasks}", fell, _chance(one.p_value))


def _compared(one: Compared) -> Row:
    part = "all" if one.part == ALL else one.part
    counts = map(str, (one.tasks, one.both, one.only_first, one.only_second))
    return (one.what, one.first, one.second, one.counted, part, *counts, _chance(one.p_value))


def _chance(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"


def share_text(share: Share) -> str:
    """A share with its interval."""
    if not share.of:
        return "0 of 0"
    low, high = share.interval
    return f"{share.hits} of {share.of}: {100 * share.value:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


def _markdown(header: Row, rows: Sequence[Row]) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"
