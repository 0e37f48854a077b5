"""`replay study regate`: what another gate would have said of every attempt in the evidence."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import history
from cli.gate import choice
from cli.history import Aside
from cli.output import console, summary_file
from replay.gate import Gate
from replay.settings import Settings
from replay.study import regating
from replay.study.regating import Basis, Change, Changes, Regated, Report
from replay.study.visible import json_line, one_line

_LISTED = 20


def regate(
    gate: choice.Version = None,
    off: choice.Off = None,
    batch: Annotated[
        str | None, typer.Option("--batch", help="Only this batch: its id or the beginning of one. Default: all.")
    ] = None,
    basis: Annotated[
        Basis, typer.Option("--by", help="Judge the reply, read again as if it came today, or the answer as stored.")
    ] = Basis.REPLY,
    summary_json: summary_file.Option = None,
    as_json: console.AsJson = False,
) -> None:
    """Judge every attempt of the evidence again, with another gate, and show what would change. Nothing is written.

    An attempt keeps its reply, which is read again as if it came today, and the answer that was stored when it came;
    where one is missing the other serves. With --json stdout has one changed attempt a line, and the counts go to
    stderr.

    Example: replay study regate --gate gate.v3-structural --batch 9ab5
    """
    settings = Settings()
    chosen = choice.chosen(gate, off, settings)
    summary_file.check(summary_json)
    evidence = history.reader(settings)
    batch_id = history.batch_of(evidence, settings, batch) if batch is not None else None
    aside, changes = Aside(), Changes()
    first: list[Regated] = []
    for item in regating.regate(history.runs(evidence, batch_id, aside, streaming=as_json), chosen, basis):
        changes.add(item)
        if isinstance(item, Regated) and item.change is not Change.UNCHANGED:
            if as_json:
                print(json_line(item.wire()), flush=True)
            elif len(first) < _LISTED:
                first.append(item)
    report = changes.report()
    counts = {"gate_version": chosen.version, "batch_id": batch_id, **report.wire(), "left_aside": vars(aside)}
    summary_file.write(summary_json, counts)
    _print(console.err if as_json else console.out, report, chosen, first)
    if told := aside.told():
        console.note(told)


def _print(to: Console, report: Report, gate: Gate, first: list[Regated]) -> None:
    if report.rows:
        to.print(_table(report))
        to.print()
    bases = ", ".join(f"{count} by the {basis.value}" for basis, count in report.bases.items() if count)
    to.print(f"{report.attempts} attempts judged again by {gate.version}: {bases or 'none'}", soft_wrap=True)
    if report.read_otherwise:
        to.print(f"replies that read otherwise today than the answer that was stored: {report.read_otherwise}")
    for name, rules in (("came", report.came), ("went", report.went)):
        if rules:
            counts = ", ".join(f"{one_line(rule, 80)} {count}" for rule, count in rules.items())
            to.print(f"reasons that {name}: {counts}", soft_wrap=True)
    if unjudged := {why.value: count for why, count in report.unjudged.items() if count}:
        counts = ", ".join(f"{why} {count}" for why, count in unjudged.items())
        to.print(f"records with nothing to judge again: {counts}", soft_wrap=True)
    for item in first:
        to.print(_told(item), soft_wrap=True)
    if len(first) == _LISTED:
        to.print(f"the first {_LISTED} are shown; all: --json", style="dim")


def _table(report: Report) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("tier", no_wrap=True)
    table.add_column("recorded gate", overflow="fold")
    for name in ("attempts", *(change.value for change in Change)):
        table.add_column(name, justify="right")
    for row in report.rows:
        counts = (str(row.changes[change]) for change in Change)
        table.add_row(row.tier.value, Text(one_line(row.recorded_gate, 60)), str(row.attempts), *counts)
    if len(report.rows) > 1:
        totals = (str(report.count(change)) for change in Change)
        table.add_row(Text("all", style="bold"), "", str(report.attempts), *totals)
    return table


def _told(item: Regated) -> Text:
    style = {Change.NEWLY_ACCEPTED: "green", Change.NEWLY_REJECTED: "red"}.get(item.change, "yellow")
    before, after = set(item.before), item.rules
    signs = [f"-{rule}" for rule in sorted(before - after)] + [f"+{rule}" for rule in sorted(after - before)]
    return Text.assemble(
        (f"{item.change.value:15}", style),
        f"{item.attempt_id}  {item.tier.value:10} {one_line(item.custom_id, 80)}  {one_line(' '.join(signs), 400)}",
    )
