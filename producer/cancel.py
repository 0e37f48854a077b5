"""Cancelling a batch: what waits ends as `cancelled` when a worker takes it; what has ended stays as it is."""

from __future__ import annotations

import redis
from redis.exceptions import RedisError

from broker import cancelled
from broker.connection import connect
from evidence.ledger import BatchLedger
from evidence.reader import EvidenceReader
from producer import manifest
from producer.manifest import Batch
from replay.errors import BrokerUnavailable
from replay.settings import Settings


def cancel(batch: Batch, settings: Settings, client: redis.Redis | None = None) -> int:
    """Cancel a batch, durably; return how many of its tasks had not ended. Doing it again changes nothing.

    Args:
        batch: Which one.
        settings: Where batches, evidence and broker are.
        client: The broker; None: the one of the settings, asked for after the mark is made.

    Raises:
        AppendFailed: The mark could not be made durable; nothing is cancelled.
        BrokerUnavailable: The mark is made, but the workers could not be told; a reconciler tells them.
    """
    manifest.mark_cancelled(settings.batches_dir, batch.batch_id)
    try:
        cancelled.cancel(client if client is not None else connect(settings), batch.batch_id)
    except (BrokerUnavailable, RedisError) as error:
        raise BrokerUnavailable(
            f"Batch {batch.batch_id} is marked as cancelled, but the workers could not be told: {error}",
            hint="Start the broker (`replay up`) and cancel the batch again.",
        ) from error
    ledger = BatchLedger(EvidenceReader(settings.evidence_log), batch.batch_id, batch.superseded)
    return len(batch.tasks) - ledger.tally().done
