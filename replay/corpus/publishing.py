"""Publishing: the one place where a version becomes the current one, and the lock under which it happens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from replay.corpus import durable, history, lock, manifest
from replay.corpus import segment as segments
from replay.corpus.manifest import BUILD_HINT, Change, Manifest, Published
from replay.corpus.opening import POINTER, SEGMENTS
from replay.corpus.segment import PARTS, Made, Segment
from replay.corpus.tokens import TOKENIZER
from replay.corpus.watching import UNWATCHED, Watcher
from replay.errors import CorpusError

LOCK = "write.lock"
WORK = "work"
REASON_CHARS = 2_000


@contextmanager
def writing(corpus_dir: Path, watcher: Watcher = UNWATCHED) -> Iterator[Path]:
    """Hold the writers' lock, with an empty folder for files that are on their way.

    What the file system refuses becomes an error for people. Whatever ends the block, the folder goes; where the
    process is killed, the next writer removes it.

    Raises:
        CorpusError: Another process holds the lock for too long, or the folder cannot be written.
    """
    work = corpus_dir / WORK
    try:
        durable.make_folders(corpus_dir / SEGMENTS)
        durable.make_folders(corpus_dir / "versions")
        with lock.held(corpus_dir / LOCK, f"the corpus in {corpus_dir}", watcher=watcher):
            _empty(work)
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise unwritable(corpus_dir, error) from error


def unwritable(corpus_dir: Path, error: OSError) -> CorpusError:
    """The error for what a file system refuses."""
    return CorpusError(
        f"the corpus in {corpus_dir} cannot be written: {error.strerror or error}",
        hint="Make room or give write access there, or set REPLAY_DATA_DIR to another directory.",
    )


def publish(corpus_dir: Path, parts: Sequence[Segment | Made], before: Manifest | None, change: Change) -> Manifest:
    """Make a version of these segments the current one. The caller holds the lock; the steps below are in this order.

    The files of what was `Made` are on the disk already; what is opened lies in the corpus.

    Raises:
        CorpusError: There are no records.
        OSError: The file system refuses a step. What was current before is so still, or the new version is.
    """
    if not parts:
        raise CorpusError("there are no records to make a corpus of", hint=BUILD_HINT)
    for part in parts:
        if isinstance(part, Made):
            _settle(part, corpus_dir / SEGMENTS)
    durable.sync_folder(corpus_dir / SEGMENTS)
    # Dies here: files that no manifest names. The next `replay corpus compact` sweeps them.
    described = _describe(parts, before, change)
    durable.put(manifest.path_of(corpus_dir, described.version), manifest.seal(described))
    # Dies here: a version that can be opened by its name and is not the current one. A compaction has done its work.
    durable.put(corpus_dir / POINTER, f"{described.version}\n".encode())
    # Dies here: the new version is the current one, and the log lacks it. The next writer writes the line first.
    history.note(corpus_dir, described)
    return described


def _describe(parts: Sequence[Segment | Made], before: Manifest | None, change: Change) -> Manifest:
    version = manifest.version_of(
        part.digests_in_order if isinstance(part, Segment) else part.digests for part in parts
    )
    stored = tuple(sorted((part.stored for part in parts), key=lambda one: (one.group, -one.records, one.name)))
    if before is not None and before.version == version and before.segments == stored:
        # Written again, the same to the byte: the files are whole again if they were not, and nothing was published.
        return before
    return Manifest(
        version=version,
        tokenizer=TOKENIZER,
        published=Published(
            version=version,
            parent=before.version if before else None,
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            what=change.what,
            reason=_short(change.reason),
            records=sum(one.records for one in stored),
            segments=len(stored),
            added=change.added,
            changed=change.changed,
            removed=change.removed,
        ),
        segments=stored,
    )


def _short(reason: str) -> str:
    """A reason as the log has it: thousands of names would make every line of it long."""
    return reason if len(reason) <= REASON_CHARS else f"{reason[:REASON_CHARS]}… ({len(reason):,} characters)"


def _settle(made: Made, folder: Path) -> None:
    """Give the files of a segment their lasting names. The index comes last: with it the segment is whole."""
    for part in reversed(PARTS):
        here = segments.path(made.folder, made.stored.name, part)
        if here.exists():
            durable.move(here, segments.path(folder, made.stored.name, part))


def _empty(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
