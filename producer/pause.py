"""Pausing one batch, and letting it go on: what is in work is finished, what waits is let go of by whoever takes it.

A pause is a mark beside the manifest, of which the broker is told (`broker.paused`). What a paused batch owes is known
from manifest and evidence, so resuming is taking the mark away and reconciling.
"""

from __future__ import annotations

import redis
from redis.exceptions import RedisError

from broker import paused
from broker.connection import connect
from broker.signing import Keyring
from producer import manifest, marks
from producer.reconcile import Reconciled, reconcile
from producer.turn import turn
from replay.errors import BrokerUnavailable, InputError
from replay.settings import Settings


def pause(batch_id: str, settings: Settings, client: redis.Redis | None = None, *, reason: str = "") -> None:
    """Pause a batch, also one that is being submitted. Doing it again changes nothing but the reason.

    Args:
        batch_id: Which one.
        settings: Where batches and broker are.
        client: The broker; None: the one of the settings, asked for after the mark is made.
        reason: Shown with the batch.

    Raises:
        InputError: There is no such batch, or it was cancelled.
        AppendFailed: The mark could not be made durable; nothing is paused.
        BrokerUnavailable: The mark is made, but the workers could not be told; a reconciler tells them.
    """
    manifest.header(settings.batches_dir, batch_id)
    if manifest.is_cancelled(settings.batches_dir, batch_id):
        raise InputError(f"Batch {batch_id} was cancelled.", hint="What of it has not begun ends as cancelled.")
    # Not in turn: who submits the batch holds it, and stops when it sees the mark.
    marks.pause(settings.batches_dir, batch_id, reason)
    try:
        paused.pause(client if client is not None else connect(settings), batch_id)
    except (BrokerUnavailable, RedisError) as error:
        raise BrokerUnavailable(
            f"Batch {batch_id} is marked as paused, but the workers could not be told: {error}",
            hint="Start the broker (`replay up`) and pause the batch again.",
        ) from error


def resume(batch_id: str, settings: Settings, client: redis.Redis, keyring: Keyring) -> Reconciled:
    """Let a batch go on, and enqueue what it owes, as much as its queues may hold. Of one that runs, the same.

    Raises:
        InputError: There is no such batch.
        BrokerUnavailable: It does not answer; the batch stays paused, or a reconciler enqueues what it owes.
        UnavailableError: Another process works on the batch.
        AppendFailed: The mark could not be taken back; it stays paused.
    """
    manifest.header(settings.batches_dir, batch_id)
    with turn(settings.batches_dir, batch_id):
        try:
            # Dies after this: the mark stands, a reconciler tells the broker of it again, and the batch stays paused.
            paused.forget(client, batch_id)
        except RedisError as error:
            raise BrokerUnavailable(
                f"the broker does not answer: {error}", hint="Start it with `replay up`, then resume the batch again."
            ) from error
        marks.resume(settings.batches_dir, batch_id)
    # Dies before this: it is owed, and nowhere; the scheduler enqueues it.
    return reconcile(batch_id, settings, client, keyring)
