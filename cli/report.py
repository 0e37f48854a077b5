"""`replay report`: what was run, what came of it and what it took, to be read, printed or sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from cli.output import console
from cli.output.files import opened
from cli.output.reading_bar import ReadingBar
from cli.output.results import GoldOption
from producer import manifest
from producer.gold import read_gold
from producer.report.gathering import report as gather
from producer.report.listing import MOST
from producer.report.scope import Scope
from producer.report.writing import Format, write
from replay.errors import InputError
from replay.settings import Settings

_AGES = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def report(
    batch: Annotated[
        str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Of a period: 2026-11-24, 2026-11-24T20:00+01:00, or 7d, 12h ago."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Its end, which is not in it; by default now.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Of all evidence.")] = False,
    form: Annotated[
        Format | None, typer.Option("--format", help="By default what the name of FILE says, else markdown.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; without it, stdout.")
    ] = None,
    gold: GoldOption = None,
    runs: Annotated[int, typer.Option(min=0, help="List so many failed and so many rejected runs, the newest.")] = MOST,
) -> None:
    """Write the replay report of a batch, of a period, or of all evidence.

    It says what was run with which models, gate and corpus; how runs ended; how the escalation rate went by day, batch
    and corpus; what the gate objected to; tokens, times and cost; how answers stand against --gold; which runs failed
    or were rejected, and how to look at each; and the hash of the log that it was made from. The HTML is one file
    without a script. Memory does not grow with the evidence.

    Example: replay report --since 7d -o week.html
    """
    settings = Settings()
    scope = _scope(settings, batch, since, until, everything=everything)
    known = read_gold(gold) if gold is not None else None
    chosen = form or (Format.HTML if output is not None and output.suffix in {".html", ".htm"} else Format.MARKDOWN)
    with ReadingBar("reading the evidence", 100) as bar:
        at = 0

        def read(position: int, end: int) -> None:
            nonlocal at
            percent = 100 * position // max(1, end)
            if percent > at:
                bar.advance(percent - at)
                at = percent

        made = gather(scope, settings, known=known, on_read=read)
    with opened(output) as out:
        for piece in write(made, chosen, settings, most=runs):
            out.write(piece)
    if output is not None:
        console.note(f"{output}: {made.counts.records:,} records of evidence, up to record {made.head.seq:,}")


def _scope(settings: Settings, batch: str | None, since: str | None, until: str | None, *, everything: bool) -> Scope:
    has_period = since is not None or until is not None
    if sum((batch is not None, has_period, everything)) > 1:
        raise InputError(
            "more than one of a batch, a period and --all were given", hint="Leave all but one of them out."
        )
    if everything:
        return Scope()
    if not has_period:
        return Scope(batch_id=manifest.find_id(settings.batches_dir, batch))
    now = datetime.now(UTC)
    scope = Scope(since=_time("--since", since, now), until=_time("--until", until, now))
    if scope.since is not None and scope.until is not None and scope.since >= scope.until:
        raise InputError(f"--since {since} is not before --until {until}", hint="Change the two.")
    return scope


def _time(name: str, text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        if text[:-1].isdecimal() and text[-1:] in _AGES:
            return now - timedelta(**{_AGES[text[-1]]: int(text[:-1])})
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        # The days around it must be days, too.
        _ = (at.astimezone(UTC) - timedelta(days=2), at.astimezone(UTC) + timedelta(days=2))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{name} {text!r} is no time",
            hint="Give a date or a time as 2026-11-24 or 2026-11-24T20:00+01:00 (UTC), or an age: 30m, 12h, 7d, 2w.",
        ) from error
    return at
