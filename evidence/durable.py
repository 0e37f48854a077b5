"""Writes that have reached the disk when they return. Above each function stands what the kernel is asked for.

A failed write or fsync leaves the file in an unknown state: after a failed fsync the kernel may have marked the lost
pages clean, and a second fsync would succeed without the data. So nothing here is tried twice: every fault becomes
`AppendFailed`, the process stops, and the next one recovers from what the file holds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from replay.errors import AppendFailed


@dataclass(frozen=True)
class SyscallSeam:
    """For tests only: the system calls whose failure is injected. Production code uses the kernel's."""

    write: Callable[[int, bytes], int] = os.write
    fsync: Callable[[int], None] = os.fsync
    ftruncate: Callable[[int, int], None] = os.ftruncate
    rename: Callable[[Path, Path], None] = os.rename
    link: Callable[[Path, Path], None] = os.link


KERNEL = SyscallSeam()


# openat(path, O_WRONLY|O_APPEND|O_CREAT|O_CLOEXEC) -> fsync(file) -> openat(folder) -> fsync(folder) -> close(folder)
def create(path: Path, seam: SyscallSeam = KERNEL) -> int:
    """Open a file for appending, making it and its name durable where it is new.

    Raises:
        AppendFailed: The disk said no.
    """
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise append_failed("open", path, error) from error
    try:
        seam.fsync(fd)
    except OSError as error:
        os.close(fd)
        raise append_failed("fsync", path, error) from error
    sync_folder(path.parent, seam)
    return fd


# openat(folder, O_RDONLY|O_DIRECTORY) -> fsync(folder) -> close(folder)
def sync_folder(folder: Path, seam: SyscallSeam = KERNEL) -> None:
    """Make the names in a folder durable.

    Raises:
        AppendFailed: The disk said no.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            seam.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise append_failed("fsync", folder, error) from error


# mkdirat(folder) for each missing one, outermost first, each followed by the fsync of its parent
def make_folders(folder: Path, seam: SyscallSeam = KERNEL) -> None:
    """Make a folder and the missing ones above it, durably.

    Raises:
        AppendFailed: The disk said no.
    """
    if folder.is_dir():
        return
    make_folders(folder.parent, seam)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise append_failed("mkdir", folder, error) from error
    sync_folder(folder.parent, seam)


# write(fd, all of it) -> fsync(fd)
def append(fd: int, data: bytes, path: Path, seam: SyscallSeam = KERNEL, *, sync: bool = True) -> None:
    """Write at the end of a file opened by `create`, in one write, and wait for the disk unless told not to.

    Raises:
        AppendFailed: The write failed or was short, or the fsync failed.
    """
    try:
        written = seam.write(fd, data)
    except OSError as error:
        raise append_failed("write", path, error) from error
    if written != len(data):
        raise AppendFailed(
            f"short write to {path}: {written} of {len(data)} bytes",
            hint="Probably a full disk. Make room and start the writer again: what was not acknowledged comes back.",
        )
    if not sync:
        return
    try:
        seam.fsync(fd)
    except OSError as error:
        raise append_failed("fsync", path, error) from error


# ftruncate(fd, size) -> fsync(fd)
def cut(fd: int, size: int, path: Path, seam: SyscallSeam = KERNEL) -> None:
    """Cut a file to `size` bytes.

    Raises:
        AppendFailed: The disk said no.
    """
    try:
        seam.ftruncate(fd, size)
        seam.fsync(fd)
    except OSError as error:
        raise append_failed("truncate", path, error) from error


# openat(path, O_WRONLY) -> pwrite(fd, data, offset) -> fsync(fd) -> close(fd)
def rewrite(path: Path, offset: int, data: bytes, seam: SyscallSeam = KERNEL) -> None:
    """Write bytes that the file already holds again, so that the following fsync really sends them to the disk.

    Raises:
        AppendFailed: The disk said no.
    """
    try:
        # Not the log's own descriptor: on Linux pwrite on an O_APPEND file appends, whatever its offset.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.pwrite(fd, data, offset)
            if written != len(data):
                raise OSError(errno.ENOSPC, "short write")
            seam.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise append_failed("rewrite", path, error) from error


# openat(temporary, O_WRONLY|O_CREAT|O_TRUNC) -> write -> fsync -> rename(temporary, path) -> fsync(folder)
def keep(path: Path, data: bytes, seam: SyscallSeam = KERNEL) -> None:
    """Make a file with this content: whole or not at all.

    Raises:
        AppendFailed: The disk said no.
    """
    temporary = path.with_name(path.name + ".tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    fd = create(temporary, seam)
    try:
        append(fd, data, temporary, seam)
        seam.rename(temporary, path)
    except OSError as error:
        raise append_failed("rename", path, error) from error
    finally:
        os.close(fd)
    sync_folder(path.parent, seam)


# rename(path, target) -> fsync(folder)
def rename(path: Path, target: Path, seam: SyscallSeam = KERNEL) -> None:
    """Give a file another name in its folder.

    Raises:
        AppendFailed: The disk said no.
    """
    try:
        seam.rename(path, target)
    except OSError as error:
        raise append_failed("rename", path, error) from error
    sync_folder(path.parent, seam)


# linkat(source, target) -> fsync(folder); without links: read(source) -> write(temporary) -> fsync -> rename -> fsync
def second_name(source: Path, target: Path, seam: SyscallSeam = KERNEL) -> None:
    """Give a file another name beside its own, or, where the file system has no hard links, make a copy of it.

    Raises:
        AppendFailed: The disk said no.
    """
    try:
        if target.exists() and not target.samefile(source):
            target.unlink()
        if not target.exists():
            seam.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise append_failed("link", target, error) from error
        _copy(source, target, seam)
    sync_folder(target.parent, seam)


_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV, errno.ENOSYS, errno.EMLINK)
_COPIED_BYTES = 1 << 20


def _copy(source: Path, target: Path, seam: SyscallSeam) -> None:
    temporary = target.with_name(target.name + ".tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    fd = create(temporary, seam)
    try:
        with source.open("rb") as file:
            while data := file.read(_COPIED_BYTES):
                if seam.write(fd, data) != len(data):
                    raise OSError(errno.ENOSPC, "short write")  # noqa: TRY301  told like the kernel's own
        seam.fsync(fd)
        seam.rename(temporary, target)
    except OSError as error:
        raise append_failed("copy", target, error) from error
    finally:
        os.close(fd)


# openat(temporary, O_CREAT) -> fsync -> fsync(folder) -> rename(temporary, path) -> fsync(folder)
def put_empty(path: Path, seam: SyscallSeam = KERNEL) -> int:
    """Put a new empty file in the place of another, and open it for appending. The name is never without a file.

    Raises:
        AppendFailed: The disk said no.
    """
    temporary = path.with_name(path.name + ".next")
    with suppress(FileNotFoundError):
        temporary.unlink()
    fd = create(temporary, seam)
    try:
        seam.rename(temporary, path)
        sync_folder(path.parent, seam)
    except OSError as error:
        os.close(fd)
        raise append_failed("rename", path, error) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def append_failed(step: str, path: Path, error: OSError) -> AppendFailed:
    """The error for a system call that failed."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            hint = "Make room for the log and start the writer again: what was not acknowledged comes back."
        case errno.EROFS | errno.EACCES | errno.EPERM:
            hint = "The folder cannot be written. Mount it read-write, or give this user the right, and start again."
        case _:
            hint = "Look at the disk (`dmesg`), then start the writer again: it checks the log's end before it writes."
    return AppendFailed(f"{step} of {path} failed: {error.strerror or error}", hint=hint)
