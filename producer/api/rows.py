"""A file and a batch as they stand in the database: what happened, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from producer.api.shapes import Status

Ending = Literal["failed", "completed", "expired", "cancelled"]


@dataclass(frozen=True)
class FileRow:
    """A file that is whole."""

    id: str
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["batch", "batch_output"]
    bytes: int


@dataclass(frozen=True)
class BatchRow:
    """What has happened to a batch.

    Attributes:
        id: Its name here; also the nonce of its submission, so that a second try finds the first one.
        created_at: Unix time, like all times.
        expires_at: What is not done by then is given up.
        input_file_id: The requests.
        metadata: JSON, as the client gave it.
        output_expires_s: Lifetime of its files; None: until somebody deletes them.
        total: Requests of the file, known once it is checked.
        refused: Those among them that are no task.
        submitting_at: From here on the queues may hold some of it.
        replay_batch: The batch of the engine, from the moment on at which it is accepted there; empty where every
            request was refused.
        in_progress_at: It is accepted, whole.
        cancelling_at: Its client wants no more of it.
        finalizing_at: Its answers are being written.
        ending: How it ends, known from `finalizing_at` on.
        ended_at: It has ended.
        errors: JSON, what is wrong with the input file.
        output_file_id: The answers, if there are any.
        error_file_id: The errors, if there are any.
        completed: Lines of the one.
        failed: Lines of the other.
        usage: JSON, tokens of all attempts.
    """

    id: str
    created_at: int
    expires_at: int
    input_file_id: str
    metadata: str | None = None
    output_expires_s: int | None = None
    total: int = 0
    refused: int = 0
    submitting_at: int | None = None
    replay_batch: str | None = None
    in_progress_at: int | None = None
    cancelling_at: int | None = None
    finalizing_at: int | None = None
    ending: Ending | None = None
    ended_at: int | None = None
    errors: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed: int = 0
    failed: int = 0
    usage: str | None = None

    @property
    def status(self) -> Status:
        """The state that a client is told; it follows from what has happened."""
        if self.ended_at is not None and self.ending is not None:
            return self.ending
        if self.cancelling_at is not None:
            return "cancelling"
        if self.finalizing_at is not None:
            return "finalizing"
        return "validating" if self.in_progress_at is None else "in_progress"
