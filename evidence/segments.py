"""Which files hold a log: closed segments, oldest first, and the active file behind them.

Every place in a log is one number, its *position*: the byte counted through all segments. A position never changes,
whatever is closed meanwhile; the manifest turns it into a file and an offset there (`Manifest.place`).

`runs.jsonl` is the active file; `runs.segments/0000000001-1.jsonl` (number, first seq) are the closed ones, and
`runs.segments/manifest.json` says what they hold. A file that the manifest does not name does not count yet.
"""

from __future__ import annotations

import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal

from pydantic import ConfigDict, Field, ValidationError

from replay.contracts import Message
from replay.errors import EvidenceDamaged

from .format import MAX_LINE_BYTES, NO_HASH, Flaw, parse

_MANIFEST = "manifest.json"
_SEQ = re.compile(rb'"prev":"sha256:[0-9a-f]{64}","seq":([0-9]+)\}')  # tells without parsing a line that it is later


class Segment(Message):
    """A closed segment. `start` is the position of its first byte; `first_prev` is the hash of the line before it."""

    number: int = Field(ge=1)
    file: str
    start: int = Field(ge=0)
    bytes: int = Field(ge=1)
    first_seq: int = Field(ge=1)
    last_seq: int = Field(ge=1)
    first_prev: str
    last_hash: str
    sha256: str = Field(description="Of the file.")

    @property
    def end(self) -> int:
        """The position after its last byte."""
        return self.start + self.bytes


class Manifest(Message):
    """The closed segments of a log, in order."""

    schema_: Literal["replay_segments.v1"] = Field("replay_segments.v1", alias="schema")
    segments: tuple[Segment, ...] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @property
    def end(self) -> int:
        """The position at which the active file begins."""
        return self.segments[-1].end if self.segments else 0

    @property
    def last_seq(self) -> int:
        """The number of the last record that is in a closed segment."""
        return self.segments[-1].last_seq if self.segments else 0

    @property
    def last_hash(self) -> str:
        """The hash of that record's line."""
        return self.segments[-1].last_hash if self.segments else NO_HASH

    def place(self, log: Path, position: int) -> tuple[Path, int, int]:
        """The file that holds a position, the byte offset in it, and the number of the file's first record."""
        segment = self.segment_of(position)
        if segment is None:
            return log, position - self.end, self.last_seq + 1
        return folder(log) / segment.file, position - segment.start, segment.first_seq

    def segment_of(self, position: int) -> Segment | None:
        """The closed segment that holds this position; None is the active file."""
        if position >= self.end:
            return None
        return self.segments[bisect_right(self.segments, position, key=lambda segment: segment.start) - 1]


def folder(log: Path) -> Path:
    """Where the closed segments of a log lie."""
    return log.with_name(log.stem + ".segments")


def manifest_path(log: Path) -> Path:
    """Where the manifest of the closed segments lies."""
    return folder(log) / _MANIFEST


def segment_name(number: int, first_seq: int) -> str:
    """The file name of a closed segment; they sort by number."""
    return f"{number:010}-{first_seq}.jsonl"


def load(log: Path) -> Manifest:
    """The manifest of a log; a log that was never rotated has an empty one.

    Raises:
        EvidenceDamaged: It is no manifest, or its segments do not follow each other.
    """
    path = manifest_path(log)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Manifest()
    return _parsed(path, data)


# Readers ask for it again and again, and it changes with a rotation only.
@lru_cache(maxsize=4)
def _parsed(path: Path, data: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _damaged(path, f"{place}: {first['msg']}" if place else first["msg"]) from error
    before = Manifest()
    for number, segment in enumerate(manifest.segments, start=1):
        follows = (number, before.end, before.last_seq + 1, before.last_hash)
        if (segment.number, segment.start, segment.first_seq, segment.first_prev) != follows:
            raise _damaged(path, f"segment {segment.number} does not follow the one before it")
        if segment.last_seq < segment.first_seq or segment.file != segment_name(number, segment.first_seq):
            raise _damaged(path, f"segment {segment.number} is described wrongly")
        before = Manifest(segments=(segment,))
    return manifest


def encode(manifest: Manifest) -> bytes:
    """The bytes of a manifest file, for people too."""
    return json.dumps(manifest.model_dump(by_alias=True), indent=1, ensure_ascii=False).encode() + b"\n"


def closed_copy(file: IO[bytes], manifest: Manifest) -> Segment | None:
    """The closed segment that lies at the active file's name, or of which a beginning does; None where none does.

    So it is while a rotation stands between its last two steps, and in a copy of a log that rotated meanwhile.
    """
    if not manifest.segments:
        return None
    file.seek(0)
    line = file.readline(MAX_LINE_BYTES)
    match = _SEQ.search(line)
    if match is None or int(match[1]) > manifest.last_seq:
        return None
    first = parse(line)
    if isinstance(first, Flaw):
        return None
    return next((segment for segment in manifest.segments if segment.first_seq == first[1].seq), None)


@contextmanager
def snapshot(log: Path) -> Iterator[tuple[Manifest, IO[bytes] | None]]:
    """A manifest, and the active file that belongs to it, open; None where that is missing or holds nothing yet.

    The two are of one moment, although a writer may rotate at any.
    """
    while True:
        try:
            file = log.open("rb", buffering=1 << 20)
        except FileNotFoundError:
            yield load(log), None
            return
        with file:
            manifest = load(log)
            # Still in its place after the manifest was read, so it was when the manifest was.
            try:
                stands = os.path.samestat(os.fstat(file.fileno()), log.stat())
            except FileNotFoundError:
                stands = False
            if not stands:
                continue
            yield manifest, file if closed_copy(file, manifest) is None else None
            return


def _damaged(path: Path, what: str) -> EvidenceDamaged:
    return EvidenceDamaged(
        f"{path} is damaged: {what}",
        hint="Nothing was changed. Put this file back from a backup of the log: it names the closed segments.",
    )
