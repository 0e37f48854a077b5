"""What was decided about a batch after it was accepted, durably, in small files beside its manifest.

That a batch is cancelled stands there too (`producer.manifest`). The broker is told of both, and told again where it
lost its data.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from evidence import durable
from producer import manifest

_PAUSED = "paused"
_PRIORITY = "priority"


class Priority(StrEnum):
    """Where the messages of a batch are put.

    `HIGH`: at the end of the queue from which workers take, before all that waits. `NORMAL`: behind it. `LOW`: behind
    it, and few at a time (`enqueue.LOW_WAITING`), so that whoever comes later waits behind a few only.
    """

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def pause(batches_dir: Path, batch_id: str, reason: str = "") -> None:
    """Note that a batch is paused, and why.

    Raises:
        AppendFailed: The disk said no; it is not paused.
    """
    durable.keep(manifest.folder(batches_dir, batch_id) / _PAUSED, reason.encode("utf-8", "backslashreplace"))


def resume(batches_dir: Path, batch_id: str) -> bool:
    """Take the pause back; False where there was none.

    Raises:
        AppendFailed: The disk said no; it stays paused.
    """
    path = manifest.folder(batches_dir, batch_id) / _PAUSED
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise durable.append_failed("unlink", path, error) from error
    durable.sync_folder(path.parent)
    return True


def is_paused(batches_dir: Path, batch_id: str) -> bool:
    """Is the batch paused?"""
    return (manifest.folder(batches_dir, batch_id) / _PAUSED).is_file()


def why_paused(batches_dir: Path, batch_id: str) -> str | None:
    """The reason that was given, `""` where none was; None where the batch is not paused."""
    try:
        return (manifest.folder(batches_dir, batch_id) / _PAUSED).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def set_priority(batches_dir: Path, batch_id: str, priority: Priority) -> None:
    """Note a priority; it holds for what is enqueued from now on.

    Raises:
        AppendFailed: The disk said no.
    """
    if priority is not priority_of(batches_dir, batch_id):
        durable.keep(manifest.folder(batches_dir, batch_id) / _PRIORITY, priority.value.encode())


def priority_of(batches_dir: Path, batch_id: str) -> Priority:
    """The priority of a batch; `NORMAL` where nothing, or nothing that this version knows, was noted."""
    try:
        return Priority((manifest.folder(batches_dir, batch_id) / _PRIORITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Priority.NORMAL
