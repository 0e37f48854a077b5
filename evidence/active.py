"""The active file of a log, as its one writer holds it, and how it becomes a closed segment."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from replay.errors import EvidenceDamaged

from . import durable, segments
from .durable import SyscallSeam
from .format import MAX_LINE_BYTES, Flaw, Head, parse
from .scan import missing
from .segments import Manifest, Segment

_HASHED_BYTES = 1 << 20
_NAME = re.compile(r"(\d{10})-(\d+)\.jsonl")


class Active:
    """The active file, open for appending. Made by `open`.

    `start` is the position of its first byte.

    Args:
        log: The log.
        fd: The active file; closed by `close`.
        manifest: The closed segments.
        seam: The system calls.
    """

    def __init__(self, log: Path, fd: int, manifest: Manifest, seam: SyscallSeam) -> None:
        self._log = log
        self._fd = fd
        self._manifest = manifest
        self._seam = seam

    @classmethod
    def open(cls, log: Path, seam: SyscallSeam) -> Active:
        """Open the active file; a rotation that a crash interrupted is finished or forgotten first.

        Raises:
            EvidenceDamaged: A closed segment is missing, has another size, or is not in the manifest.
            AppendFailed: The disk said no.
        """
        manifest = segments.load(log)
        _check(log, manifest)
        fd = durable.put_empty(log, seam) if _is_closed(log, manifest) else durable.create(log, seam)
        return cls(log, fd, manifest, seam)

    @property
    def start(self) -> int:
        """The position of its first byte."""
        return self._manifest.end

    def append(self, data: bytes, end: int) -> None:
        """Write at the end, which must be at position `end`, and wait for the disk.

        Raises:
            EvidenceDamaged: Somebody else wrote to the file, cut it or put another in its place.
            AppendFailed: The disk said no.
        """
        self._refuse_if_changed(end)
        durable.append(self._fd, data, self._log, self._seam)

    def cut(self, end: int) -> None:
        """Cut what is behind position `end`.

        Raises:
            AppendFailed: The disk said no.
        """
        durable.cut(self._fd, end - self.start, self._log, self._seam)

    def rewrite(self, first: int, end: int) -> None:
        """Write what lies between two positions again, so that it is on the disk for sure.

        Raises:
            AppendFailed: The disk said no.
        """
        first = max(first, self.start)  # a closed segment was synced before it was closed
        if first >= end:
            return
        with self._log.open("rb") as file:
            file.seek(first - self.start)
            durable.rewrite(self._log, first - self.start, file.read(end - first), self._seam)

    def rotate(self, head: Head) -> None:
        """Close the file, which ends at `head`, as a segment, and go on with an empty one.

        Raises:
            EvidenceDamaged: As `append`.
            AppendFailed: The disk said no.
        """
        self._refuse_if_changed(head.end)
        segment = self._described(head)
        durable.make_folders(segments.folder(self._log), self._seam)
        durable.second_name(self._log, segments.folder(self._log) / segment.file, self._seam)
        # Dies before here: the manifest does not name the segment, so the file is the active one only.
        closed = Manifest(segments=(*self._manifest.segments, segment))
        durable.keep(segments.manifest_path(self._log), segments.encode(closed), self._seam)
        # Dies here: readers know by its first record that the file is closed; the next opening puts the new one there.
        fd = durable.put_empty(self._log, self._seam)
        os.close(self._fd)
        self._fd, self._manifest = fd, closed

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    def _described(self, head: Head) -> Segment:
        with self._log.open("rb") as file:
            first = parse(file.readline(MAX_LINE_BYTES))
            if isinstance(first, Flaw) or first[1].seq != self._manifest.last_seq + 1:
                raise EvidenceDamaged(
                    f"{self._log} does not begin with record {self._manifest.last_seq + 1}",
                    hint="Something else wrote to it. Find and stop that; `replay evidence verify` says what is wrong.",
                )
            file.seek(0)
            hashed = hashlib.sha256()
            while data := file.read(_HASHED_BYTES):
                hashed.update(data)
        number = len(self._manifest.segments) + 1
        return Segment(
            number=number,
            file=segments.segment_name(number, first[1].seq),
            start=self.start,
            bytes=head.end - self.start,
            first_seq=first[1].seq,
            last_seq=head.seq,
            first_prev=first[1].prev,
            last_hash=head.hash,
            sha256="sha256:" + hashed.hexdigest(),
        )

    def _refuse_if_changed(self, end: int) -> None:
        ours = os.fstat(self._fd)
        try:
            there = self._log.stat()
        except FileNotFoundError as error:
            raise EvidenceDamaged(
                f"{self._log} was removed while it was being written",
                hint="Put the file back, then start the writer again.",
            ) from error
        except OSError as error:
            raise durable.append_failed("stat", self._log, error) from error
        if not os.path.samestat(ours, there):
            raise EvidenceDamaged(
                f"another file was put in the place of {self._log} while it was being written",
                hint="Put the first file back, then start the writer again.",
            )
        if ours.st_size != end - self.start:
            raise EvidenceDamaged(
                f"{self._log} has {ours.st_size} bytes, but this writer left it at byte {end - self.start}",
                hint="Something else writes to it or cut it. Find and stop that, then start the writer again.",
            )


def _check(log: Path, manifest: Manifest) -> None:
    """Refuse closed segments that are missing, cut, or nobody's."""
    for segment in manifest.segments:
        path = segments.folder(log) / segment.file
        try:
            size = path.stat().st_size
        except FileNotFoundError as error:
            raise missing(path) from error
        if size != segment.bytes:
            raise EvidenceDamaged(
                f"{path} has {size} bytes, but {segment.bytes} when it was closed",
                hint="Nothing was changed. Put this segment back from a backup of the log.",
            )
    named = {segment.file for segment in manifest.segments}
    if not segments.folder(log).is_dir():
        return
    for path in sorted(segments.folder(log).iterdir()):
        if _NAME.fullmatch(path.name) and path.name not in named and not _unfinished(log, path, manifest):
            raise EvidenceDamaged(
                f"{path} is not named in the manifest of the closed segments, and it is not the log's active file",
                hint=f"Nothing was changed. Put {segments.manifest_path(log)} back from a backup of the log.",
            )


def _is_closed(log: Path, manifest: Manifest) -> bool:
    """Does the active file hold nothing that a closed segment has not?"""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return False
    with file:
        segment = segments.closed_copy(file, manifest)
        if segment is None:
            return False
        file.seek(0)
        with (segments.folder(log) / segment.file).open("rb") as closed:
            while data := file.read(_HASHED_BYTES):
                if closed.read(len(data)) != data:
                    raise EvidenceDamaged(
                        f"{log} begins like the closed segment {segment.file}, but goes on otherwise",
                        hint="Nothing was changed. Put the log's newest file back; that segment is whole without it.",
                    )
    return True


def _unfinished(log: Path, path: Path, manifest: Manifest) -> bool:
    """Is this the second name, or a copy, of the active file, left by a rotation that died before the manifest?"""
    if path.name != segments.segment_name(len(manifest.segments) + 1, manifest.last_seq + 1) or not log.exists():
        return False
    with path.open("rb") as there, log.open("rb") as here:
        return path.samefile(log) or there.readline(MAX_LINE_BYTES) == here.readline(MAX_LINE_BYTES) != b""
