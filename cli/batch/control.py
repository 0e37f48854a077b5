"""`replay batch cancel|pause|resume|retry|wait`: what a person does about a whole batch.

All but the waiting is noted in the evidence before it is done, with who did it.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import redis
import typer

from broker import action
from broker.action import Action
from broker.connection import connect
from broker.signing import Keyring
from cli import noting
from cli.output import console
from producer import cancel as cancelling
from producer import manifest, marks
from producer import pause as pausing
from producer import retry as retrying
from producer.reconcile import Reconciled
from replay.contracts import State
from replay.corpus.oneline import as_text
from replay.settings import Settings

Batch = Annotated[str | None, typer.Argument(help="A batch id or the beginning of one; by default the newest.")]

_Act = Literal["batch.cancel", "batch.pause", "batch.resume", "batch.retry"]


def wait(batch: Batch = None, as_json: console.AsJson = False) -> None:
    """Show a batch's progress until every task has ended. Exit code 1 when a task failed.

    What the broker loses meanwhile is enqueued again. Ctrl-C ends the watching and nothing else.

    Example: replay batch wait
    """
    settings = Settings()
    found = manifest.find(settings.batches_dir, batch)
    from cli.submit.command import wait_for  # noqa: PLC0415  it loads all that submitting needs

    end = wait_for(found, settings)
    if as_json:
        console.print_json({"batch_id": found.batch_id} | dataclasses.asdict(end))
    else:
        console.out.print(
            f"{found.batch_id}: {end.done} of {end.total} ended, {end.accepted_local + end.accepted_escalation} "
            f"accepted, {end.rejected} rejected, {end.failed} failed, {end.cancelled} cancelled"
        )
    if end.failed:
        raise typer.Exit(1)


def cancel(batch: Batch = None, as_json: console.AsJson = False) -> None:
    """Cancel a batch: its waiting tasks end as `cancelled` as soon as a worker takes them.

    What runs is finished and counts, and what has ended stays. A cancelled batch is not resumed: `replay submit FILE
    --again` runs its file as a new one. Exit code 3 when the workers could not be told; then cancel it again. `replay
    cancel` is short for this.

    Example: replay batch cancel batch_5f0c
    """
    settings = Settings()
    found = manifest.find(settings.batches_dir, batch)
    # A broker that is gone keeps nobody from cancelling: the mark is made, and the log itself takes the note.
    noting.note_anyhow(settings, _action("batch.cancel", found.batch_id))
    unfinished = cancelling.cancel(found, settings)
    if as_json:
        console.print_json({"batch_id": found.batch_id, "total": len(found.tasks), "unfinished": unfinished})
        return
    console.out.print(f"{found.batch_id} cancelled: {unfinished} of its {len(found.tasks)} tasks had not ended")
    console.note(f"how they end: replay results {found.batch_id}")


def pause(
    batch: Batch = None,
    reason: Annotated[str, typer.Option(help="Shown with the batch, and kept in the evidence.")] = "",
    as_json: console.AsJson = False,
) -> None:
    """Pause a batch: what runs is finished, and nothing more of it begins until it is resumed.

    Its messages are let go of as workers meet them; what is owed is known without them. Other batches go on. A submit
    of it that is running stops. Exit code 3 when the workers could not be told; then pause it again.

    Example: replay batch pause batch_5f0c --reason "the endpoint is needed for something else"
    """
    settings = Settings()
    reason = as_text(reason)
    batch_id = manifest.find_id(settings.batches_dir, batch)
    with connect(settings) as client:
        _note(client, settings, "batch.pause", batch_id, reason)
        pausing.pause(batch_id, settings, client, reason=reason)
    if as_json:
        console.print_json({"batch_id": batch_id, "paused": True, "reason": reason})
        return
    console.out.print(f"{batch_id} is paused; `replay batch resume` lets it go on")


def resume(batch: Batch = None, as_json: console.AsJson = False) -> None:
    """Let a paused batch go on: what it owes is enqueued again, as much as the queues may hold.

    Example: replay batch resume batch_5f0c
    """
    settings = Settings()
    batch_id = manifest.find_id(settings.batches_dir, batch)
    was_paused = marks.is_paused(settings.batches_dir, batch_id)
    keyring = Keyring.of(settings)
    with connect(settings) as client:
        _note(client, settings, "batch.resume", batch_id)
        done = pausing.resume(batch_id, settings, client, keyring)
    if as_json:
        console.print_json(_resumed(done) | {"was_paused": was_paused})
        return
    before = "goes on" if was_paused else "was not paused"
    console.out.print(f"{batch_id} {before}: {done.enqueued} enqueued, {done.account.in_broker} in the broker already")
    if left := done.account.missing - done.enqueued:
        console.note(f"{left} more are enqueued by the scheduler when there is room")


def retry(
    batch: Batch = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Also the rejected runs: after a change of model, corpus or gate.")
    ] = False,
    as_json: console.AsJson = False,
) -> None:
    """Make the failed runs of a batch once more. Their first ends stay in the evidence.

    In place of each comes a new run, with the next `repeat` number; results and progress show it from then on.

    Example: replay batch retry batch_5f0c
    """
    settings = Settings()
    batch_id = manifest.find_id(settings.batches_dir, batch)
    states = (State.FAILED, State.REJECTED) if rejected else (State.FAILED,)
    keyring = Keyring.of(settings)
    with connect(settings) as client:
        _note(client, settings, "batch.retry", batch_id, " and ".join(states))
        done = retrying.retry(batch_id, settings, client, keyring, states=states)
    if as_json:
        console.print_json({"batch_id": batch_id} | dataclasses.asdict(done))
        return
    if not done.repeated:
        console.out.print(f"{batch_id}: no run has {' or '.join(states)}; nothing is made again")
        return
    console.out.print(f"{batch_id}: {done.repeated} runs are made again, {done.enqueued} of them enqueued")


def _resumed(done: Reconciled) -> dict[str, object]:
    account = done.account
    return {
        "batch_id": account.batch_id,
        "enqueued": done.enqueued,
        "in_broker": account.in_broker,
        "left": account.missing - done.enqueued,
    }


def _note(client: redis.Redis, settings: Settings, what: _Act, batch_id: str, detail: str = "") -> None:
    noting.note(client, settings, _action(what, batch_id, detail))


def _action(what: _Act, batch_id: str, detail: str = "") -> Action:
    return Action(
        id=action.new_id(),
        action=what,
        who=action.who(),
        batch_id=batch_id,
        detail=detail,
        recorded_at=action.now(),
    )
