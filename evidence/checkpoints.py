"""The checkpoints of a log: an append-only file of signed notes beside it, and one in another place where one is named.

A log cannot tell by itself that it was put back to an earlier state: a restored backup is a sound log. A checkpoint
can, so the writer compares before it changes anything. A checkpoint is written after the fsync of the records that it
covers, so no crash leaves one that the log does not reach.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from replay.errors import EvidenceDamaged
from replay.identity import canonical_json
from replay.settings import Settings

from . import durable, note
from .durable import KERNEL, SyscallSeam
from .format import Flaw, Head, Line, decode, parse, succeed
from .keys import SigningKey
from .merkle import Tree
from .note import Checkpoint
from .scan import damaged, pieces, read_at

SCHEMA = "replay_checkpoint.v1"
MAX_NOTE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Policy:
    """When a log's state is written down, and how.

    Attributes:
        records: New records after which it is.
        interval_s: Seconds after which it is, where there are new records.
        key: Signs; None leaves the notes unsigned.
        folder: Another place for a second copy of the file.
    """

    records: int = 1000
    interval_s: float = 10.0
    key: SigningKey | None = None
    folder: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """As the settings say.

        Raises:
            ConfigurationError: The key cannot be read.
        """
        key = SigningKey.load(settings.evidence_key) if settings.evidence_key is not None else None
        return cls(settings.checkpoint_records, settings.checkpoint_interval_s, key, settings.checkpoint_dir)


@dataclass(frozen=True, slots=True)
class Noted:
    """A line of a checkpoint file: where it begins, counted from 0, its number from 1, and what it says."""

    offset: int
    line: int
    note: str
    checkpoint: Checkpoint
    signatures: list[bytes]


def checkpoints_path(log: Path, folder: Path | None = None) -> Path:
    """Where the checkpoints of a log lie."""
    return (folder or log.parent) / (log.stem + ".checkpoints.jsonl")


def decode_line(data: bytes, offset: int, number: int) -> Noted | Flaw:
    """A line of a checkpoint file, with its line end."""
    try:
        value = json.loads(data)
        text = value["note"]
        if value != {"schema": SCHEMA, "note": text} or not data.endswith(b"\n"):
            return Flaw(0, f"a {SCHEMA} object with a note, and a line end")
        checkpoint, signatures = note.read(text)
    except note.NotANoteError as error:
        return Flaw(0, str(error))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Flaw(0, f"a {SCHEMA} object with a note")
    return Noted(offset, number, text, checkpoint, signatures)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each line of a checkpoint file with its offset; the last one may lack its line end. A missing file has none."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        offset = 0
        while data := file.readline(MAX_NOTE_BYTES):
            yield offset, data
            offset += len(data)


def last(path: Path) -> Noted | None:
    """The last whole checkpoint of a file; None where there is none.

    Raises:
        EvidenceDamaged: Its last whole line is no checkpoint.
    """
    try:
        with path.open("rb") as file:
            start = max(file.seek(0, os.SEEK_END) - 2 * MAX_NOTE_BYTES, 0)
            file.seek(start)
            tail = file.read()
    except FileNotFoundError:
        return None
    whole = tail[: tail.rfind(b"\n") + 1]
    if not whole:
        return None
    begins = whole.rfind(b"\n", 0, -1) + 1
    noted = decode_line(whole[begins:], start + begins, 0)
    if isinstance(noted, Flaw):
        raise EvidenceDamaged(
            f"{path} is damaged at byte {start + begins}: expected {noted.expected}",
            hint="Nothing was changed. Put it back from a backup, or move it away: the log is then not compared to it.",
        )
    return noted


class Checkpoints:
    """The writer's side. Made before the log is changed, so that a log that was put back is left as it is.

    Args:
        log: The log.
        policy: When and how.
        seam: The system calls.
        clock: Seconds that only rise.
        forgiven: Notes that the log need not extend, since a person has decided so (`loss.accept`).

    Raises:
        EvidenceDamaged: The log does not extend its last checkpoint, or that is signed in this key's name and was not
                signed with it. One that is unsigned, or signed by another key, is gone on from: keys change.
        AppendFailed: The disk said no.
    """

    def __init__(
        self,
        log: Path,
        policy: Policy,
        seam: SyscallSeam = KERNEL,
        clock: Callable[[], float] = time.monotonic,
        forgiven: Collection[str] = (),
    ) -> None:
        self._log = log
        self._policy = policy
        self._seam = seam
        self._clock = clock
        self._origin = ""
        self._fds: dict[Path, int] = {}
        self._paths = paths_of(log, policy)
        # Until the files that are forgiven are set aside nothing is written behind what they say.
        self._waits = bool(forgiven)
        noted = [self._extended(path, forgiven) for path in self._paths]
        # Where one of the files fell behind, as after a crash between the two, the next checkpoint goes to both.
        self._size = min(noted)
        self._at = self._synced_at = clock()

    @property
    def signed(self) -> bool:
        """Are there signatures on what is written?"""
        return self._policy.key is not None

    def due(self, head: Head) -> bool:
        """Is there enough new, or new for long enough?"""
        new = head.seq - self._size
        if self._waits:
            return False
        return new >= self._policy.records or (new > 0 and self._clock() - self._at >= self._policy.interval_s)

    def write(self, head: Head, tree: Tree, *, sync: bool = False) -> None:
        """Write down that the log ends at `head`, if that is new.

        It waits for the disk once in an interval only: a note that is lost with the power weakens no other.

        Raises:
            AppendFailed: The disk said no.
        """
        if self._waits or head.seq == self._size:
            return
        checkpoint = note.take(self._named(), head, tree)
        data = canonical_json({"schema": SCHEMA, "note": checkpoint.note(self._policy.key)}) + b"\n"
        sync = sync or self._clock() - self._synced_at >= self._policy.interval_s
        for path in self._paths:
            durable.append(self._opened(path), data, path, self._seam, sync=sync)
        self._size = head.seq
        self._at = self._clock()
        if sync:
            self._synced_at = self._at

    def set_aside(self, notes: Collection[str]) -> list[Path]:
        """Give the files that end in one of these notes another name, for good; the next checkpoint begins a new one.

        Returns:
            Their new names.

        Raises:
            AppendFailed: The disk said no.
        """
        kept = []
        for path in self._paths:
            noted = last(path)
            if noted is None or noted.note not in notes:
                continue
            kept.append(_free(path, noted.checkpoint.size))
            durable.rename(path, kept[-1], self._seam)
        self._waits = False
        return kept

    def close(self) -> None:
        """Let the files go."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}

    def _opened(self, path: Path) -> int:
        if path not in self._fds:
            durable.make_folders(path.parent, self._seam)
            _cut_torn(path, self._seam)
            self._fds[path] = durable.create(path, self._seam)
        return self._fds[path]

    def _extended(self, path: Path, forgiven: Collection[str]) -> int:
        noted = last(path)
        if noted is None or noted.note in forgiven:
            return 0
        stands = noted.checkpoint
        if not extends(self._log, stands):
            refuse_damage(self._log)
            raise EvidenceDamaged(
                f"{self._log} does not extend its last checkpoint, of {path}: at {stands.time} it had "
                f"{stands.size} records, the last of them with hash {stands.head}",
                hint="Was it restored from a backup? Then put the newest log back. If the rest is lost for good, "
                "`replay evidence accept-loss --yes --reason WHY` records that and keeps the old checkpoints; "
                "then start the writer again.",
            )
        key = self._policy.key
        if stands.origin != self._named() or (
            key is not None and note.signed_by(stands, noted.signatures, key.public) is False
        ):
            raise EvidenceDamaged(
                f"the last checkpoint in {path} is not this log's, or its signature does not hold",
                hint="Nothing was changed. `replay evidence verify --public-key KEY` says which checkpoints hold.",
            )
        return stands.size

    def _named(self) -> str:
        if not self._origin:
            first = parse(next(pieces(self._log))[1])
            if isinstance(first, Flaw):
                raise EvidenceDamaged(f"{self._log} does not begin with a record", hint="Run `replay evidence verify`.")
            self._origin = note.origin(first[1].hash)
        return self._origin


def paths_of(log: Path, policy: Policy) -> list[Path]:
    """The checkpoint files of a log: beside it, and in another place where one is named."""
    folders = [None] if policy.folder is None else [None, policy.folder.absolute()]
    return [checkpoints_path(log, folder) for folder in folders]


def extends(log: Path, checkpoint: Checkpoint) -> bool:
    """Does the log still hold the last record of a checkpoint, in its place?"""
    line = decode(read_at(log, checkpoint.at, checkpoint.length))
    return isinstance(line, Line) and (line.chain.seq, line.chain.hash) == (checkpoint.size, checkpoint.head)


def _free(path: Path, size: int) -> Path:
    """A name beside a checkpoint file that nothing has yet; it says up to which record the file went."""
    names = (
        path.with_name(f"{path.stem}.lost-{size}{more}.jsonl") for more in chain([""], (f".{n}" for n in count(2)))
    )
    return next(name for name in names if not name.exists())


def refuse_damage(log: Path) -> None:
    """Name the first line that is none, where there is one: that says more than that a checkpoint does not fit."""
    head = Head()
    for at, piece in pieces(log):
        if not piece.endswith(b"\n"):
            return
        line = succeed(piece, head)
        if isinstance(line, Flaw):
            raise damaged(log, at, head.seq + 1, line)
        head = head.after(line)


def _cut_torn(path: Path, seam: SyscallSeam) -> None:
    """Cut half a line, which a crash left at the end."""
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(size - MAX_NOTE_BYTES, 0)
            file.seek(start)
            whole = start + file.read().rfind(b"\n") + 1
            if whole < size:
                durable.cut(file.fileno(), whole, path, seam)
    except FileNotFoundError:
        return
    except OSError as error:
        raise durable.append_failed("open", path, error) from error
