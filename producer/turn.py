"""One process at a time works on a batch: who comes second finds what the first one did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from producer import manifest
from replay.errors import ConfigurationError, UnavailableError

PATIENCE_S = 30.0


@contextmanager
def turn(batches_dir: Path, batch_id: str, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold a batch while it is submitted, reconciled, or one of its runs is repeated.

    Args:
        batches_dir: Where the batches lie.
        batch_id: Which one.
        patience_s: How long to wait for another process.

    Raises:
        UnavailableError: Another process holds it, and does not end.
        ConfigurationError: The folder cannot be written.
    """
    place = manifest.folder(batches_dir, batch_id)
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place / "lock", timeout=patience_s)
        lock.acquire()
    except filelock.Timeout as taken:
        raise UnavailableError(
            f"Batch {batch_id} is being worked on by another process.", hint="Wait for it, then try again."
        ) from taken
    except OSError as error:
        raise ConfigurationError(
            f"The batch cannot be kept in {place}: {error.strerror}.",
            hint="Set REPLAY_DATA_DIR to a folder that this user can write.",
        ) from error
    try:
        yield
    finally:
        lock.release()
