"""`replay gate audit`: how far the claims of a batch are backed by what they cite, and by what."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli import history
from cli.history import Aside
from cli.output import console
from replay.errors import InputError
from replay.settings import Settings
from replay.study import auditing
from replay.study.auditing import AuditReport, Backing
from replay.study.visible import json_line, one_line


def audit(
    batch: Annotated[
        str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All the evidence in place of one batch.")] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Measure each answer anew with today's scorer, in place of what is recorded."),
    ] = False,
    most: Annotated[int, typer.Option("-n", "--most", min=0, help="Records and claims to list.")] = 10,
    as_json: console.AsJson = False,
) -> None:
    """Report how far claims are backed by what they cite: wholly, in part, not at all; by which records.

    The auditor measures every answer, accepted or not, and decides nothing. The least backed claims are listed;
    `replay gate explain` lays one of them open.

    Example: replay gate audit --all
    """
    if everything and batch is not None:
        raise InputError("a batch and --all exclude each other", hint="Give one of them.")
    settings = Settings()
    evidence = history.reader(settings)
    batch_id = None if everything else history.batch_of(evidence, settings, batch)
    aside = Aside()
    report = auditing.report(history.runs(evidence, batch_id, aside), again=again, most=most)
    if as_json:
        print(json_line({"batch_id": batch_id, **report.wire(), "left_aside": vars(aside)}))
    else:
        _print(report, batch_id)
    if told := aside.told():
        console.note(told)


def _print(report: AuditReport, batch_id: str | None) -> None:
    say = console.out.print
    say(f"{batch_id or 'all the evidence'}: {report.records} records, {report.answers} with an answer", soft_wrap=True)
    if report.without_answer:
        say(f"without an answer, and so without a claim: {report.without_answer}")
    if report.silent:
        say(f"answers without a finding: {report.silent}")
    if report.unaudited:
        say(f"answers judged by a gate that made no audit: {report.unaudited}; --again measures them")
    if not report.total.claims:
        return
    say()
    say(_backing(report))
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.kinds.items())
    say(f"\nclaims that some record of this kind backs: {kinds or 'none'}; backed by none: {report.unbacked}")
    if report.backers:
        say()
        say(_backers(report))
    if report.least:
        say("\nleast backed:")
    for claim in report.least:
        head = f"{claim.score:.2f}  {claim.attempt_id}  {claim.tier.value} {claim.state.value}"
        say(f"{head}  {one_line(claim.custom_id, 80)}", soft_wrap=True)
        say(f"      {one_line(claim.claim, 240)}", soft_wrap=True)
        if claim.unsupported:
            spans = "; ".join(one_line(span, 120) for span in claim.unsupported[:6])
            say(Text(f"      not backed: {spans}", style="yellow"), soft_wrap=True)


def _backing(report: AuditReport) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("claims of")
    for name in ("claims", "wholly", "partly", "not", "mean score"):
        table.add_column(name, justify="right")
    for (tier, state), backing in report.groups.items():
        table.add_row(f"{tier.value}, {state.value}", *_cells(backing))
    table.add_row(Text("all", style="bold"), *_cells(report.total))
    for scorer, backing in report.scorers.items():
        table.add_row(Text(f"measured by {one_line(scorer, 60)}", style="dim"), *_cells(backing))
    return table


def _cells(backing: Backing) -> tuple[str, ...]:
    mean = "-" if backing.mean is None else f"{backing.mean:.3f}"
    return str(backing.claims), str(backing.wholly), str(backing.partly), str(backing.not_at_all), mean


def _backers(report: AuditReport) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("backs", justify="right")
    for name in ("kind", "record", "where"):
        table.add_column(name, overflow="fold")
    for backer in report.backers:
        where = Text(one_line(backer.place, 120))
        table.add_row(str(backer.claims), backer.kind, Text(one_line(backer.record_id, 80)), where)
    return table
