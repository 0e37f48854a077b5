"""Snapshots of the corpus: immutable, named by their content, and published by swapping one pointer.

Layout of a corpus directory::

    snapshots/corpus_<16 hex>.jsonl    one record a line, canonical JSON, sorted by record id; never changed
    current                            the version that new tasks use; replaced atomically
    write.lock                         held while a version is made

The version is the start of the SHA-256 of the file's bytes, so the same records have the same version everywhere, and
a reader knows a damaged file by its name. Each may be lost: it is rebuilt from the sources and playbooks. Old versions
stay, since evidence names them.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from replay import identity
from replay.contracts import Record, RecordKind
from replay.errors import CorpusError

BUILD_HINT = "Build one: replay corpus build package:celery package:kombu package:redis"
POINTER = "current"
LOCK_WAIT_S = 30.0

_VERSION = re.compile(r"corpus_[0-9a-f]{16}")


@dataclass(frozen=True)
class Snapshot:
    """All records of one version, in the order of their ids."""

    version: str
    records: tuple[Record, ...]


def write(records: Iterable[Record], corpus_dir: Path) -> Snapshot:
    """Make a snapshot of exactly these records and publish it. Writing the same records again changes nothing.

    Raises:
        CorpusError: There are no records, two different ones share an id, another process holds the lock, or the
            directory cannot be written.
    """
    with _writing(corpus_dir):
        return _publish(records, corpus_dir)


def add(records: Iterable[Record], corpus_dir: Path) -> Snapshot:
    """Publish the current snapshot merged with these records; a record replaces the one with its id.

    Raises:
        CorpusError: As `write`, or the current snapshot is damaged.
    """
    return _change(corpus_dir, lambda _: True, records)


def replace_sources(records: Iterable[Record], corpus_dir: Path) -> Snapshot:
    """Publish these records and the current snapshot's playbooks: what rebuilding the sources means.

    Raises:
        CorpusError: As `write`, or the current snapshot is damaged.
    """
    return _change(corpus_dir, lambda record: record.kind is not RecordKind.SOURCE, records)


def load(corpus_dir: Path, version: str | None = None) -> Snapshot:
    """Read a version, by default the current one, and verify it against its name.

    Raises:
        CorpusError: There is no corpus or no such version, it is empty, or its bytes are not what was written.
    """
    wanted = version or current_version(corpus_dir)
    if wanted is None:
        raise CorpusError(f"there is no corpus in {corpus_dir}", hint=BUILD_HINT)
    path = _path(corpus_dir, wanted)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(f"corpus snapshot {wanted} is not in {path.parent}", hint=BUILD_HINT) from None
    except OSError as error:
        raise CorpusError(f"corpus snapshot {path} cannot be read: {error.strerror}", hint=BUILD_HINT) from error
    if not content:
        raise CorpusError(f"corpus snapshot {wanted} is empty", hint=BUILD_HINT)
    if _name(content) != wanted:
        raise CorpusError(
            f"corpus snapshot {path} is damaged: its bytes are those of {_name(content)}",
            hint=f"Delete that file, then build the corpus again. {BUILD_HINT}",
        )
    try:
        return Snapshot(wanted, tuple(Record.model_validate_json(line) for line in content.splitlines()))
    except ValidationError as error:
        # The bytes are as written, so another version of Replay wrote them.
        raise CorpusError(
            f"corpus snapshot {wanted} holds records that this version cannot read: {error.errors()[0]['msg']}",
            hint=BUILD_HINT,
        ) from error


def current_version(corpus_dir: Path) -> str | None:
    """The version that the pointer names; None where no corpus was ever published.

    Raises:
        CorpusError: The pointer is no version, or cannot be read.
    """
    pointer = corpus_dir / POINTER
    try:
        version = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"corpus pointer {pointer} cannot be read: {error}", hint=BUILD_HINT) from error
    if not _VERSION.fullmatch(version):
        raise CorpusError(f"corpus pointer {pointer} names no version: {version[:40]!r}", hint=BUILD_HINT)
    return version


def _change(corpus_dir: Path, keep: Callable[[Record], bool], records: Iterable[Record]) -> Snapshot:
    with _writing(corpus_dir):
        old = load(corpus_dir).records if current_version(corpus_dir) else ()
        merged = {record.record_id: record for record in old if keep(record)}
        merged.update((record.record_id, record) for record in records)
        return _publish(merged.values(), corpus_dir)


def _publish(records: Iterable[Record], corpus_dir: Path) -> Snapshot:
    ordered = _ordered(records)
    content = b"".join(identity.canonical_json(record.wire()) + b"\n" for record in ordered)
    version = _name(content)
    # The snapshot is durable before the pointer names it: a crash in between leaves the old version current.
    _replace(_path(corpus_dir, version), content)
    _replace(corpus_dir / POINTER, f"{version}\n".encode())
    return Snapshot(version, ordered)


def _ordered(records: Iterable[Record]) -> tuple[Record, ...]:
    by_id: dict[str, Record] = {}
    for record in records:
        if by_id.setdefault(record.record_id, record) != record:
            raise CorpusError(
                f"two different records have the id {record.record_id!r}", hint="Give one of them another id."
            )
    if not by_id:
        raise CorpusError("there are no records to make a corpus of", hint=BUILD_HINT)
    return tuple(by_id[record_id] for record_id in sorted(by_id))


@contextmanager
def _writing(corpus_dir: Path) -> Iterator[None]:
    """Hold the writers' lock; what the file system refuses becomes an error for people."""
    try:
        (corpus_dir / "snapshots").mkdir(parents=True, exist_ok=True)
        with FileLock(corpus_dir / "write.lock", timeout=LOCK_WAIT_S):
            yield
    except Timeout:
        raise CorpusError(
            f"another process has been writing the corpus in {corpus_dir} for {LOCK_WAIT_S:.0f} s",
            hint="Wait until it has finished, then run the command again.",
        ) from None
    except OSError as error:
        raise CorpusError(
            f"the corpus in {corpus_dir} cannot be written: {error.strerror or error}",
            hint="Make room or give write access there, or set REPLAY_DATA_DIR to another directory.",
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """Put a file in place whole or not at all, durably: write beside it, fsync, rename, fsync the directory."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _path(corpus_dir: Path, version: str) -> Path:
    if not _VERSION.fullmatch(version):
        raise CorpusError(f"{version[:40]!r} is not a corpus version", hint="It is corpus_ and 16 hex digits.")
    return corpus_dir / "snapshots" / f"{version}.jsonl"


def _name(content: bytes) -> str:
    return "corpus_" + hashlib.sha256(content).hexdigest()[:16]
