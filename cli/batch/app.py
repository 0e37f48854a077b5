"""`replay batch`: what was submitted, how far it is, what came of it, and whether anything of it is missing."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from broker.connection import connect
from broker.signing import Keyring
from cli.batch import control, results, show
from cli.output import bare, console
from evidence.reader import EvidenceReader
from producer import manifest, marks, reconcile
from producer.reconcile import Account
from replay.errors import InputError
from replay.settings import Settings

app = typer.Typer(
    help="Batches: list, look at, wait for, pause, resume, retry and cancel them; their results. Alone it lists them."
)

Batch = Annotated[str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")]


@app.command("list")
def list_batches(
    count: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many of the newest.")] = 20,
    as_json: console.AsJson = False,
) -> None:
    """List batches, the newest first: when, from what, how many tasks, how many of them have ended.

    Example: replay batch list
    """
    settings = Settings()
    reader = EvidenceReader(settings.evidence_log)
    ids = manifest.known(settings.batches_dir)
    rows = [_overview(settings, reader, batch_id) for batch_id in ids[:count]]
    if as_json:
        console.print_json(rows)
        return
    if not rows:
        console.out.print(f"no batch in {settings.batches_dir.absolute()}")
        return
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("batch", "created", "source", "tasks", "ended", ""):
        table.add_column(column, justify="right" if column in {"tasks", "ended"} else "left", overflow="fold")
    for row in rows:
        is_done = row["ended"] >= row["tasks"]
        state = "cancelled" if row["cancelled"] else "done" if is_done else "paused" if row["paused"] else ""
        values = (row["batch_id"], row["created_at"], row["source"], row["tasks"], row["ended"], state)
        table.add_row(*map(str, values))
    console.out.print(table)
    if len(ids) > len(rows):
        console.note(f"{len(ids) - len(rows)} older ones are not shown: -n {len(ids)} shows them")


bare.shows(app, list_batches)
app.command("show")(show.show)
app.command("wait")(control.wait)
app.command("cancel")(control.cancel)
app.command("pause")(control.pause)
app.command("resume")(control.resume)
app.command("retry")(control.retry)
app.command("results")(results.results)


@app.command("reconcile")
def reconcile_batches(
    batch: Batch = None,
    everything: Annotated[bool, typer.Option("--all", help="Every batch that owes anything.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing; enqueue nothing.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Enqueue what a batch owes and the broker does not hold: after a broker lost its data, or to be sure of it.

    Owed is what was accepted and has no end in the evidence. Doing it again, or twice at once, runs nothing twice. The
    scheduler of `replay up` does the same all the time.

    Example: replay batch reconcile --all
    """
    settings = Settings()
    if batch is not None and everything:
        raise InputError("a batch and --all were given", hint="Leave one of them out.")
    chosen = _owing(settings) if everything else [manifest.find_id(settings.batches_dir, batch)]
    keyring = Keyring.of(settings)
    done: list[tuple[Account, int]] = []
    with connect(settings) as broker:
        for batch_id in chosen:
            if dry_run:
                done.append((reconcile.examine(batch_id, settings, broker), 0))
            else:
                made = reconcile.reconcile(batch_id, settings, broker, keyring)
                done.append((made.account, made.enqueued))
    if as_json:
        console.print_json([_as_value(account, enqueued) for account, enqueued in done])
        return
    if not done:
        console.out.print("every batch has ended: nothing is owed")
    for account, enqueued in done:
        console.out.print(_in_words(account, enqueued, dry_run=dry_run), soft_wrap=True)
    if any(account.dead for account, _ in done):
        console.note("runs whose messages died again and again are not enqueued unasked: `replay dead list` says why")


def _owing(settings: Settings) -> list[str]:
    reader = EvidenceReader(settings.evidence_log)
    known = manifest.known(settings.batches_dir)
    return [batch_id for batch_id in known if reconcile.owes(batch_id, settings, reader)]


def _overview(settings: Settings, reader: EvidenceReader, batch_id: str) -> dict[str, Any]:
    header = manifest.header(settings.batches_dir, batch_id)
    return {
        "batch_id": batch_id,
        "created_at": header.created_at,
        "source": header.source,
        "tasks": header.count,
        "ended": reconcile.ended(batch_id, settings, reader),
        "cancelled": manifest.is_cancelled(settings.batches_dir, batch_id),
        "paused": marks.is_paused(settings.batches_dir, batch_id),
        "priority": marks.priority_of(settings.batches_dir, batch_id).value,
    }


def _as_value(account: Account, enqueued: int) -> dict[str, Any]:
    return {
        "batch_id": account.batch_id,
        "accepted": account.accepted,
        "terminal": account.ended,
        "in_broker": account.in_broker,
        "dead": account.dead,
        "missing": account.missing,
        "enqueued": enqueued,
        "paused": account.paused,
    }


def _in_words(account: Account, enqueued: int, *, dry_run: bool) -> str:
    held = f", {account.dead} held back by dead letters" if account.dead else ""
    again = "" if dry_run else f", {enqueued} enqueued again"
    if account.paused:
        again += "; it is paused"
    return (
        f"{account.batch_id}: {account.accepted} accepted, {account.ended} ended, {account.in_broker} in the broker, "
        f"{account.missing} missing{held}{again}"
    )
