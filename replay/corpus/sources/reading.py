"""Reading a source file by file, and telling how it goes."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from replay import identity
from replay.contracts import Record, RecordKind
from replay.corpus.definitions import Cut
from replay.corpus.oneline import one_line
from replay.corpus.passages import PIECE_CHARS, Piece
from replay.corpus.sources import generated, packages
from replay.corpus.sources.cutting import Form, Kind, cut, cut_description, form_of, form_of_script
from replay.corpus.sources.files import File, content, decoded
from replay.corpus.sources.report import BuildReport, Progress, Skipped, Why
from replay.corpus.sources.walking import Walk, walk

NO_SUFFIX = "no suffix"
RELEASE = re.compile(r" \d[^\s/]*$")
"""What follows the name of a package in its origin. A folder whose name ends so has an origin that ends with a `/`."""

ID_DIGITS = 16
"""Of a million records, two have one id in 10^8 corpora."""

OnProgress = Callable[[Progress], None]


@dataclass
class _Tally:
    """What a pass has met so far."""

    files: int = 0
    records: int = 0
    bytes: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    excluded: int = 0
    hidden: int = 0
    empty: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    unparsed: list[str] = field(default_factory=list)


class Reading:
    """The records of one source: each `for` reads its files anew, one at a time.

    Attributes:
        origin: Where the records come from: the name of the folder, or a package with its version.
        place: What is read, however it was named: the folder without links, or as `origin`.
    """

    def __init__(
        self, found: Callable[[], Walk], origin: str, progress: OnProgress | None = None, place: Path | None = None
    ) -> None:
        self.origin = origin
        self.place = place or origin
        self._found = found
        self._progress = progress
        self._tally = _Tally()

    @property
    def report(self) -> BuildReport:
        """What the latest pass gave; whole once it has ended."""
        tally = self._tally
        return BuildReport(
            origin=self.origin,
            files=tally.files,
            records=tally.records,
            bytes=tally.bytes,
            skipped=tuple(tally.skipped),
            excluded=tally.excluded,
            hidden=tally.hidden,
            empty=tally.empty,
            ignored=tally.unknown.total(),
            unknown=dict(sorted(tally.unknown.items(), key=lambda item: (-item[1], item[0]))),
            unparsed=tuple(tally.unparsed),
        )

    def __iter__(self) -> Iterator[Record]:
        met = self._found()
        tally = self._tally = _Tally(skipped=list(met.skipped), excluded=met.excluded, hidden=met.hidden)
        for number, file in enumerate(met.files, 1):
            records = self._read(file, tally)
            tally.files += bool(records)
            tally.records += len(records)
            yield from records
            if self._progress:
                self._progress(Progress(number, len(met.files), tally.bytes, file.path))

    def _read(self, file: File, tally: _Tally) -> list[Record]:
        """The records of one file; what it does not give is tallied."""
        if reason := generated.by_name(file.path):
            tally.skipped.append(Skipped(file.path, reason, Why.GENERATED))
            return []
        form = Form(Kind.PROSE) if file.describes else form_of(file.path)
        suffix = PurePosixPath(file.path).suffix.lower()
        held = content(file) if form or not suffix else b""
        if form is None and isinstance(held, bytes):
            form = form_of_script(held)
        if form is None:
            tally.unknown[suffix or NO_SUFFIX] += 1
            return []
        text = held if isinstance(held, Skipped) else decoded(file.path, held, python=form.is_python)
        tally.bytes += 0 if isinstance(held, Skipped) else len(held)
        if isinstance(text, Skipped):
            tally.skipped.append(text)
            return []
        lines = text.split("\n")
        if form.kind in {Kind.CODE, Kind.PLAIN} and (reason := _written_by_a_tool(lines)):
            tally.skipped.append(Skipped(file.path, reason, Why.GENERATED))
            return []
        made = cut_description(file.describes, lines) if file.describes else cut(file.path, form, text, lines)
        if not made.intact:
            tally.unparsed.append(file.path)
        pieces = _short_enough(file, lines, made, tally)
        tally.empty += not made.pieces
        return [_record(file.path, lines, piece, self.origin) for piece in pieces]


def read_package(name: str, progress: OnProgress | None = None) -> Reading:
    """Read an installed package. Paths start at site-packages.

    Raises:
        InputError: It is not installed here, or its installation lists no files.
    """
    met, origin = packages.listed(name)
    return Reading(lambda: met, origin, progress)


def read_tree(root: Path, progress: OnProgress | None = None, but: Path | None = None) -> Reading:
    """Read a directory tree, all but one folder of it. Paths start at its root."""
    resolved = root.resolve()
    name = one_line(os.fsencode(resolved.name).decode(errors="replace"))  # no locale shall decide what it is called
    return Reading(lambda: walk(resolved, but), f"{name}/" if RELEASE.search(name) else name, progress, resolved)


def _written_by_a_tool(lines: list[str]) -> str | None:
    if (longest := max(map(len, lines))) > PIECE_CHARS:
        return f"a line of {longest} characters: generated or minified"
    return generated.by_marker(lines)


def _short_enough(file: File, lines: list[str], made: Cut, tally: _Tally) -> Iterator[Piece]:
    """The pieces that a bundle can carry: a line that alone is too long is left out."""
    for piece in made.pieces:
        length = len(lines[piece.first - 1])
        if length > PIECE_CHARS:
            reason = f"a line of {length} characters: longer than a record may be"
            tally.skipped.append(Skipped(f"{file.path}:{piece.first}", reason, Why.LONG_LINE))
        else:
            yield piece


def _record(path: str, lines: list[str], piece: Piece, origin: str) -> Record:
    text, title = "\n".join(lines[piece.first - 1 : piece.last]), one_line(piece.title)
    # All that is shown of it, and not its origin: what two sources share is one record, which names both.
    key = identity.digest({"path": path, "title": title, "text": text, "lines": [piece.first, piece.last]})
    return Record(
        record_id="src_" + key.removeprefix("sha256:")[:ID_DIGITS],
        kind=RecordKind.SOURCE,
        text=text,
        title=title,
        path=path,
        first_line=piece.first,
        last_line=piece.last,
        origin=origin,
    )
