"""What reading a source says of itself: how far it is, what it left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Why(StrEnum):
    """The kinds of reason for which a file, a folder or a line of a file gives no record."""

    BINARY = "binary"
    ENCODING = "unknown encoding"
    GENERATED = "generated"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    CHANGED = "changed while it was read"
    LINK = "symbolic link"
    SPECIAL = "special file"
    LONG_LINE = "line too long"
    NAME = "name cannot be shown"


@dataclass(frozen=True)
class Skipped:
    """A file, folder or line that gave no record.

    Attributes:
        path: Relative to the root, with `/`; a line of a file that was read otherwise is `path:number`.
        reason: What was found, for a person.
        why: The kind of reason, for counting.
    """

    path: str
    reason: str
    why: Why


@dataclass(frozen=True)
class BuildReport:
    """What reading a source gave.

    Attributes:
        origin: Where the records come from, e.g. `celery 5.7.0`.
        files: Files that gave records.
        records: Records in all.
        bytes: Bytes of the files that were read.
        skipped: What could have given records and did not, each with its reason, in the order of reading.
        excluded: Files and folders that ignore files exclude; an excluded folder counts once, whatever it holds.
        hidden: Folders that are never entered: hidden ones, caches, environments and Replay's own data.
        empty: Files that hold nothing to make a record of: blanks, or only closing brackets.
        ignored: Files of other types: images, archives, compiled code.
        unknown: The same by suffix, the most frequent first.
        unparsed: Files with syntax that their grammar does not know; their intact definitions were cut all the same.
    """

    origin: str
    files: int = 0
    records: int = 0
    bytes: int = 0
    skipped: tuple[Skipped, ...] = ()
    excluded: int = 0
    hidden: int = 0
    empty: int = 0
    ignored: int = 0
    unknown: Mapping[str, int] = field(default_factory=dict)
    unparsed: tuple[str, ...] = ()

    def reasons(self) -> dict[str, int]:
        """How often each kind of reason was given, the most frequent first."""
        return dict(Counter(skipped.why.value for skipped in self.skipped).most_common())


@dataclass(frozen=True)
class Progress:
    """How far a reading is.

    Attributes:
        files: Files that are done, whether they gave records or not.
        of: Files in all; the tree was walked before the first was read.
        bytes: Bytes read so far.
        path: The file that was done last.
    """

    files: int
    of: int
    bytes: int
    path: str
