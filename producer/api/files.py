"""`/v1/files`: upload, list, retrieve, content, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from producer.api.desk import Desk, DeskOf
from producer.api.errors import ApiError, invalid, no_file
from producer.api.rows import FileRow
from producer.api.shapes import ExpiresAfter, File, FileDeleted, FileList
from producer.api.upload import Upload, receive
from replay.errors import AppendFailed

router = APIRouter(prefix="/v1/files", tags=["files"])

_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": ["batch"]},
                        _ANCHOR: {"type": "string", "enum": ["created_at"]},
                        _SECONDS: {"type": "integer"},
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=_FORM)
async def create_file(request: Request, desk: DeskOf) -> File:
    """Upload a file of requests, as JSON lines."""
    upload = await receive(request, desk.files, desk.settings.api_max_file_bytes)
    try:
        lifetime = _lifetime(upload)
        row = await run_in_threadpool(_keep, desk, upload, lifetime)
    finally:
        upload.part.discard()
    return shown(row)


@router.get("")
def list_files(
    desk: DeskOf,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    purpose: str | None = None,
) -> FileList:
    """List files, a page at a time."""
    rows = desk.store.files(after=after, limit=limit + 1, purpose=purpose, oldest_first=order == "asc")
    if rows is None:
        raise invalid(f"There is no file {(after or '')[:64]!r} to list after.", param="after")
    data = [shown(row) for row in rows[:limit]]
    return FileList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(rows) > limit,
    )


@router.get("/{file_id}")
def retrieve_file(file_id: str, desk: DeskOf) -> File:
    """Say what is known of a file."""
    return shown(_known(desk, file_id))


@router.get("/{file_id}/content", response_class=FileResponse)
def retrieve_content(file_id: str, desk: DeskOf) -> FileResponse:
    """Send a file."""
    row = _known(desk, file_id)
    path = desk.files.path(row.id)
    if not path.is_file():
        raise no_file(row.id)
    return FileResponse(path, media_type="application/jsonl", filename=row.filename)


@router.delete("/{file_id}")
def delete_file(file_id: str, desk: DeskOf) -> FileDeleted:
    """Delete a file. Evidence of what was asked in it stays."""
    row = _known(desk, file_id)
    if not desk.store.forget_file(row.id):
        raise ApiError(
            409, f"A batch that has not ended reads {row.id}; cancel it first.", param="id", code="file_in_use"
        )
    # Dies here: the next start removes it.
    desk.files.remove(row.id)
    return FileDeleted(id=row.id)


def shown(row: FileRow) -> File:
    """A file as clients see it."""
    return File(
        id=row.id,
        bytes=row.bytes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        filename=row.filename,
        purpose=row.purpose,
    )


def _known(desk: Desk, file_id: str) -> FileRow:
    # What is no id is in no row, so nothing but an id ever becomes a path.
    row = desk.store.file(file_id)
    if row is None:
        raise no_file(file_id[:64])
    return row


def _keep(desk: Desk, upload: Upload, lifetime: int | None) -> FileRow:
    now = desk.store.now()
    row = FileRow(
        id=upload.file_id,
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
        filename=upload.filename,
        purpose="batch",
        bytes=upload.part.size,
    )
    upload.part.finish()
    # Dies here: the client was told nothing, and the next start removes it.
    try:
        desk.store.add_file(row)
    except AppendFailed:
        desk.files.remove(row.id)
        raise
    return row


def _lifetime(upload: Upload) -> int | None:
    purpose = upload.fields.get("purpose")
    if purpose is None:
        raise invalid("Missing required parameter: 'purpose'.", param="purpose", code="missing_required_parameter")
    if purpose != "batch":
        raise invalid(
            f"Invalid value: {purpose[:64]!r}. The one to give is 'batch'.", param="purpose", code="invalid_value"
        )
    if upload.part.size == 0:
        raise invalid("The file is empty.", param="file", code="empty_file")
    if _ANCHOR not in upload.fields and _SECONDS not in upload.fields:
        return None
    try:
        wanted = {"anchor": upload.fields.get(_ANCHOR), "seconds": upload.fields.get(_SECONDS)}
        return ExpiresAfter.model_validate(wanted).seconds
    except ValidationError as error:
        fault = error.errors()[0]
        raise invalid(f"Invalid value: {fault['msg']}.", param="expires_after", code="invalid_value") from None
