"""The bytes of files: written beside, made durable, then given their name. What has a name is whole."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from evidence import durable
from replay.errors import AppendFailed
from replay.settings import Settings

_PART = ".part"
_ID = re.compile(r"file-[0-9a-f]{32}")
_BUFFER_BYTES = 1 << 20


def folder(settings: Settings) -> Path:
    """Where everything of the API lies."""
    return settings.data_dir / "api"


def new_id() -> str:
    """The name of an uploaded file: it says nothing and cannot be guessed."""
    return f"file-{uuid.uuid4().hex}"


def id_for(batch_id: str, kind: str) -> str:
    """The name of a file that a batch writes: the same one, if it is written again after a crash."""
    return f"file-{hashlib.sha256(f'{batch_id} {kind}'.encode()).hexdigest()[:32]}"


class Files:
    """The folder of the files.

    Args:
        place: It is made where it is missing.

    Raises:
        AppendFailed: It cannot be made.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        durable.make_folders(place)

    def path(self, file_id: str) -> Path:
        """Where a file lies.

        Raises:
            ValueError: It is no id, so it could lead anywhere.
        """
        if _ID.fullmatch(file_id) is None:
            raise ValueError(f"{file_id!r} is no id of a file")
        return self._place / file_id

    def begin(self, file_id: str) -> Part:
        """Begin a file."""
        return Part(self.path(file_id))

    def remove(self, file_id: str) -> None:
        """Remove a file, if it is there."""
        self.path(file_id).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> int:
        """Remove what a killed server left: parts, and files that nobody was told of. Returns how many."""
        ours = (path for path in self._place.iterdir() if _ID.fullmatch(path.name.removesuffix(_PART)))
        left = [path for path in ours if path.name not in known]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)


class Part:
    """A file that is being written. Without `finish` nothing of it stays.

    Args:
        path: The name that it gets at the end.
    """

    def __init__(self, path: Path) -> None:
        self.size = 0
        self._path = path
        self._temporary = path.with_name(path.name + _PART)
        self._buffer = bytearray()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            raise durable.append_failed("open", self._temporary, error) from error

    def write(self, data: bytes) -> bool:
        """Take data; True when enough of it is there for `flush`, which is for a thread that may wait."""
        self._buffer += data
        self.size += len(data)
        return len(self._buffer) >= _BUFFER_BYTES

    def flush(self) -> None:
        """Hand the data to the system.

        Raises:
            AppendFailed: The disk said no.
        """
        try:
            with memoryview(bytes(self._buffer)) as view:
                at = 0
                while at < len(view):
                    at += os.write(self._fd, view[at:])
        except OSError as error:
            raise durable.append_failed("write", self._temporary, error) from error
        self._buffer.clear()

    # write -> fsync(fd) -> close(fd) -> rename(temporary, path) -> fsync(folder)
    def finish(self) -> None:
        """Make the file durable and give it its name.

        Raises:
            AppendFailed: The disk said no; nothing of the file stays.
        """
        try:
            self.flush()
            try:
                os.fsync(self._fd)
                self._close()
                self._temporary.rename(self._path)
            except OSError as error:
                raise durable.append_failed("fsync", self._temporary, error) from error
            durable.sync_folder(self._path.parent)
        except AppendFailed:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing. After `finish`, or twice, it does nothing."""
        if self._fd < 0:
            return
        self._close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)
