"""Playbooks from JSON lines: one record a line, from Replay itself or from another system's export.

What a line needs, under the names of `FieldMap` or those that its options give:

- id and text: required, not blank. A number will do as an id;
- title and tags: optional;
- kind: `exemplar`, `warning`, `note`, or a usual word such as `success` and `failed`; or in its place a success score,
  of which 0.75 and more is an exemplar and less a warning; with neither, the record is a note.

Other fields are left aside: a team's file carries more than Replay needs. A text too long for one record becomes
several of the same kind, title and tags, `ID#part-1`, `ID#part-2` and on. A bad line is named and left out, and the
rest is kept. A file is read line by line: memory holds the longest allowed line and about 150 bytes for each id.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from replay.contracts import Record
from replay.corpus import entry, jsonlines
from replay.corpus.entry import Bad
from replay.corpus.fieldmap import USUAL, FieldMap
from replay.corpus.jsonlines import RawLine


@dataclass(frozen=True)
class BadLine:
    """A line that gave no record: its number from 1, the field at fault (empty: the line itself) and why."""

    number: int
    field: str
    reason: str


@dataclass
class Counts:
    """What reading has come to, kept up while it goes on.

    Attributes:
        lines: Lines that are not blank.
        bytes: Their length, and that of the blank ones, unpacked.
        records: Records that the lines gave.
        bad: Lines that gave none.
        repeated: Lines that say again what an earlier line with their id said; they are counted once, as that one.
        cut: Lines whose text became several records.
    """

    lines: int = 0
    bytes: int = 0
    records: int = 0
    bad: int = 0
    repeated: int = 0
    cut: int = 0


@dataclass(frozen=True)
class PlaybookReport:
    """What reading a playbook gave: its records in the order of the file, and the lines that gave none."""

    origin: str
    records: tuple[Record, ...]
    bad_lines: tuple[BadLine, ...]
    repeated: int = 0
    cut: int = 0


def scan(source: str | Path, fields: FieldMap = USUAL, *, counts: Counts | None = None) -> Iterator[Record | BadLine]:
    """Read a playbook file, or standard input for `-`, one line at a time; a gzipped one is unpacked on the way.

    Args:
        source: Path, or `-`.
        fields: Where a line keeps what a record needs.
        counts: Kept up to date while the caller reads on.

    Raises:
        InputError: The file cannot be read, or not to its end.
    """
    return items(jsonlines.read(source), jsonlines.origin(source), fields, counts or Counts())


def read(source: str | Path, fields: FieldMap = USUAL) -> PlaybookReport:
    """Read a playbook file whole; every good line is kept, whatever the others are.

    Raises:
        InputError: The file cannot be read, or not to its end.
    """
    return _report(jsonlines.read(source), jsonlines.origin(source), fields)


def parse(content: bytes, origin: str, fields: FieldMap = USUAL) -> PlaybookReport:
    """Read the bytes of a playbook, as `read` reads a file."""
    return _report(jsonlines.lines(io.BytesIO(content)), origin, fields)


def _report(lines: Iterable[RawLine], origin: str, fields: FieldMap) -> PlaybookReport:
    counts = Counts()
    records: list[Record] = []
    bad: list[BadLine] = []
    for item in items(lines, origin, fields, counts):
        if isinstance(item, BadLine):
            bad.append(item)
        else:
            records.append(item)
    return PlaybookReport(origin, tuple(records), tuple(bad), counts.repeated, counts.cut)


def items(lines: Iterable[RawLine], origin: str, fields: FieldMap, counts: Counts) -> Iterator[Record | BadLine]:
    """Read lines one at a time, as `scan` does a file's."""
    seen = _Seen()
    for line in lines:
        counts.bytes += line.length
        if line.content is not None and not line.content.strip():
            continue
        counts.lines += 1
        try:
            records = entry.records(line, origin, fields)
            fresh = seen.fresh(records, line.number)
        except Bad as fault:
            counts.bad += 1
            yield BadLine(line.number, fault.field, fault.reason)
            continue
        if not fresh:
            counts.repeated += 1
            continue
        counts.cut += len(records) > 1
        counts.records += len(fresh)
        yield from fresh


class _Seen:
    """The ids of a file so far, each with the line that it stood in and what it said, as digests."""

    def __init__(self) -> None:
        self._said: dict[bytes, bytes] = {}

    def fresh(self, records: tuple[Record, ...], number: int) -> tuple[Record, ...]:
        """Note the records of a line, and return those that no earlier line gave.

        Raises:
            Bad: An earlier line has said something else by one of these ids. None of them is noted.
        """
        keys = [_digest(record.record_id.encode()) for record in records]
        # No field holds a NUL, so two records that differ are joined into two different texts.
        said = [_digest("\0".join((r.kind, r.title, r.text, *r.tags)).encode()) for r in records]
        earlier = [self._said.get(key) for key in keys]
        for record, before, now in zip(records, earlier, said, strict=True):
            if before is not None and before[:16] != now:
                line = int.from_bytes(before[16:])
                raise Bad("id", f"{record.record_id!r} is also the id of line {line}, which says something else")
        tail = number.to_bytes(6)
        self._said.update(
            (key, now + tail) for key, now, before in zip(keys, said, earlier, strict=True) if before is None
        )
        return tuple(record for record, before in zip(records, earlier, strict=True) if before is None)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
