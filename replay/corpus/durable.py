"""Files that are whole or not there, and stay so when the power fails. Above each function stands what it asks for.

The one order that everything here rests on: a file is on the disk before a name leads to it, and its name is on the
disk before another file speaks of it. A fault is raised as the `OSError` that it is: whoever holds the writers' lock
turns it into an error for people, and nothing that was published before is touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


# openat(folder, O_RDONLY|O_DIRECTORY) -> fsync(folder) -> close(folder)
def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# mkdirat(folder) for each missing one, outermost first, each followed by the fsync of its parent
def make_folders(folder: Path) -> None:
    """Make a folder and the missing ones above it, durably."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


# openat(path, O_WRONLY|O_CREAT|O_TRUNC) -> write, over and over -> fsync(file) -> close(file)
def write(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file that no other file speaks of yet, and wait until its bytes are on the disk."""
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


# rename(from, to) for each: the caller syncs the folder when all of them are there
def move(from_: Path, to: Path) -> None:
    """Give a file that `write` made its lasting name. What mapped the file of that name before keeps it."""
    os.replace(from_, to)  # noqa: PTH105  the call that crash tests count


# openat(temporary) -> write -> fsync(file) -> close -> rename(temporary, path) -> fsync(folder)
def put(path: Path, content: bytes) -> None:
    """Put a small file in place of another, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    write(temporary, [content])
    move(temporary, path)
    sync_folder(path.parent)


# openat(path, O_RDWR|O_CREAT) -> [ftruncate] -> pwrite(line, after) -> fsync(file) -> close -> [fsync(folder)]
def append(path: Path, line: bytes, *, after: int) -> None:
    """Write a line at byte `after` of a file, cutting off what lies behind: the torn end of a write that was killed."""
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.fstat(descriptor).st_size > after:
            os.ftruncate(descriptor, after)
        if os.pwrite(descriptor, line, after) != len(line):
            raise OSError(28, "No space left on device")  # a short write says no more than this
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if new:
        sync_folder(path.parent)
