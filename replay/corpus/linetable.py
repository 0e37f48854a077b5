"""The line table of a source segment: what choosing lines needs to know of every line, without reading its text.

A record is a run of *rows*: its head (title and path), then its lines. A row is a run of *entries*, the distinct
tokens of its text, each the number of a token in the table's own vocabulary; the entries that are part of the name
that the line defines carry a mark. Beside them each line has its kind and the line that it belongs to.

The arrays (`replay.corpus.index.blobs` says how they lie in the file):

- `vocabulary` u64: hashes of the tokens, ascending; a token's number is its place here
- `first_row` i64, `first_entry` i64: for each record, and one more for the end
- `counts` u32: entries of each row
- `name_parts` u16: how many of them are marked
- `entries` u32: token numbers in the order of the text, `NAME_PART` marked
- `enclosing` u32: how many rows above stands the line that this one belongs to (`anatomy`); 0 where there is none
- `kinds` u8: the `LineKind`
- `origin` u32: for each record, the place of its origin in `origins`, which the header has; where several sources
  share the record, their names with line ends between them are one of `origins`
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from replay.contracts import Record
from replay.corpus.anatomy import anatomy
from replay.corpus.index import blobs, hash_tokens
from replay.corpus.sharing import origins_of
from replay.corpus.tokens import TOKENIZER, expand, words

MAGIC = b"replay-lines.v1\n"

NAME_PART = 1 << 31
TOKEN_NUMBER = NAME_PART - 1

_MOST_WORDS_KEPT = 1 << 18


@dataclass(frozen=True, eq=False)
class LineTable:
    """The opened table of one segment; records go by their ordinals. See the module for what the arrays hold."""

    vocabulary: NDArray[np.uint64]
    first_row: NDArray[np.int64]
    first_entry: NDArray[np.int64]
    counts: NDArray[np.uint32]
    name_parts: NDArray[np.uint16]
    entries: NDArray[np.uint32]
    enclosing: NDArray[np.uint32]
    kinds: NDArray[np.uint8]
    origin: NDArray[np.uint32]
    origins: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, *, sha256: str) -> LineTable:
        """Map a table and verify every byte of it.

        Args:
            path: The file.
            sha256: Hex digest of the whole file, as the manifest says.

        Raises:
            CorpusError: The file is missing, cut or damaged, or another version of Replay wrote it.
        """
        return blobs.open_as(path, MAGIC, cls._of, sha256=sha256)

    @classmethod
    def _of(cls, found: blobs.Blobs) -> LineTable:
        return cls(**{name: found.arrays[name] for name in _ARRAYS}, origins=tuple(found.about["origins"]))

    def __len__(self) -> int:
        return len(self.first_row) - 1

    def token_numbers(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The number of each token by its hash, -1 where no line holds it."""
        if not len(self.vocabulary):
            return np.full(len(hashes), -1)
        places = np.minimum(np.searchsorted(self.vocabulary, hashes), len(self.vocabulary) - 1)
        return np.where(self.vocabulary[places] == hashes, places, -1)


_ARRAYS = tuple(field.name for field in fields(LineTable) if field.name != "origins")


def build_lines(records: Iterable[Record]) -> Iterator[bytes | memoryview]:
    """The bytes of a segment's table, in pieces; its records are given in the order of their ordinals.

    The same records give the same bytes.
    """
    table = tabulate(records)
    arrays = {name: getattr(table, name) for name in _ARRAYS}
    return blobs.write(MAGIC, arrays, {"tokenizer": TOKENIZER, "origins": list(table.origins)})


def tabulate(records: Iterable[Record]) -> LineTable:
    """Make the table in memory."""
    table = _Tabulating()
    for record in records:
        table.add(record)
    return table.done()


class _Words(dict[str, tuple[int, ...]]):
    """The token numbers of words, found out when a word first comes."""

    def __init__(self, numbers: dict[str, int]) -> None:
        super().__init__()
        self._numbers = numbers

    def __missing__(self, word: str) -> tuple[int, ...]:
        if len(self) >= _MOST_WORDS_KEPT:
            self.clear()
        found = tuple([self._numbers.setdefault(token, len(self._numbers)) for token in expand(word)])
        self[word] = found
        return found


class _Tabulating:
    """The columns as they grow; token numbers count in order of first use until `done` sorts the vocabulary."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._of_word = _Words(self._numbers)
        self._first_row = array("q", [0])
        self._first_entry = array("q", [0])
        self._counts = array("I")
        self._name_parts = array("H")
        self._entries = array("I")
        self._enclosing = array("I")
        self._kinds = bytearray()
        self._origins: dict[str, int] = {}
        self._origin = array("I")

    def add(self, record: Record) -> None:
        lines = record.text.split("\n")
        self._row(f"{record.title}\n{record.path or ''}")
        self._enclosing.append(0)
        self._kinds.append(0)
        for number, (text, line) in enumerate(zip(lines, anatomy(lines), strict=True)):
            self._row(text, line.named.parts)
            self._enclosing.append(number - line.enclosing if line.enclosing >= 0 else 0)
            self._kinds.append(line.named.kind)
        origin = "\n".join(sorted(origins_of(record))) if record.also else record.origin
        self._origin.append(self._origins.setdefault(origin, len(self._origins)))
        self._first_row.append(len(self._counts))
        self._first_entry.append(len(self._entries))

    def _row(self, text: str, name_parts: tuple[str, ...] = ()) -> None:
        numbers = dict.fromkeys(chain.from_iterable(map(self._of_word.__getitem__, words(text))))
        self._counts.append(len(numbers))
        parts = numbers.keys() & {self._numbers.get(part) for part in name_parts} if name_parts else ()
        self._name_parts.append(len(parts))
        self._entries.extend(
            [number | NAME_PART if number in parts else number for number in numbers] if parts else numbers
        )

    def done(self) -> LineTable:
        hashes = hash_tokens(self._numbers)
        order = np.argsort(hashes)
        place = np.empty(len(order), np.uint32)
        place[order] = np.arange(len(order), dtype=np.uint32)
        entries = _array(self._entries)
        return LineTable(
            vocabulary=hashes[order],
            first_row=np.frombuffer(self._first_row, np.int64),
            first_entry=np.frombuffer(self._first_entry, np.int64),
            counts=_array(self._counts),
            name_parts=np.frombuffer(self._name_parts, np.uint16) if self._name_parts else np.empty(0, np.uint16),
            entries=place[entries & TOKEN_NUMBER] | (entries & NAME_PART),
            enclosing=_array(self._enclosing),
            kinds=np.frombuffer(bytes(self._kinds), np.uint8),
            origin=_array(self._origin),
            origins=tuple(self._origins),
        )


def _array(column: array[int]) -> NDArray[np.uint32]:
    return np.frombuffer(column, np.uint32) if column else np.empty(0, np.uint32)
