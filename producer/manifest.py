"""The durable manifest of a batch: what was accepted, written before anything is enqueued.

The broker may lose messages; manifest minus evidence is what is still owed, so nothing is ever lost for good. The batch
id follows from the tasks alone: submitting the same file again finds the same manifest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from evidence import durable
from producer import repeats
from producer.line import TaskLine
from producer.tasks import StoredTasks, lines_of
from replay import identity
from replay.compact import TextSet
from replay.contracts import Message, ReplayTask
from replay.errors import AppendFailed, EvidenceDamaged, InputError

_MANIFEST = "manifest.jsonl"
_CANCELLED = "cancelled"
_BLOCK = 1 << 20
# As long as the true one, so that it can be written over.
_NO_HASH = "0" * 64


class Header(Message):
    """First line of a manifest; `tasks_sha256` is over all the bytes that follow it."""

    schema_: Literal["replay_batch.v1"] = Field("replay_batch.v1", alias="schema")
    batch_id: str
    created_at: str
    source: str
    count: int
    corpus_version: str | None
    tasks_sha256: str

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


@dataclass(frozen=True)
class Batch:
    """A submission of tasks, in the order in which they were given.

    Attributes:
        batch_id: Content-derived.
        created_at: UTC, ISO 8601.
        source: Name of the file that it came from.
        corpus_version: The current corpus at submission, informative: workers may use a later one.
        tasks: What is to be run; for a task that was repeated, the run that stands for it now. Of a batch that was
            loaded they lie on the disk, and each iteration reads them there: count them by `len`, and hold few.
        superseded: Runs in whose place others stand.
    """

    batch_id: str
    created_at: str
    source: str
    corpus_version: str | None
    tasks: Sequence[ReplayTask]
    superseded: tuple[str, ...] = ()


def plan(
    lines: Sequence[TaskLine], *, source: str, corpus_version: str | None, created_at: str, nonce: str = ""
) -> Batch:
    """Turn lines into the tasks of a batch.

    The options count for the batch's identity, since they change what is asked of the system; tags do not.

    Args:
        lines: With `custom_id`s that differ.
        source: Where they came from.
        corpus_version: The current corpus.
        created_at: UTC, ISO 8601.
        nonce: Another value makes another batch of the same lines, on purpose.
    """
    hashes = [identity.task_hash(line.task, line.checklist) for line in lines]
    keys = [(line.custom_id, hashed) for line, hashed in zip(lines, hashes, strict=True)]
    options = identity.digest([line.options.wire() for line in lines])
    batch_id = identity.batch_id(keys, identity.digest({"options": options, "nonce": nonce}))
    tasks = tuple(
        ReplayTask(
            run_id=identity.run_id(batch_id, line.custom_id, hashed),
            batch_id=batch_id,
            custom_id=line.custom_id,
            task_hash=hashed,
            text=line.task,
            checklist=line.checklist,
            tags=line.tags,
            options=line.options,
        )
        for line, hashed in zip(lines, hashes, strict=True)
    )
    return Batch(batch_id, created_at, source, corpus_version, tasks)


def folder(batches_dir: Path, batch_id: str) -> Path:
    """Where everything about a batch lies."""
    return batches_dir / batch_id


def exists(batches_dir: Path, batch_id: str) -> bool:
    """Was this batch accepted?"""
    return (folder(batches_dir, batch_id) / _MANIFEST).is_file()


def write(batch: Batch, batches_dir: Path) -> None:
    """Make a manifest durable, whole or not at all: when this returns, the batch is accepted.

    Raises:
        AppendFailed: The disk said no; the batch is not accepted.
    """
    head = Header(
        batch_id=batch.batch_id,
        created_at=batch.created_at,
        source=batch.source,
        count=len(batch.tasks),
        corpus_version=batch.corpus_version,
        tasks_sha256=_NO_HASH,
    )
    write_lines(head, (line for _, line in lines_of(batch.tasks)), batches_dir)


# openat(temporary, O_CREAT) -> write header without its hash, write tasks -> pwrite(header) -> fsync -> rename -> fsync
def write_lines(head: Header, lines: Iterable[bytes], batches_dir: Path) -> Batch:
    """As `write`, of tasks in canonical JSON that need not be held; `tasks_sha256` of the header is filled in.

    Returns:
        The batch, its tasks on the disk.

    Raises:
        AppendFailed: The disk said no; the batch is not accepted.
    """
    path = folder(batches_dir, head.batch_id) / _MANIFEST
    temporary = path.with_name(f"{_MANIFEST}.tmp")
    body = hashlib.sha256()
    try:
        durable.make_folders(path.parent)
        with temporary.open("wb", buffering=_BLOCK) as file:
            file.write(_header_line(head))
            for line in lines:
                ended = line + b"\n"
                body.update(ended)
                file.write(ended)
            file.seek(0)
            file.write(_header_line(head, body.hexdigest()))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        # Dies before this: the name may be lost, and with it the batch, which nobody was told of.
        durable.sync_folder(path.parent)
    except (AppendFailed, OSError) as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        failed = error if isinstance(error, AppendFailed) else durable.append_failed("write", path, error)
        raise AppendFailed(failed.message, hint=_HINT_OF_ROOM) from error
    tasks = StoredTasks(path, len(_header_line(head)), head.count)
    return Batch(head.batch_id, head.created_at, head.source, head.corpus_version, tasks)


def _header_line(head: Header, tasks_sha256: str = _NO_HASH) -> bytes:
    return identity.canonical_json(head.wire() | {"tasks_sha256": tasks_sha256}) + b"\n"


def header(batches_dir: Path, batch_id: str) -> Header:
    """What the manifest says of the batch as a whole, without reading the tasks.

    Raises:
        InputError: There is no such batch.
        EvidenceDamaged: The manifest is not what was written.
    """
    path = folder(batches_dir, batch_id) / _MANIFEST
    try:
        with path.open("rb") as file:
            return Header.model_validate_json(file.readline())
    except OSError:
        raise _no_batch(batches_dir, batch_id) from None
    except ValidationError as error:
        raise EvidenceDamaged(
            f"{path} is not a manifest: {error.errors()[0]['msg']}", hint=_hint_of_damage(path)
        ) from error


def load(batches_dir: Path, batch_id: str) -> Batch:
    """Read a manifest, prove that it is what was written, and put repeated runs in the place of their first ones.

    Raises:
        InputError: There is no such batch.
        EvidenceDamaged: The manifest is not what was written.
    """
    head = header(batches_dir, batch_id)
    path = folder(batches_dir, batch_id) / _MANIFEST
    body = hashlib.sha256()
    count = 0
    with path.open("rb", buffering=0) as file:
        start = len(file.readline())
        while data := file.read(_BLOCK):
            body.update(data)
            count += data.count(b"\n")
    if body.hexdigest() != head.tasks_sha256:
        raise EvidenceDamaged(
            f"{path} was changed since it was written: its tasks have another hash.", hint=_hint_of_damage(path)
        )
    if count != head.count or head.batch_id != batch_id:
        raise EvidenceDamaged(
            f"{path} holds {count} tasks of {head.batch_id}, not {head.count}.", hint=_hint_of_damage(path)
        )
    superseded = repeats.superseded(path.parent)
    tasks = StoredTasks(path, start, head.count, TextSet(superseded))
    return Batch(batch_id, head.created_at, head.source, head.corpus_version, tasks, superseded)


def known(batches_dir: Path) -> list[str]:
    """Ids of all batches, the one accepted last first.

    The clock that dates files moves in steps of some milliseconds: batches of the same step come in order of id.
    """
    paths = batches_dir.glob(f"*/{_MANIFEST}")
    manifests = sorted(paths, key=lambda path: (-path.stat().st_mtime_ns, path.parent.name))
    return [path.parent.name for path in manifests]


def find(batches_dir: Path, name: str | None) -> Batch:
    """Load the batch of this id, or of an unambiguous beginning of one; None is the newest.

    Raises:
        InputError: There is none, or there are several.
        EvidenceDamaged: The manifest is not what was written.
    """
    return load(batches_dir, find_id(batches_dir, name))


def find_id(batches_dir: Path, name: str | None) -> str:
    """The id that `find` would load.

    Raises:
        InputError: There is none, or there are several.
    """
    ids = known(batches_dir)
    if not ids:
        raise InputError(
            f"There is no batch in {batches_dir.absolute()}.",
            hint="Submit one with `replay submit FILE`, or go where that was done: "
            "without REPLAY_DATA_DIR the data lie in the folder in which a command runs.",
        )
    if name is None:
        return ids[0]
    fitting = [batch_id for batch_id in ids if batch_id == name] or [
        batch_id for batch_id in ids if batch_id.removeprefix("batch_").startswith(name.removeprefix("batch_"))
    ]
    if len(fitting) != 1:
        what = f"{len(fitting)} batches begin" if fitting else "No batch begins"
        raise InputError(f"{what} with {name!r}.", hint=f"The newest are: {', '.join(ids[:5])}.")
    return fitting[0]


def mark_cancelled(batches_dir: Path, batch_id: str) -> None:
    """Note durably that a batch is cancelled, so that a broker which lost its data is told again."""
    _keep(folder(batches_dir, batch_id) / _CANCELLED, b"")


def is_cancelled(batches_dir: Path, batch_id: str) -> bool:
    """Was the batch cancelled?"""
    return (folder(batches_dir, batch_id) / _CANCELLED).is_file()


def _no_batch(batches_dir: Path, batch_id: str) -> InputError:
    return InputError(
        f"There is no batch {batch_id} in {batches_dir.absolute()}.",
        hint="`replay results` without a name takes the newest.",
    )


def _hint_of_damage(path: Path) -> str:
    return f"Move {path.parent} away and submit the file again: what is in evidence already counts."


_HINT_OF_ROOM = "Make room or change the rights of the data directory, then submit again."


def _keep(path: Path, content: bytes) -> None:
    try:
        durable.make_folders(path.parent)
        durable.keep(path, content)
    except AppendFailed as error:
        raise AppendFailed(error.message, hint=_HINT_OF_ROOM) from error
