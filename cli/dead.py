"""`replay dead`: the messages that could not be run, and what is to become of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from broker.connection import connect
from cli.output import bare, console
from producer import letters, requeue
from producer.letters import Lying, harmless
from producer.requeue import Dealt, Fate
from replay.contracts import DeadLetter
from replay.errors import InputError
from replay.settings import Settings

app = typer.Typer(
    help="Messages that could not be run: look at them, requeue or discard them. Alone it lists them, as `list` does."
)

Names = Annotated[
    list[str] | None, typer.Argument(help="Ids from `replay dead list`, or unambiguous beginnings of them.")
]
Cause = Annotated[str | None, typer.Option("--cause", help="Only letters whose cause begins so, e.g. `poison:`.")]
Everything = Annotated[bool, typer.Option("--all", help="All letters.")]


@app.command("list")
def list_letters(
    cause: Cause = None,
    count: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many of the newest.")] = 50,
    as_json: console.AsJson = False,
) -> None:
    """List dead letters, the newest last: when, which, on which queue, of which run, and why.

    Example: replay dead list --cause poison:
    """
    with connect(Settings()) as broker:
        shown, older = letters.newest(broker, count, cause=cause)
    if as_json:
        console.print_json([_as_value(letter) for letter in shown])
        return
    if not shown:
        console.out.print("no dead letters" + (f" with a cause that begins with {cause!r}" if cause else ""))
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("at", "id", "queue", "run", "cause"):
        table.add_column(column, no_wrap=column in {"id", "run"}, overflow="fold")
    for letter in shown:
        run_id = letters.run_id_of(letter) or "-"
        table.add_row(*(harmless(text) for text in (letter.recorded_at, letter.id, letter.queue, run_id, letter.cause)))
    console.out.print(table)
    if older:
        console.note(f"{older} older ones are not shown: -n {older + len(shown)} shows them")


bare.shows(app, list_letters)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An id from `replay dead list`, or an unambiguous beginning of one.")],
    as_json: console.AsJson = False,
) -> None:
    """Show one dead letter with its message, decoded; nothing in it can steer the terminal.

    Example: replay dead show dead_5f0c
    """
    with connect(Settings()) as broker:
        [lying] = letters.choose(broker, [name])
    letter = lying.letter
    if as_json:
        console.print_json(_as_value(letter) | {"message": letters.readable(letter)})
        return
    for field, value in _as_value(letter).items():
        console.out.print(harmless(f"{field:13} {value if value is not None else '-'}"), soft_wrap=True)
    if not letters.is_whole(letter):
        console.note(f"of its {letter.payload_bytes} bytes the first {len(letters.payload(letter))} were kept")
    console.out.print(letters.readable(letter), soft_wrap=True)


@app.command("requeue")
def requeue_letters(
    names: Names = None, cause: Cause = None, everything: Everything = False, as_json: console.AsJson = False
) -> None:
    """Give the runs of dead letters another chance, once their cause is mended.

    A run that has not ended goes back to its queue, with no start counted. A run that has ended as failed, as every
    poisoned one has, is made again as a new run in its place: `replay results` then shows the new end, and the first
    one stays in the evidence. What was done is recorded there too. Exit code 1 when a letter was left where it lies.

    Example: replay dead requeue --cause poison:
    """
    settings = Settings()
    with connect(settings) as broker:
        desk = requeue.Desk(settings, broker)
        dealt = [
            desk.requeue(lying)
            for lying in _chosen(letters.choose(broker, names or (), cause=cause, everything=everything))
        ]
    _report(dealt, as_json)


@app.command()
def discard(
    names: Names = None, cause: Cause = None, everything: Everything = False, as_json: console.AsJson = False
) -> None:
    """Take dead letters off the queue for good; their copies, and that you did it, stay in the evidence.

    A run that a batch still owes is enqueued again from its manifest: to end it, cancel the batch.

    Example: replay dead discard dead_5f0c
    """
    settings = Settings()
    with connect(settings) as broker:
        desk = requeue.Desk(settings, broker)
        chosen = letters.choose(broker, names or (), cause=cause, everything=everything)
        dealt = [desk.discard(lying) for lying in _chosen(chosen)]
    _report(dealt, as_json)


def _chosen(found: Sequence[Lying]) -> Sequence[Lying]:
    if not found:
        raise InputError("no dead letter fits", hint="`replay dead list` shows what there is.")
    return found


def _report(dealt: Sequence[Dealt], as_json: bool) -> None:
    if as_json:
        console.print_json([dataclasses.asdict(one) for one in dealt])
    else:
        for one in dealt:
            console.out.print(harmless(_in_words(one)), soft_wrap=True)
    if any(one.fate is Fate.LEFT for one in dealt):
        raise typer.Exit(1)


def _in_words(one: Dealt) -> str:
    match one.fate:
        case Fate.LEFT:
            return f"{one.letter_id} left: {one.why}"
        case Fate.DISCARDED:
            return f"{one.letter_id} discarded"
        case Fate.REPEATED:
            return f"{one.letter_id}: {one.run_id} had ended; made again as {one.new_run_id}, on {one.queue}"
        case Fate.REQUEUED:
            return f"{one.letter_id}: {one.run_id or 'its message'} is back on {one.queue}"


def _as_value(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "recorded_at": letter.recorded_at,
        "queue": letter.queue,
        "cause": letter.cause,
        "run_id": letters.run_id_of(letter),
        "batch_id": letters.batch_id_of(letter),
        "payload_bytes": letter.payload_bytes,
        "whole": letters.is_whole(letter),
    }
