"""`/v1/batches`: create, list, retrieve, cancel."""

from __future__ import annotations

import json
import uuid
from typing import Annotated

from fastapi import APIRouter, Query

from producer.api.desk import Desk, DeskOf
from producer.api.errors import ApiError, invalid, no_batch, no_file
from producer.api.options import BadOption, Options
from producer.api.rows import BatchRow
from producer.api.shapes import (
    ENDPOINT,
    Batch,
    BatchCreate,
    BatchFault,
    BatchFaults,
    BatchList,
    BatchUsage,
    OurBatch,
    RequestCounts,
)

router = APIRouter(prefix="/v1/batches", tags=["batches"])

_WINDOW = "24h"


@router.post("")
def create_batch(wanted: BatchCreate, desk: DeskOf) -> Batch:
    """Accept a batch. Its file is checked afterwards: a batch whose file is none becomes `failed`."""
    if wanted.endpoint != ENDPOINT:
        raise _only("endpoint", ENDPOINT)
    if wanted.completion_window != _WINDOW:
        raise _only("completion_window", _WINDOW)
    try:
        Options.read(wanted.metadata)
    except BadOption as error:
        raise invalid(
            f"Invalid value of '{error.name}' in the metadata: {error.message}.", param="metadata", code="invalid_value"
        ) from None
    file = desk.store.file(wanted.input_file_id)
    if file is None:
        raise no_file(wanted.input_file_id[:64])
    if file.purpose != "batch":
        raise invalid(f"The file {file.id} was not uploaded with the purpose 'batch'.", param="input_file_id")
    now = desk.store.now()
    row = BatchRow(
        id=f"batch_{uuid.uuid4().hex}",
        created_at=now,
        expires_at=now + desk.settings.api_window_s,
        input_file_id=file.id,
        metadata=None if wanted.metadata is None else json.dumps(wanted.metadata),
        output_expires_s=wanted.output_expires_after.seconds if wanted.output_expires_after else None,
    )
    if not desk.store.add_batch(row):
        raise no_file(file.id)
    desk.keeper.wake()
    return shown(row, desk)


@router.get("")
def list_batches(desk: DeskOf, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> BatchList:
    """List batches, the newest first, a page at a time."""
    rows = desk.store.batches(after=after, limit=limit + 1)
    if rows is None:
        raise invalid(f"There is no batch {(after or '')[:64]!r} to list after.", param="after")
    data = [shown(row, desk) for row in rows[:limit]]
    return BatchList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(rows) > limit,
    )


@router.get("/{batch_id}")
def retrieve_batch(batch_id: str, desk: DeskOf) -> Batch:
    """Say how far a batch is."""
    return shown(_known(desk, batch_id), desk)


@router.post("/{batch_id}/cancel")
def cancel_batch(batch_id: str, desk: DeskOf) -> Batch:
    """Cancel a batch: what runs is finished and counts, what has not begun is not run."""
    row = _known(desk, batch_id)
    if row.cancelling_at is None and not (
        row.ended_at is None and desk.store.note(row.id, unless="finalizing_at", cancelling_at=desk.store.now())
    ):
        status = _known(desk, row.id).status
        raise ApiError(409, f"Cannot cancel a batch with status '{status}'.", param="batch_id", code="invalid_status")
    desk.keeper.wake()
    return shown(_known(desk, row.id), desk)


def shown(row: BatchRow, desk: Desk) -> Batch:
    """A batch as clients see it; how far an open one is, is asked of the evidence."""
    times = {f"{row.ending}_at": row.ended_at} if row.ended_at is not None else {}
    faults = [BatchFault.model_validate(fault) for fault in json.loads(row.errors)] if row.errors else None
    return Batch(
        id=row.id,
        errors=None if faults is None else BatchFaults(data=faults),
        input_file_id=row.input_file_id,
        status=row.status,
        output_file_id=row.output_file_id,
        error_file_id=row.error_file_id,
        created_at=row.created_at,
        in_progress_at=row.in_progress_at,
        expires_at=row.expires_at,
        finalizing_at=row.finalizing_at,
        completed_at=times.get("completed_at"),
        failed_at=times.get("failed_at"),
        expired_at=times.get("expired_at"),
        cancelling_at=row.cancelling_at,
        cancelled_at=times.get("cancelled_at"),
        request_counts=_counts(row, desk),
        usage=BatchUsage.model_validate_json(row.usage) if row.usage else None,
        metadata=json.loads(row.metadata) if row.metadata else None,
        replay=OurBatch(batch_id=row.replay_batch or None, trouble=desk.keeper.trouble(row.id)),
    )


def _counts(row: BatchRow, desk: Desk) -> RequestCounts:
    if row.ended_at is not None:
        return RequestCounts(total=row.total, completed=row.completed, failed=row.failed)
    if not row.replay_batch:
        return RequestCounts(total=row.total, failed=row.refused)
    counted = desk.keeper.steps.ledgers.counts(row.replay_batch)
    return RequestCounts(total=row.total, completed=counted.answered, failed=row.refused + counted.failed)


def _known(desk: Desk, batch_id: str) -> BatchRow:
    row = desk.store.batch(batch_id)
    if row is None:
        raise no_batch(batch_id[:64])
    return row


def _only(param: str, value: str) -> ApiError:
    return invalid(f"Invalid value of '{param}'. Supported value: '{value}'.", param=param, code="invalid_value")
