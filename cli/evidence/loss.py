"""`replay evidence accept-loss`: go on with a log that lost what its checkpoints promise."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Annotated

import typer

from broker.action import who
from broker.connection import connect
from broker.writer_lease import WriterLease
from cli.output import console
from evidence import loss
from evidence.loss import Accepted
from replay.errors import EvidenceLocked, InputError
from replay.settings import Settings
from workers.takeover import LeaseLost, Permit


def accept_loss(
    reason: Annotated[str, typer.Option(help="Why the records are gone for good. It stands in the log for ever.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only said what is missing.")] = False,
    as_json: console.AsJson = False,
) -> None:
    """Go on with a log that no longer holds all that its last checkpoint says, and record who decided so.

    For when a disk lost what it had promised to keep, and no backup has it. The writer must be stopped (`replay down`).
    A `replay_loss.v1` record tells what is missing, who accepted it and why; the old checkpoints are kept under another
    name, and a new file of them is begun. What is missing is owed again: `replay batch reconcile --all` enqueues it.

    Example: replay evidence accept-loss --yes --reason "disk replaced after a power cut, no newer backup"
    """
    settings = Settings()
    if not reason.strip():
        raise InputError("a loss is accepted with a reason", hint='--reason "what happened"')
    missed = loss.unmet(settings)
    if missed and not yes:
        had = max(noted.checkpoint.size for noted in missed)
        raise InputError(
            f"{settings.evidence_log} had {had} records by its last checkpoint and does not hold them all",
            hint="To go on without what is missing, give the same command again with --yes.",
        )
    with ExitStack() as held:
        permit: Callable[[], None] = _allowed
        # A writer on another host is not known by the lock file. An embedded broker has no other hosts.
        if settings.broker_url is not None:
            client = held.enter_context(closing(connect(settings)))
            asked = Permit(WriterLease(client, settings.writer_lease_s), settings.evidence_log.absolute())
            held.callback(asked.end)
            permit = asked
        try:
            accepted = loss.accept(settings, who=who(), reason=reason.strip(), permit=permit)
        except LeaseLost as lost:
            raise EvidenceLocked(
                "a writer holds the lease in the broker",
                hint=f"Stop every writer of this log, wait {settings.writer_lease_s:g} s, then try again.",
            ) from lost
    _tell(accepted, as_json)


def _allowed() -> None:
    """The lock file says it all."""


def _tell(accepted: Accepted, as_json: bool) -> None:
    kept = [str(path) for path in accepted.kept]
    if as_json:
        console.print_json({"loss": accepted.loss.wire(), "kept": kept})
        return
    told = accepted.loss
    console.out.print(f"{told.id}: the log had {told.had} records and goes on from {told.has}", soft_wrap=True)
    for path in kept:
        console.out.print(f"old checkpoints: {path}", soft_wrap=True, highlight=False)
    console.note("Start the writer again, then `replay batch reconcile --all` enqueues what is owed.")
