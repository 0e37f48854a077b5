"""Lines of a file: plain, gzipped or from standard input, in memory bounded by the longest allowed line."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from replay.corpus.oneline import as_text, one_line
from replay.errors import InputError

STDIN = "-"
MAX_LINE_BYTES = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class RawLine:
    """One line as it stands.

    Attributes:
        number: Counted from 1.
        content: Its bytes without the line's end and a byte order mark; None where there are more than allowed.
        length: How many bytes it has in the file, its end included.
    """

    number: int
    content: bytes | None
    length: int


def origin(source: str | Path) -> str:
    """What records say of where they come from: the name of the file, the same packed or not."""
    return "stdin" if str(source) == STDIN else one_line(as_text(Path(source).name.removesuffix(".gz")))


def read(source: str | Path) -> Iterator[RawLine]:
    """Read a file line by line, or standard input for `-`; what is gzipped is known by its first bytes.

    Raises:
        InputError: The file cannot be opened or read to its end, a gzip stream is damaged, or the text is UTF-16.
    """
    try:
        with _opened(source) as stream:
            for line in lines(stream):
                if line.number == 1 and (line.content or b"").startswith(_UTF16):
                    raise InputError(
                        f"{str(source)!r} is UTF-16, and JSON lines are UTF-8",
                        hint="Convert it: iconv -f UTF-16 -t UTF-8 FILE",
                    )
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{str(source)!r} is damaged: {error}", hint="It is gzipped and does not unpack; fetch or pack it again."
        ) from error
    except OSError as error:
        raise InputError(
            f"{str(source)!r} cannot be read: {error.strerror or error}",
            hint="Give a file of JSON lines, or - for standard input.",
        ) from error


def lines(stream: BinaryIO) -> Iterator[RawLine]:
    """The lines of a stream of bytes, blank ones included."""
    number = 0
    while piece := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        length = len(piece)
        if length <= MAX_LINE_BYTES:
            yield RawLine(number, piece.removeprefix(_BOM).rstrip(b"\r\n"), length)
            continue
        while not piece.endswith(b"\n") and (piece := stream.readline(MAX_LINE_BYTES)):
            length += len(piece)
        yield RawLine(number, None, length)


@contextmanager
def _opened(source: str | Path) -> Iterator[BinaryIO]:
    if str(source) == STDIN:
        yield _unpacked(sys.stdin.buffer)
        return
    with Path(source).open("rb") as file:
        yield _unpacked(file)


def _unpacked(stream: BinaryIO) -> BinaryIO:
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[type-var]  # any raw stream will do
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == _GZIP else buffered  # type: ignore[return-value]  # reads bytes like any other
