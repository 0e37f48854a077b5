"""How a comparison of arms is drawn: its numbers in one table, each two arms in another, some tasks side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cli.ab.study import Pair, Study
from cli.output import console
from replay.contracts import State
from replay.study.arms import Arm, ArmScore
from replay.study.comparison import Comparison
from replay.study.scoring import Share

Row = tuple[str, ...]

_PAIRS_HEADER = ("first against second", "counted", "tasks", "both", "only the first", "only the second", "p")
_SIDE_HEADER = ("", "names as its source", "claimed → found", "answer", "gate")
_MOST_NAMED = 10
_MOST_WRITTEN = 60

_INTRODUCTION = """\
# With evidence, from memory, and without a model

The same tasks in each arm, judged by the same gate; written by `replay ab --markdown`. Shares carry their 95 % interval
(Wilson). *Wrong* is an answer that the gate accepted and the known answer contradicts. *Invented* is a source that
neither the evidence nor the corpus has, or a value that does not stand in the source it is said to stand in. From
memory nothing can be accepted, for there is nothing to cite, so *right answer, gate aside* also counts the answers that
the gate held back. *p* is that of McNemar's exact test: how likely arms that are equally good differ at least so much.
Seconds are those of each run, waiting for other requests in the model server included.
"""
_SIDE_BY_SIDE = """\
## Side by side

What the model names and reports, as it is, also where it is bad. *Grounded*: the place exists and says what is
reported.
"""


def print_study(study: Study, show: int) -> None:
    """Print a study, and this many of its tasks side by side."""
    for pair in study.pairs[:show]:
        console.out.print(Text(pair.task, style="bold"))
        _print_table(_SIDE_HEADER, side_by_side(pair), [_style(pair, arm) for arm in pair.results])
        console.out.print()
    arms = study.comparison.arms
    _print_table(("", *(arm.arm.label for arm in arms)), summary(arms))
    if study.comparison.pairs:
        console.out.print()
        _print_table(_PAIRS_HEADER, paired(study.comparison))
    invented = study.inventions
    if invented:
        console.out.print("\ninvented:", style="dim")
        for custom_id, arm, phrase in invented[:_MOST_NAMED]:
            console.out.print(Text(f"  {custom_id}, {arm.label}: {phrase}"), soft_wrap=True)
        if len(invented) > _MOST_NAMED:
            console.out.print(f"  and {len(invented) - _MOST_NAMED} more: --json lists them all", style="dim")
    console.out.print(f"\n{study.conditions.sentence()}", style="dim", soft_wrap=True)


def as_markdown(study: Study, show: int, plot: str | None = None) -> str:
    """A study as a document: the arms first, then this many tasks side by side.

    Args:
        study: It.
        show: Tasks to show.
        plot: Address of its plot, as the document sees it.
    """
    arms = study.comparison.arms
    parts = [_INTRODUCTION, f"{study.conditions.sentence()}\n"]
    if plot is not None:
        parts.append(f"![Right, wrong and undecided in each arm]({plot})\n")
    parts += [*_markdown(("", *(arm.arm.label for arm in arms)), summary(arms)), ""]
    if study.comparison.pairs:
        parts += [*_markdown(_PAIRS_HEADER, paired(study.comparison)), ""]
    if show:
        parts.append(_SIDE_BY_SIDE)
    for pair in study.pairs[:show]:
        parts += [f"### {_cell(pair.task)}", "", *_markdown(_SIDE_HEADER, side_by_side(pair)), ""]
        quote = next((result.quote for result in pair.results.values() if result.quote), None)
        if quote:
            parts.append(f"The line that is cited first: `{quote}`\n")
    if invented := study.inventions:
        parts.append("## Invented\n")
        rows = [(custom_id, arm.label, phrase) for custom_id, arm, phrase in invented[:_MOST_WRITTEN]]
        parts += [*_markdown(("task", "arm", "what"), rows), ""]
        if len(invented) > _MOST_WRITTEN:
            parts.append(f"And {len(invented) - _MOST_WRITTEN} more.\n")
    return "\n".join(parts).rstrip("\n") + "\n"


def seen_from(document: Path, file: Path) -> str:
    """The address of a file in a document."""
    return Path(os.path.relpath(file, document.parent)).as_posix()


def summary(arms: Sequence[ArmScore]) -> Iterator[Row]:
    """A row for each number, a column for each arm."""

    def row(name: str, cells: Iterator[str]) -> Row:
        return (name, *cells)

    yield row("accepted by the gate", (_share(arm.accepted) for arm in arms))
    known = [arm.known for arm in arms]
    if any(known):
        yield row("**right**", (_share(one.right) if one else "" for one in known))
        yield row("right, on the deciding line", (_share(one.on_line) if one else "" for one in known))
        yield row("**wrong** (false accepts), of all", (_share(one.wrong) if one else "" for one in known))
        yield row("wrong, of the accepted", (_share(one.wrong_of_accepted) if one else "" for one in known))
        yield row("undecided", (_share(one.undecided) if one else "" for one in known))
        yield row("right answer, gate aside", (_share(one.says_right) if one else "" for one in known))
    else:
        yield row("undecided", (_share(arm.undecided) for arm in arms))
    yield row("tasks with something invented", (_share(arm.inventing) for arm in arms))
    yield row("inventions", (str(arm.inventions) for arm in arms))
    if any(arm.failed for arm in arms):
        yield row("no answer came (in no share)", (str(arm.failed) for arm in arms))
    yield row("median seconds a task", ("" if arm.median_s is None else _seconds(arm.median_s) for arm in arms))
    yield row("tokens read, written", (f"{arm.prompt_tokens:,}, {arm.completion_tokens:,}" for arm in arms))


def paired(comparison: Comparison) -> Iterator[Row]:
    """A row for each two arms and each thing counted."""
    for pair in comparison.pairs:
        counts = (pair.tasks, pair.both, pair.only_first, pair.only_second)
        p_value = f"{pair.p_value:.2g}" if pair.p_value >= 1e-4 else f"{pair.p_value:.0e}"
        yield (f"{pair.first.label} against {pair.second.label}", pair.measure, *map(str, counts), p_value)


def side_by_side(pair: Pair) -> Iterator[Row]:
    """A row for each arm of a task."""
    for arm, result in pair.results.items():
        values = f"{result.expected} → {result.found}" if result.found is not None else ""
        mark = "" if pair.known is None else " ✓" if pair.outcomes[arm].says_right else " ✗"
        said = f"{result.ruling}{mark}" if result.ruling else "unreadable"
        yield (arm.label, result.citation or "nothing", values, said, _gate(pair, arm))


def _gate(pair: Pair, arm: Arm) -> str:
    result, outcome = pair.results[arm], pair.outcomes[arm]
    if result.state == State.ACCEPTED:
        return "grounded"
    rules = ", ".join(dict.fromkeys(reason.partition(":")[0] for reason in result.reasons))
    return f"{'invented' if outcome.invented else result.state}: {rules}"


def _style(pair: Pair, arm: Arm) -> str:
    outcome = pair.outcomes[arm]
    return "bold red" if outcome.wrong else "green" if outcome.accepted else "yellow"


def _print_table(header: Row, rows: Iterator[Row], last: Sequence[str] = ()) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in header:
        table.add_column(column, overflow="fold")
    for number, cells in enumerate(rows):
        texts = [Text(cell.replace("**", "")) if not last else Text(cell) for cell in cells]
        if last:
            texts[-1].stylize(last[number])
        table.add_row(*texts)
    console.out.print(table)


def _markdown(header: Row, rows: Iterator[Row] | Sequence[Row]) -> Iterator[str]:
    for cells in (header, ("---",) * len(header), *rows):
        yield "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\r", " ").replace("\n", " ")


def _share(share: Share) -> str:
    if not share.of:
        return "0 of 0"
    low, high = share.interval
    return f"{share.hits} of {share.of}: {100 * share.value:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.3f}"
