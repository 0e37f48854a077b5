"""The objects that travel: what a client sends and gets. The fields are OpenAI's; `replay` holds what is ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ENDPOINT = "/v1/chat/completions"
MODEL = "replay"

_EARLIEST_S, _LATEST_S = 3600, 30 * 24 * 3600

Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
Metadata = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=64)],
        Annotated[str, StringConstraints(max_length=512)],
    ],
    Field(max_length=16),
]

# Constrained, so that it is looked at: half a character would reach the database otherwise.
FileId = Annotated[str, StringConstraints(min_length=0)]


class Sent(BaseModel):
    """Base of what a client gets: each field is always there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class Fault(Sent):
    """What is wrong with a request."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None = Field(description="The field that is wrong.")
    code: str | None = Field(description="A word for programs.")


class Refused(Sent):
    """The answer to a request that is refused, or that the server could not serve."""

    error: Fault


class ExpiresAfter(BaseModel):
    """When a file is to be deleted."""

    anchor: Literal["created_at"] = Field(description="What the seconds are counted from: the file's own creation.")
    seconds: int = Field(ge=_EARLIEST_S, le=_LATEST_S)

    model_config = ConfigDict(extra="forbid")


class File(Sent):
    """A file: requests that were uploaded, or answers that are ready."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"] = "processed"


class FileList(Sent):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[File]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Sent):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class BatchCreate(BaseModel):
    """What is asked of a new batch."""

    input_file_id: FileId = Field(description="A file that was uploaded with the purpose `batch`.")
    endpoint: str = Field(description=f"`{ENDPOINT}`; there is no other.")
    completion_window: str = Field(description="`24h`; there is no other.")
    metadata: Metadata | None = Field(
        None,
        description="Up to 16 texts. `allow_escalation`, `retrieval`, `checklist` and `tags` count for each request "
        "that does not say it itself; other keys are kept and mean nothing.",
    )
    output_expires_after: ExpiresAfter | None = None

    model_config = ConfigDict(extra="forbid")


class BatchFault(Sent):
    """Why an input file was refused as a whole."""

    code: str
    message: str
    param: str | None = None
    line: int | None = None


class BatchFaults(Sent):
    """All that is wrong with an input file, or the first of it."""

    object: Literal["list"] = "list"
    data: list[BatchFault]


class RequestCounts(Sent):
    """How many requests have an answer, or an error."""

    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchUsage(Sent):
    """Tokens of all attempts."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class OurBatch(Sent):
    """What Replay says besides."""

    batch_id: str | None = Field(
        description="Its name for `replay batch` and `replay results`; null before it has one."
    )
    trouble: str | None = Field(description="What keeps the server from going on with it now; null: nothing does.")


class Batch(Sent):
    """A batch of requests."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str = ENDPOINT
    model: str = MODEL
    errors: BatchFaults | None
    input_file_id: str
    completion_window: str = "24h"
    status: Status
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    usage: BatchUsage | None
    metadata: dict[str, str] | None
    replay: OurBatch


class BatchList(Sent):
    """A page of batches, the newest first."""

    object: Literal["list"] = "list"
    data: list[Batch]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Model(Sent):
    """A name that a request can ask for."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "replay"
    replay: dict[str, Any] = Field(description="The models that answer, by tier.")


class ModelList(Sent):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[Model]
