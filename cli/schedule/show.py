"""`replay schedule list`, `show` and `next`: what recurs, what came of it, and what comes next."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

import typer
from rich.table import Table

from broker import heartbeat
from broker.connection import connect
from cli.output import console
from producer.scheduler import ROLE
from producer.schedules import times
from producer.schedules.entry import Entry
from producer.schedules.store import Schedules
from replay.errors import ReplayError
from replay.settings import Settings

_NEXT_OF_LIST = 3
_NEXT_OF_ONE = 5


@dataclass(frozen=True, order=True)
class Coming:
    """A run that is to come.

    Attributes:
        runs_at: When it begins, jitter included.
        name: Of its entry.
        due: When it is due.
    """

    runs_at: datetime
    name: str
    due: datetime


def coming(entries: Iterable[Entry], now: datetime, count: int) -> Iterator[Coming]:
    """The next runs of all entries that are not paused, the soonest first."""
    runs = [_runs(entry, now) for entry in entries if not entry.paused]
    return islice(heapq.merge(*runs), count)


def _runs(entry: Entry, now: datetime) -> Iterator[Coming]:
    # What is due already may wait for its jitter; what does not begins at the scheduler's next round, if at all.
    begun = max(entry.done_until, now - timedelta(seconds=entry.jitter_s))
    for due in times.upcoming(entry.cron, entry.timezone, begun):
        if (at := entry.runs_at(due)) > now:
            yield Coming(at, entry.name, due)


def list_entries(as_json: console.AsJson = False) -> None:
    """List recurring replays: when they run next, jitter included, and what the last run became.

    Exit code 1 when the file of one cannot be read.

    Example: replay schedule list
    """
    settings = Settings()
    now = datetime.now(UTC)
    entries, damaged = _read(settings)
    if as_json:
        console.print_json(
            {
                "schedules": [as_value(entry, now) for entry in entries],
                "damaged": [{"name": name, "error": error.message} for name, error in damaged],
            }
        )
    elif entries:
        table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
        for column in ("name", "cron", "tasks", "next", "last", "batch", ""):
            table.add_column(column, justify="right" if column == "tasks" else "left", overflow="fold")
        for entry in entries:
            run = next(coming([entry], now, 1), None)
            last, batch = (local(entry, entry.last.at), entry.last.batch_id) if entry.last else ("-", "-")
            next_at = local(entry, run.runs_at) if run else "-"
            state = "paused" if entry.paused else entry.trouble or ""
            table.add_row(entry.name, entry.cron, f"{entry.tasks:,}", next_at, last, batch, state)
        console.out.print(table)
    elif not damaged:
        console.out.print(f"no schedule in {settings.schedules_dir.absolute()}; `replay schedule add` makes one")
    for _, error in damaged:
        console.print_error(error)
    if entries and not as_json:
        _note_scheduler(settings)
    if damaged:
        raise typer.Exit(1)


def show(name: Annotated[str, typer.Argument(help="Its name.")], as_json: console.AsJson = False) -> None:
    """Show one recurring replay: what runs and how, its next times, its last run, and why what is due does not run.

    Example: replay schedule show nightly
    """
    now = datetime.now(UTC)
    entry = Schedules(Settings().schedules_dir).get(name)
    if as_json:
        console.print_json(as_value(entry, now, _NEXT_OF_ONE))
        return
    options = {
        "local only": entry.local_only,
        "no retrieval": not entry.retrieval,
        "answers may be reused": entry.reuse,
        f"priority {entry.priority}": entry.priority is not None,
        f"tags {', '.join(entry.tags)}": bool(entry.tags),
        "paused": entry.paused,
    }
    limit = {"all": f", {entry.catch_up_most} at most", "skip": f", {entry.grace_s:,} s after its time"}
    last = entry.last
    ran = f"due {local(entry, last.due)}, submitted {local(entry, last.at)} as {last.batch_id}" if last else "-"
    for words, value in (
        ("name", entry.name),
        ("cron", f"{entry.cron} ({entry.timezone})"),
        ("tasks", f"{entry.tasks:,} of {entry.source}, sha256 {entry.tasks_sha256}"),
        ("options", ", ".join(words for words, holds in options.items() if holds) or "-"),
        ("jitter", f"up to {entry.jitter_s:,} s"),
        ("catch up", f"{entry.catch_up}{limit.get(entry.catch_up, '')}"),
        ("last run", ran),
        ("left out", f"what was due up to {local(entry, entry.missed)}" if entry.missed else "-"),
        ("trouble", entry.trouble or "-"),
    ):
        console.out.print(f"{words:10} {value}", soft_wrap=True)
    for run in coming([entry], now, _NEXT_OF_ONE):
        console.out.print(f"{'next':10} {local(entry, run.runs_at)}")


def next_runs(
    count: Annotated[int, typer.Option("-n", "--lines", min=1, max=10_000, help="How many.")] = 10,
    as_json: console.AsJson = False,
) -> None:
    """Say when all recurring replays run next, jitter included, the soonest first; paused ones do not.

    Example: replay schedule next -n 20
    """
    now = datetime.now(UTC)
    entries, damaged = _read(Settings())
    zones = {entry.name: entry for entry in entries}
    runs = list(coming(entries, now, count))
    if as_json:
        console.print_json([_run_as_value(run) | {"name": run.name} for run in runs])
    elif runs:
        for run in runs:
            console.out.print(f"{local(zones[run.name], run.runs_at)}  {run.name}")
    else:
        console.out.print("nothing is to come")
    for _, error in damaged:
        console.print_error(error)
    if damaged:
        raise typer.Exit(1)


def as_value(entry: Entry, now: datetime, count: int = _NEXT_OF_LIST) -> dict[str, Any]:
    """An entry as JSON, with its next runs."""
    return entry.wire() | {"next": [_run_as_value(run) for run in coming([entry], now, count)]}


def local(entry: Entry, moment: datetime) -> str:
    """A moment as people of the entry's time zone write it."""
    there = moment.astimezone(times.zone(entry.timezone))
    return f"{there:%a %Y-%m-%d %H:%M:%S} {there.tzname()}"


def _run_as_value(run: Coming) -> dict[str, str]:
    return {"due": times.written(run.due), "runs_at": times.written(run.runs_at)}


def _read(settings: Settings) -> tuple[list[Entry], list[tuple[str, ReplayError]]]:
    entries, damaged = [], []
    for name, found in Schedules(settings.schedules_dir).each():
        if isinstance(found, Entry):
            entries.append(found)
        else:
            damaged.append((name, found))
    return entries, damaged


def _note_scheduler(settings: Settings) -> None:
    try:
        with closing(connect(settings, patience=0)) as broker:
            lives = any(ROLE in beat.role.split("+") for beat in heartbeat.alive(broker))
    except ReplayError:
        lives = False
    if not lives:
        console.note("no scheduler gives a sign of life, so nothing runs: `replay up` or `replay worker scheduler`")
