"""Records as bytes: one line of canonical JSON each, with a digest that is checked at every reading.

The file is mapped, not read: opening it costs nothing, forked processes share its pages, and one record costs its own
bytes. What a record is found by (`searched_text`) is decided here, beside what is stored of it.
"""

from __future__ import annotations

import hashlib
import json
import json.encoder
import mmap
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from replay.contracts import Record, RecordKind
from replay.corpus.manifest import BUILD_HINT
from replay.errors import CorpusError

DIGEST_BYTES = 16

_ID_BEGINS = b',"record_id":"'
_LABELS = re.compile(rb'"first_line":[^,]+,"kind":"([a-z]+)","last_line":[^,]+,"origin":"(.*?)","path":')
_ID_ENDS = b'","tags":['
CREDITED = b'{"also":['
"""How the line of a record begins that names others."""
_CREDITS_END = b'],"first_line":'
_quoted = json.encoder.encode_basestring
"""What canonical JSON makes of a string."""


class Records:
    """The records of one segment, by their ordinals.

    Args:
        path: The `.records` file.
        offsets: Where each record begins in it, and one more for the end.
        digests: The digest of each record, as two words.

    Raises:
        CorpusError: The file is missing, cannot be read, or has another size.
    """

    def __init__(self, path: Path, offsets: NDArray[np.int64], digests: NDArray[np.uint64]) -> None:
        self._path = path
        self._offsets = offsets
        self._digests = digests
        self._content = map_file(path, int(offsets[-1]))

    def __len__(self) -> int:
        return len(self._digests)

    def line(self, ordinal: int) -> bytes:
        """The bytes of a record, its line end included.

        Raises:
            CorpusError: They are not what was written.
        """
        line = self._content[int(self._offsets[ordinal]) : int(self._offsets[ordinal + 1])]
        if digest(line) != self._digests[ordinal].astype("<u8").tobytes():
            raise damaged(self._path, f"record {ordinal + 1} of it is not what was written")
        return line

    def record_id(self, ordinal: int) -> str:
        """The id of a record.

        Raises:
            CorpusError: Its bytes are not what was written.
        """
        return record_id_of(self.line(ordinal))

    def is_credited(self, ordinal: int) -> bool:
        """Does a record name others in `also`? A look at its first bytes, which proves nothing."""
        start = int(self._offsets[ordinal])
        return self._content[start : start + len(CREDITED)] == CREDITED

    def credited(self) -> Iterator[int]:
        """The ordinals of records that name others in `also`, in order: found without reading the rest."""
        if len(self) and self.is_credited(0):
            yield 0
        place = self._content.find(b"\n" + CREDITED)
        while place >= 0:
            yield int(np.searchsorted(self._offsets, place + 1))
            place = self._content.find(b"\n" + CREDITED, place + 1)

    def origins(self, ordinal: int) -> frozenset[str]:
        """All sources that a passage comes from.

        Raises:
            CorpusError: Its bytes are not what was written.
        """
        return origins_of(self.line(ordinal))

    def read(self, ordinal: int) -> Record:
        """A record.

        Raises:
            CorpusError: Its bytes are not what was written, or another version of Replay wrote them.
        """
        return decode(self.line(ordinal), self._path)


def encode(record: Record) -> bytes:
    """The line of a record: `identity.canonical_json` of its wire form, made directly, and a line end.

    A build encodes a million of them; the general way takes three times as long.
    """
    first, last = record.first_line, record.last_line
    also = f'"also":[{",".join(map(_quoted, record.also))}],' if record.also else ""
    return (
        f'{{{also}"first_line":{"null" if first is None else first},"kind":"{record.kind.value}",'
        f'"last_line":{"null" if last is None else last},"origin":{_quoted(record.origin)},'
        f'"path":{"null" if record.path is None else _quoted(record.path)},"record_id":{_quoted(record.record_id)},'
        f'"tags":[{",".join(map(_quoted, record.tags))}],"text":{_quoted(record.text)},'
        f'"title":{_quoted(record.title)}}}\n'
    ).encode()


def decode(line: bytes, path: Path) -> Record:
    """The record of a line of `path` whose bytes are known to be those that were written.

    Raises:
        CorpusError: Another version of Replay wrote them.
    """
    try:
        return Record.model_validate_json(line)
    except ValidationError as error:
        raise CorpusError(
            f"{path} holds a record that this version cannot read: {error.errors()[0]['msg']}", hint=BUILD_HINT
        ) from error


def digest(line: bytes) -> bytes:
    """What a record is known by: BLAKE2b of its line, 16 bytes."""
    return hashlib.blake2b(line, digest_size=DIGEST_BYTES).digest()


def record_id_of(line: bytes) -> str:
    """The id that a line holds, without reading the rest of it.

    In canonical JSON a quote within a string is escaped, so the first name of the field is the field itself.
    """
    start = line.index(_ID_BEGINS) + len(_ID_BEGINS)
    return unquoted(line[start : line.index(_ID_ENDS, start)])


def labels_of(line: bytes) -> tuple[bytes, bytes]:
    """The kind and the origin that a line holds, as they are written."""
    labels = _LABELS.search(line)
    if labels is None:
        raise ValueError(f"no line of a record: {line[:80]!r}")
    return labels[1], labels[2]


def origins_of(line: bytes) -> frozenset[str]:
    """All sources that the line of a passage names."""
    origin = unquoted(labels_of(line)[1])
    if not line.startswith(CREDITED):
        return frozenset((origin,))
    names: list[str] = json.loads(line[len(CREDITED) - 1 : line.index(_CREDITS_END) + 1])
    own = f"/{record_id_of(line)}"
    return frozenset((origin, *(name.removesuffix(own) for name in names)))


def unquoted(written: bytes) -> str:
    """The string that stands so between two quotes."""
    return str(json.loads(b'"' + written + b'"')) if b"\\" in written else written.decode()


def searched_text(record: Record) -> str:
    """What a record is found by: of a source its name and path count as text, of a playbook record its title."""
    if record.kind is RecordKind.SOURCE:
        return f"{record.title}\n{record.path or ''}\n{record.text}"
    return f"{record.title}\n{record.text}"


def map_file(path: Path, size: int) -> mmap.mmap:
    """Map a file that must have `size` bytes; it stays readable when its name is taken or removed.

    Raises:
        CorpusError: It is missing, cannot be read, or has another size.
    """
    try:
        with path.open("rb") as file:
            found = file.seek(0, 2)
            if found == size:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise damaged(path, "it is not there") from None
    except OSError as error:
        raise CorpusError(f"corpus file {path} cannot be read: {error.strerror}", hint=BUILD_HINT) from error
    raise damaged(path, f"it has {found} bytes and was written with {size}")


def damaged(path: Path, fault: str) -> CorpusError:
    """The error for a file of a segment that is not what was written."""
    return CorpusError(
        f"corpus file {path} is damaged: {fault}",
        hint="Put it back from a copy. If it holds sources, build them again: replay corpus build SOURCE… If it holds "
        f"playbook records, set {path.parent.parent} aside, then build and import into an empty folder.",
    )
