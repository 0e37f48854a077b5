"""What becomes of a batch, step by step: check, submit, watch, cancel, give up, write.

Each step looks at what has happened (the database) and at how far the tasks are (the evidence), does the next thing and
notes it. A server that dies in a step makes it again when it starts: submitting finds the same batch of the engine by
the nonce, and files that are written again have the same names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import redis

from producer.api import engine, writing
from producer.api.chat import Asked
from producer.api.disk import Files
from producer.api.lines import check, requests
from producer.api.options import Options
from producer.api.rows import BatchRow
from producer.api.shapes import BatchFault
from producer.api.store import Store
from producer.line import TaskLine
from replay.errors import BrokerUnavailable, ConfigurationError, CorpusError, EvidenceDamaged, InputError
from replay.settings import Settings

# What is being generated when a batch is cancelled or expires is finished and counts, if it ends by then.
GRACE_S = 600


class Steps:
    """Makes the steps of all batches.

    Args:
        settings: Where batches, evidence and broker are.
        store: What has happened.
        files: The files.
        client: The broker; None: the one of the settings, connected to when it is needed.
        stop: Set it, and a long step ends early.
    """

    def __init__(
        self, settings: Settings, store: Store, files: Files, client: redis.Redis | None, stop: threading.Event
    ) -> None:
        self.ledgers = engine.Ledgers(settings)
        self._settings = settings
        self._store = store
        self._files = files
        self._client = client
        self._stopping = stop

    def step(self, batch_id: str) -> bool:
        """Do the next thing that a batch needs; False when there is nothing to do now.

        Raises:
            ReplayError: It could not be done; it is tried again.
        """
        row = self._store.batch(batch_id)
        if row is None or row.ended_at is not None:
            return False
        if row.finalizing_at is not None:
            return self._finalize(row)
        return self._accept(row) if row.in_progress_at is None else self._follow(row)

    def _accept(self, row: BatchRow) -> bool:
        # Once submitting has begun, the queues may hold some of it: it is submitted whole before it is cancelled.
        if row.submitting_at is not None:
            return self._submit(row)
        if row.cancelling_at is not None:
            return self._give_up(row, "cancelled")
        return self._give_up(row, "expired") if self._is_over(row) else self._check(row)

    def _follow(self, row: BatchRow) -> bool:
        if row.cancelling_at is not None:
            return self._cancel(row, "cancelled")
        if self._ended(row):
            return self._store.note(row.id, unless="cancelling_at", finalizing_at=self._store.now(), ending="completed")
        return self._is_over(row) and self._cancel(row, "expired")

    def _is_over(self, row: BatchRow) -> bool:
        return self._store.now() >= row.expires_at

    def _check(self, row: BatchRow) -> bool:
        found = check(self._input(row), options_of(row), self._settings.api_max_requests)
        if found.faults:
            self._fail(row, found.faults, found.total)
            return False
        self._store.note(row.id, total=found.total, refused=found.refused)
        if found.total == found.refused:
            return self._store.note(row.id, replay_batch="", in_progress_at=self._store.now())
        # Dies here: checked again.
        return self._store.note(row.id, unless="cancelling_at", submitting_at=self._store.now()) or True

    def _submit(self, row: BatchRow) -> bool:
        name = row.replay_batch

        def noted(given: str) -> None:
            nonlocal name
            name = given
            self._store.note(row.id, replay_batch=given)

        try:
            engine.submit(self._tasks(row), self._settings, row.id, self._client, noted)
        except (InputError, CorpusError, ConfigurationError) as error:
            # Once it is accepted some of it may have run. So it does not fail: what is in the way is told and waited
            # for; and where an operator has cancelled it meanwhile, its tasks end so.
            if name and isinstance(error, InputError):
                return self._store.note(row.id, in_progress_at=self._store.now())
            if name:
                raise
            self._fail(
                row, [BatchFault(code="server_error", message=f"{error.message} {error.hint}".strip())], row.total
            )
            return False
        # Dies here: submitted again, which adds nothing.
        return self._store.note(row.id, in_progress_at=self._store.now())

    def _tasks(self, row: BatchRow) -> Iterator[TaskLine]:
        for request in requests(self._input(row), options_of(row)):
            if self._stopping.is_set():
                raise writing.Stopped
            if isinstance(request.content, Asked):
                yield request.content.line

    def _cancel(self, row: BatchRow, ending: Literal["cancelled", "expired"]) -> bool:
        if row.replay_batch:
            with suppress(BrokerUnavailable):  # it is marked, and the scheduler tells the workers
                engine.cancel(row.replay_batch, self._settings, self._client)
        return self._store.note(row.id, finalizing_at=self._store.now(), ending=ending)

    def _give_up(self, row: BatchRow, ending: Literal["cancelled", "expired"]) -> bool:
        found = check(self._input(row), options_of(row), self._settings.api_max_requests)
        if found.faults:
            self._fail(row, found.faults, found.total)
            return False
        return self._store.note(
            row.id, total=found.total, refused=found.refused, finalizing_at=self._store.now(), ending=ending
        )

    def _finalize(self, row: BatchRow) -> bool:
        since = row.finalizing_at or 0
        ending = row.ending
        assert ending is not None  # noqa: S101  noted together with the time
        assert ending != "failed"  # noqa: S101  that one writes no files
        # What runs may still end; what cannot, because no worker is there, is not waited for without end.
        if ending != "completed" and not self._ended(row) and self._store.now() < since + GRACE_S:
            return False
        self._input(row)
        job = writing.Job(row, ending, options_of(row), since, self._stopping)
        written = writing.write(job, self._files, self._settings)
        made = [file for file in (written.output, written.errors) if file is not None]
        # Dies here: the same files are written again.
        self._store.end(
            row.id,
            made,
            output_file_id=written.output.id if written.output else None,
            error_file_id=written.errors.id if written.errors else None,
            completed=written.completed,
            failed=written.failed,
            usage=json.dumps(written.totals.usage()),
        )
        self.ledgers.forget(row.replay_batch or "")
        return False

    def _ended(self, row: BatchRow) -> bool:
        if not row.replay_batch:
            return True
        counted = self.ledgers.counts(row.replay_batch)
        return counted.answered + counted.failed >= row.total - row.refused

    def _input(self, row: BatchRow) -> Path:
        path = self._files.path(row.input_file_id)
        if not path.is_file():
            name = f"; `replay results {row.replay_batch}` has the answers" if row.replay_batch else ""
            raise EvidenceDamaged(f"The requests of this batch are gone: {path.name} was removed{name}.")
        return path

    def _fail(self, row: BatchRow, faults: Sequence[BatchFault], total: int) -> None:
        errors = json.dumps([fault.model_dump() for fault in faults])
        self._store.end(row.id, [], ending="failed", errors=errors, total=total)


def options_of(row: BatchRow) -> Options:
    """What the metadata of a batch says; it was checked when the batch was made."""
    return Options.read(json.loads(row.metadata) if row.metadata else None)
