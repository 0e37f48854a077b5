"""`replay corpus admit`: accepted evidence into the corpus, each decision explained and kept as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cli import history
from cli.corpus.admission import Done, admit_evidence, barred_texts
from cli.corpus.compact import compact_in_background
from cli.output import console
from evidence.export import Chosen
from replay.corpus.admission.decision import Decision, Outcome, Plan
from replay.corpus.admission.guard import Barred
from replay.corpus.admission.policy import Policy
from replay.corpus.admission.utility import utility
from replay.errors import InputError
from replay.settings import Settings

SHOWN = 20
USUAL = Policy()

Bars = Annotated[
    list[Path] | None,
    typer.Option(
        "--bar", metavar="FILE", help="Tasks that must not come in, nor what nearly says them; again for more."
    ),
]


def admit(
    batch: Annotated[str | None, typer.Option(help="Decide about the runs of this batch alone.")] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Decide about runs that ended then or later: 2026-11-24, or a time."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--all", help="Decide about every run; so it is without any of the three.")
    ] = False,
    bar: Bars = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Explain every decision, and change nothing.")] = False,
    max_depth: Annotated[
        int, typer.Option("--policy-depth", help="How many answers a record may be away from the sources.")
    ] = USUAL.max_depth,
    per_file: Annotated[
        int, typer.Option("--policy-per-file", help="How many admitted records may rest on one source file.")
    ] = USUAL.per_file,
    min_uses: Annotated[
        int, typer.Option("--policy-min-uses", help="How many tasks with a record, and without, tell its utility.")
    ] = USUAL.min_uses,
    least_utility: Annotated[
        float,
        typer.Option("--policy-least-utility", help="Pass rate with a record minus without, below which it goes."),
    ] = USUAL.least_utility,
    warnings: Annotated[
        bool, typer.Option("--policy-warnings", help="Make warnings of what the large model failed at.")
    ] = USUAL.warnings,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Name every decision, and what each record is worth.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Take accepted answers into the corpus as worked examples, and take out records that do harm.

    An answer of the local model alone waits until another run confirms it or a person accepts it. What is admitted,
    withdrawn or demoted becomes one new version, and a line of evidence each; doing it again changes nothing.

    Example: replay corpus admit --bar data/study/probe.jsonl --dry-run
    """
    settings = Settings()
    if sum((batch is not None, since is not None, whole)) > 1:
        raise InputError("--batch, --since and --all exclude each other", hint="Name the runs in one way.")
    policy = Policy(
        max_depth=max_depth,
        per_file=per_file,
        least_utility=least_utility,
        min_uses=min_uses,
        warnings=warnings,
    )
    barred = Barred(barred_texts(bar or ()), policy.barred_similarity)
    evidence = history.reader(settings)
    name = history.batch_of(evidence, settings, batch) if batch is not None else None
    chosen = Chosen(name, since=_time(since) if since is not None else None)
    done = admit_evidence(settings, evidence, policy, barred, chosen, dry_run=dry_run)
    if as_json:
        console.print_json(done.wire(policy))
    else:
        show(done, verbose=verbose)
    if done.published:
        compact_in_background(settings)


def show(done: Done, *, verbose: bool) -> None:
    """For people: what changes first, then why the rest does not."""
    shown = [one for outcome in Outcome for one in _of(done, outcome, verbose=verbose)]
    if shown:
        console.out.print(_table(shown))
    if verbose and done.plan.worth:
        console.out.print(_worth(done.plan))
    counts = done.plan.counts()
    hidden = len(done.plan.decisions) - len(shown)
    if hidden:
        console.note(f"{hidden:,} more decisions; --verbose names all")
    if done.plan.aside:
        aside = ", ".join(f"{count:,} {why}" for why, count in sorted(done.plan.aside.items()))
        console.note(f"left aside: {aside}")
    if done.unreadable:
        console.note(f"{done.unreadable:,} records are of a form that this version cannot read")
    told = ", ".join(f"{counts[outcome]:,} {outcome.value}" for outcome in Outcome)
    went = "nothing was changed: a dry run" if done.dry_run else f"corpus {done.version}"
    as_before = "" if done.published or done.dry_run else ", as before"
    console.out.print(f"{told}; {went}{as_before}", soft_wrap=True)


def _of(done: Done, outcome: Outcome, *, verbose: bool) -> Sequence[Decision]:
    found = [one for one in done.plan.decisions if one.outcome is outcome]
    if verbose:
        return found
    return found[: 0 if outcome is Outcome.KNOWN else SHOWN]


def _table(decisions: Sequence[Decision]) -> Table:
    table = Table("decision", "record", "whose word", "depth", "claim", "why", box=None, header_style="dim")
    for one in decisions:
        found = one.candidate
        table.add_row(one.outcome.value, one.record_id, one.basis.value, str(found.depth), found.claim[:80], one.why)
    return table


def _worth(plan: Plan) -> Table:
    table = Table(
        "record", "tasks with it", "passed", "without", "passed", "among", "utility", box=None, header_style="dim"
    )
    for record_id, counts in plan.worth.items():
        value = utility(counts)
        said = "-" if value is None else f"{100 * value:+.0f} points"
        numbers = (counts.uses, counts.passed, counts.baseline_uses, counts.baseline_passed)
        table.add_row(record_id, *map(str, numbers), counts.among, said)
    return table


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"--since {text!r} is no time", hint="Give a date or a time as 2026-11-24 or 2026-11-24T20:00+01:00; UTC."
        ) from error
