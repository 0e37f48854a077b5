"""Proof that a log is what was written: one streaming pass, from the first byte, that trusts nothing it reads.

What it cannot see by itself is a log rewritten from some line on with fresh hashes, by someone who also rewrote index
and checkpoints. That takes a signature, or an old checkpoint held elsewhere: give `key` and `since`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO

from replay.errors import EvidenceDamaged

from . import segments
from .checkpoints import checkpoints_path
from .fault import Fault
from .format import MAX_LINE_BYTES, Flaw, Head, Line, parse, succeed
from .index_check import IndexCheck
from .keys import PublicKey
from .merkle import Tree
from .notes_check import Given, NotesCheck, Tally
from .proving import prove
from .row import ended_run
from .segments import Manifest, Segment
from .unique import Names

__all__ = ["Fault", "IndexState", "Report", "verify"]

_GROWTH_WAIT_S = 1.0  # how long an incomplete last line may take to be completed by a writer


class IndexState(StrEnum):
    """How the index stands to the log. The first three are sound: it is derived and catches up by itself."""

    AGREES = "agrees"
    BEHIND = "behind"
    MISSING = "missing"
    DISAGREES = "disagrees"


@dataclass(frozen=True, slots=True)
class Report:
    """What a pass over the log found. Up to the fault, if there is one, everything is proved.

    `bytes` is what was proved, all segments together; `root` is in base64, as in a checkpoint; `segments` are the
    closed ones that were proved to their end. For the last four see `notes_check.Tally`.
    """

    records: int
    bytes: int
    head: str
    fault: Fault | None
    torn_bytes: int
    index: IndexState
    root: str
    segments: int
    checkpoints: int
    signed: int
    covered: int
    signed_to: int

    @property
    def ok(self) -> bool:
        """Is the log whole and proved? An incomplete last line is not, though the next writer can recover from it."""
        return self.fault is None and self.torn_bytes == 0


def verify(
    path: Path,
    *,
    key: PublicKey | None = None,
    since: Path | None = None,
    checkpoint_dir: Path | None = None,
    strict: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Prove a log: chain, hashes, sequence, unique ids, one end for each run, closed segments, checkpoints and index.

    A log that is being written is proved up to where it ended when the pass began. A log that does not exist is empty.

    Args:
        path: The log.
        key: Whose signatures on checkpoints must hold; there must be at least one.
        since: A file with a checkpoint that was kept elsewhere, which the log must extend.
        checkpoint_dir: Where a second file of checkpoints lies.
        strict: Look also at whether the inside of each bundle is canonical JSON, which takes twice as long
            (`proving`).
        progress: Told bytes as they are proved.

    Raises:
        InputError: `since` holds no checkpoint.
    """
    path = path.absolute()
    tally = Tally()
    # First index and checkpoints, then the log: what they have, it must have.
    with ExitStack() as held:
        index = held.enter_context(closing(IndexCheck(path)))
        notes = [NotesCheck(checkpoints_path(path), key, tally)]
        if checkpoint_dir is not None:
            notes.append(NotesCheck(checkpoints_path(path, checkpoint_dir.absolute()), key, tally))
        if since is not None:
            notes.append(Given(since, key))
        try:
            manifest, active = held.enter_context(segments.snapshot(path))
        except EvidenceDamaged as error:
            nothing = _Pass(path, Manifest(), None, index=index, notes=notes, prover=prove)
            expected = f"a manifest of closed segments ({error.message})"
            return nothing.report(tally, Fault(str(segments.manifest_path(path)), 0, 1, expected))
        done = _Pass(path, manifest, active, index=index, notes=notes, prover=succeed if strict else prove)
        fault = done.run(progress)
        if fault is None and key is not None and not tally.signed:
            where = checkpoints_path(path)
            fault = Fault(str(where), 0, 1, f"a checkpoint that is signed with {key.line}")
        return done.report(tally, fault)


class _Pass:
    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        active: IO[bytes] | None,
        *,
        index: IndexCheck,
        notes: Sequence[NotesCheck],
        prover: Callable[[bytes, Head], Line | Flaw],
    ) -> None:
        self._path = path
        self._manifest = manifest
        self._active = active
        self._size = os.fstat(active.fileno()).st_size if active is not None else 0
        self._index = index
        self._notes = notes
        self._prover = prover
        self._head = Head()
        self._tree = Tree()
        self._torn = 0
        self._closed = 0
        self._ids = Names()
        self._ended = Names()

    def report(self, tally: Tally, fault: Fault | None) -> Report:
        if self._index.head is None:
            index = IndexState.MISSING
        elif self._index.disagrees:
            index = IndexState.DISAGREES
        else:
            index = IndexState.BEHIND if self._index.head.seq < self._head.seq else IndexState.AGREES
        return Report(
            self._head.seq,
            self._head.end,
            self._head.hash,
            fault,
            self._torn,
            index,
            base64.b64encode(self._tree.root()).decode(),
            self._closed,
            tally.checkpoints,
            tally.signed,
            tally.covered,
            tally.signed_to,
        )

    def run(self, progress: Callable[[int], None]) -> Fault | None:
        """The first fault: in the order of the log, of what may be proved line by line; then what lies behind it."""
        fault = self._lines(progress)
        # Found last, but it lies in a line that was passed, so it comes first.
        twice = self._twice()
        if twice is not None or fault is not None:
            return twice or fault
        if (missed := self._index.end(self._head)) is not None:
            line_no = self._head.seq - self._manifest.last_seq + 1
            return Fault(str(self._path), self._head.end - self._manifest.end, line_no, missed)
        for notes in self._notes:
            if (fault := notes.end(self._head)) is not None:
                return fault
        return None

    def _lines(self, progress: Callable[[int], None]) -> Fault | None:
        for segment in self._manifest.segments:
            if (fault := self._segment(segment, progress)) is not None:
                return fault
            self._closed += 1
        if self._active is None:
            return None
        self._active.seek(0)
        for line_no, piece in enumerate(self._pieces(self._active), start=1):
            if not piece.endswith(b"\n") and len(piece) < MAX_LINE_BYTES:
                self._torn = len(piece)
                return None
            if (fault := self._line(piece, str(self._path), self._manifest.end, line_no)) is not None:
                return fault
            progress(len(piece))
        return None

    def _segment(self, segment: Segment, progress: Callable[[int], None]) -> Fault | None:
        path = segments.folder(self._path) / segment.file
        whole = f"a closed segment of {segment.bytes} bytes, as the manifest says"
        hashed, size, line_no = hashlib.sha256(), 0, 0
        try:
            file = path.open("rb", buffering=1 << 20)
        except FileNotFoundError:
            return Fault(str(path), 0, 1, whole)
        with file:
            while piece := file.readline(MAX_LINE_BYTES):
                line_no += 1
                if (fault := self._line(piece, str(path), segment.start, line_no)) is not None:
                    return fault
                hashed.update(piece)
                size += len(piece)
                progress(len(piece))
        if size != segment.bytes:
            return Fault(str(path), min(size, segment.bytes), line_no, whole)
        if (segment.last_seq, segment.last_hash) != (self._head.seq, self._head.hash):
            return self._manifest_fault(segment.last_hash, f"last record {self._head.seq} with hash {self._head.hash}")
        if segment.sha256 != (found := "sha256:" + hashed.hexdigest()):
            return self._manifest_fault(segment.sha256, f"{found}, which the bytes of {segment.file} have")
        return None

    def _line(self, piece: bytes, file: str, start: int, line_no: int) -> Fault | None:
        line = self._prover(piece, self._head)
        at = self._head.end - start
        if isinstance(line, Flaw):
            return Fault(file, at + line.position, line_no, line.expected)
        if (expected := self._index.compare(line, self._head.end)) is not None:
            return Fault(file, at, line_no, expected)
        self._ids.add(line.record["id"], line.chain.seq)
        if (run := ended_run(line.record)) is not None:
            self._ended.add(run, line.chain.seq)
        self._head = self._head.after(line)
        self._tree.add(line.chain.hash)
        if (expected := self._index.compare_tree(self._tree)) is not None:
            return Fault(file, at, line_no, expected)
        for notes in self._notes:
            if (fault := notes.at(self._head, self._tree)) is not None:
                return fault
        return None

    def _manifest_fault(self, wrong: str, expected: str) -> Fault:
        path = segments.manifest_path(self._path)
        data = path.read_bytes()
        at = max(data.find(wrong.encode()), 0)
        return Fault(str(path), at, data[:at].count(b"\n") + 1, expected)

    def _pieces(self, file: IO[bytes]) -> Iterator[bytes]:
        """The lines that begin before where the file ended when the pass began; the last one once it is complete."""
        at = 0
        while at < self._size:
            piece = file.readline(MAX_LINE_BYTES)
            if not piece.endswith(b"\n") and len(piece) < MAX_LINE_BYTES and _grows(file, at + len(piece)):
                file.seek(at)
                continue
            if not piece:
                return
            yield piece
            at += len(piece)

    def _twice(self) -> Fault | None:
        """A record id or a run's end that stands twice among the lines that were passed; the pass ends before it."""
        ids, ends = self._ids.candidates(), self._ended.candidates()
        if not ids and not ends:
            return None
        seen: set[str] = set()
        over: set[str] = set()
        head, tree = Head(), Tree()
        for file, start, line_no, piece in self._again():
            seq = head.seq + 1
            parsed = parse(piece)
            if seq > self._head.seq or isinstance(parsed, Flaw):
                return None
            record, chain = parsed
            record_id, run = record["id"], ended_run(record)
            expected = None
            if seq in ids and record_id in seen:
                expected = f"a record id that is not in the log yet, not {record_id} again"
            elif seq in ends and run in over:
                expected = f"no second end of run {run}"
            if expected is not None:
                fault = Fault(str(file), head.end - start, line_no, expected)
                self._head, self._tree, self._torn = head, tree, 0
                return fault
            if seq in ids:
                seen.add(record_id)
            if seq in ends and run is not None:
                over.add(run)
            head = Head(seq, chain.hash, head.end, head.end + len(piece))
            tree.add(chain.hash)
        return None

    def _again(self) -> Iterator[tuple[Path, int, int, bytes]]:
        for segment in self._manifest.segments:
            path = segments.folder(self._path) / segment.file
            with path.open("rb") as file:
                for line_no, piece in enumerate(file, start=1):
                    yield path, segment.start, line_no, piece
        if self._active is not None:
            self._active.seek(0)
            for line_no, piece in enumerate(self._active, start=1):
                yield self._path, self._manifest.end, line_no, piece


def _grows(file: IO[bytes], size: int) -> bool:
    until = time.monotonic() + _GROWTH_WAIT_S
    while time.monotonic() < until:
        if os.fstat(file.fileno()).st_size > size:
            return True
        time.sleep(0.01)
    return False
