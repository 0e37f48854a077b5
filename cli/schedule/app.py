"""`replay schedule`: recurring replays, which the scheduler submits when they are due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.output import bare, console
from cli.schedule import show
from cli.schedule.show import as_value, coming, local
from producer.marks import Priority
from producer.schedules import times
from producer.schedules.adding import copied
from producer.schedules.entry import GRACE_S, MOST, CatchUp, Entry, check_jitter, check_name
from producer.schedules.store import Schedules
from replay.errors import InputError
from replay.settings import Settings

app = typer.Typer(
    help="Recurring replays: add, list, look at, pause, resume and remove them; what comes next. Alone it lists them."
)

Name = Annotated[str, typer.Argument(help="Its name.")]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A new name: small letters, digits, dots, hyphens, underscores.")],
    cron: Annotated[
        str, typer.Argument(help="When: '30 3 * * MON-FRI' (minute, hour, day, month, day of the week), or @daily.")
    ],
    file: Annotated[str, typer.Argument(help="JSON lines as for `replay submit`; copied. `-` is stdin.")],
    timezone: Annotated[str, typer.Option("--timezone", help="In which the times are meant: Europe/Berlin.")] = "UTC",
    local_only: Annotated[bool, typer.Option("--local-only", help="Never ask the large model.")] = False,
    no_retrieval: Annotated[
        bool, typer.Option("--no-retrieval", help="Baseline without evidence, marked as such.")
    ] = False,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="Answers that were given before may be used again; else each is made anew.")
    ] = False,
    priority: Annotated[Priority | None, typer.Option(help="Where in the queue each run is put.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="Put a tag on every task; may be given several times.")
    ] = None,
    jitter: Annotated[
        int, typer.Option(min=0, max=86400, metavar="SECONDS", help="Begin up to so much later, by name and time.")
    ] = 0,
    catch_up: Annotated[
        CatchUp,
        typer.Option(
            help="What was due while nothing ran: skip it, run the last one of it, or all of it up to --catch-up-most."
        ),
    ] = CatchUp.SKIP,
    catch_up_most: Annotated[int, typer.Option(min=1, max=1000, help="Of `all`: the newest so many.")] = MOST,
    grace: Annotated[
        int, typer.Option(min=1, metavar="SECONDS", help="Of `skip`: what is later than this is skipped.")
    ] = GRACE_S,
    as_json: console.AsJson = False,
) -> None:
    """Add a recurring replay: a file of tasks that is submitted whenever a cron expression is due.

    The file is copied, so a later change of it changes nothing. Every run is a batch of its own, and each is submitted
    once, whatever crashes. `replay up` runs the scheduler that does it.

    Example: replay schedule add nightly '30 3 * * *' tasks.jsonl --timezone Europe/Berlin --jitter 600
    """
    now = datetime.now(UTC)
    times.check(cron, timezone)
    check_jitter(cron, timezone, jitter, now)
    if any(not one.strip() for one in tag or ()):
        raise InputError("a tag is empty", hint="Give it a name: --tag nightly")
    schedules = Schedules(Settings().schedules_dir)
    check_name(name)
    with copied(file, schedules) as copy:
        entry = Entry(
            name=name,
            cron=cron,
            timezone=timezone,
            source=copy.source,
            tasks_sha256=copy.sha256,
            tasks=copy.tasks,
            local_only=local_only,
            retrieval=not no_retrieval,
            reuse=reuse,
            priority=priority,
            tags=tuple(one.strip() for one in tag or ()),
            jitter_s=jitter,
            catch_up=catch_up,
            catch_up_most=catch_up_most,
            grace_s=grace,
            created_at=now,
            done_until=now,
        )
        schedules.put(entry, copy.path)
    if as_json:
        console.print_json(as_value(entry, now))
        return
    console.out.print(f"{name}: {copy.tasks:,} tasks; the next runs:")
    for run in coming([entry], now, 3):
        console.out.print(f"  {local(entry, run.runs_at)}")


@app.command("remove")
def remove(name: Name, as_json: console.AsJson = False) -> None:
    """Take a recurring replay away. Its batches stay, and run on; an entry that cannot be read is removed, too.

    Example: replay schedule remove nightly
    """
    Schedules(Settings().schedules_dir).remove(name)
    if as_json:
        console.print_json({"removed": name})
    else:
        console.out.print(f"{name} is removed; what it submitted stays")


@app.command("pause")
def pause(name: Name, as_json: console.AsJson = False) -> None:
    """Let nothing of it run until it is resumed. Batches that it submitted go on: `replay batch pause` holds those.

    Example: replay schedule pause nightly
    """
    entry = Schedules(Settings().schedules_dir).change(name, lambda now: now.model_copy(update={"paused": True}))
    _told(entry, f"{name} is paused", as_json=as_json)


@app.command("resume")
def resume(name: Name, as_json: console.AsJson = False) -> None:
    """Let it run again from its next time on; what was due while it was paused does not run.

    Example: replay schedule resume nightly
    """
    now = datetime.now(UTC)

    def resumed(entry: Entry) -> Entry:
        if not entry.paused:
            return entry
        return entry.model_copy(update={"paused": False, "done_until": max(entry.done_until, now), "trouble": None})

    entry = Schedules(Settings().schedules_dir).change(name, resumed)
    following = next(coming([entry], now, 1), None)
    when = f"; it runs next at {local(entry, following.runs_at)}" if following else ""
    _told(entry, f"{name} is not paused{when}", as_json=as_json)


def _told(entry: Entry, words: str, *, as_json: bool) -> None:
    if as_json:
        console.print_json(as_value(entry, datetime.now(UTC)))
    else:
        console.out.print(words)


app.command("list")(show.list_entries)
bare.shows(app, show.list_entries)
app.command("show")(show.show)
app.command("next")(show.next_runs)
