"""One file of a source: where it is, what it holds as bytes and as text, or why it is left out."""

from __future__ import annotations

import codecs
import errno
import hashlib
import io
import os
import stat
import tokenize
from dataclasses import dataclass

from replay.corpus.sources.report import Skipped, Why

MAX_FILE_BYTES = 1024 * 1024

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# The longer mark first: that of UTF-16 is its beginning.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Python knows them; they are for names of hosts and for mail, and some take the square of a file's length.
_FOR_OTHER_TEXTS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})


@dataclass(frozen=True)
class File:
    """A file to read.

    Attributes:
        path: Relative to the root, with `/`; what records and reports call it.
        at: Where it is, as the system takes it: names are bytes there, whatever the locale.
        describes: For a METADATA file: the package whose long description follows its headers.
        sha256: What it must hold, where a link led to it; empty where none did.
    """

    path: str
    at: bytes
    describes: str = ""
    sha256: bytes = b""


def content(file: File) -> bytes | Skipped:
    """The bytes of a regular file that stays as it is while it is read. Links are not followed."""
    try:
        before = os.lstat(file.at)
        if not stat.S_ISREG(before.st_mode):
            is_link = stat.S_ISLNK(before.st_mode)
            return Skipped(file.path, "not a regular file", Why.LINK if is_link else Why.SPECIAL)
        if before.st_size > MAX_FILE_BYTES:
            return Skipped(file.path, f"{before.st_size} bytes: larger than {MAX_FILE_BYTES}", Why.TOO_LARGE)
        # It can have become a link or a pipe by now: neither is followed or waited for.
        with open(os.open(file.at, _FLAGS), "rb") as opened:  # noqa: PTH123  a descriptor, opened with its own flags
            held = opened.read(MAX_FILE_BYTES + 1)
            after = os.fstat(opened.fileno())
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}:
            return Skipped(file.path, "not there any more", Why.CHANGED)
        return Skipped(file.path, f"unreadable: {error.strerror or error}", Why.UNREADABLE)
    if _state(before) != _state(after) or len(held) != after.st_size:
        return Skipped(file.path, "it changed while it was read", Why.CHANGED)
    is_foreign = file.sha256 and hashlib.sha256(held).digest() != file.sha256
    return Skipped(file.path, "a link to another file than was installed", Why.LINK) if is_foreign else held


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


def decoded(path: str, held: bytes, *, python: bool) -> str | Skipped:
    """The text of a file, with plain newlines as line ends.

    Args:
        path: What the report calls it.
        held: Its bytes.
        python: Obey a coding line (PEP 263).
    """
    marked = next((encoding for mark, encoding in _MARKS if held.startswith(mark)), None)
    if b"\0" in held and marked in {None, "utf-8-sig"}:
        return Skipped(path, "binary: it holds null bytes", Why.BINARY)
    try:
        encoding = marked or (_declared(held) if python else "utf-8")
        text = io.TextIOWrapper(io.BytesIO(held), encoding=encoding).read()
        text.encode()  # some codecs give halves of characters, which no record can hold
    except (UnicodeError, SyntaxError, LookupError):
        return Skipped(path, "binary or in an unknown encoding", Why.ENCODING)
    if "\0" in text:
        return Skipped(path, "binary: it holds null characters", Why.BINARY)
    return text


def _declared(held: bytes) -> str:
    """The encoding that a Python file declares.

    Raises:
        LookupError: There is none of that name, or it is none that source code is written in.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(held).readline)
    if codecs.lookup(encoding).name.replace("_", "-") in _FOR_OTHER_TEXTS:
        raise LookupError(encoding)
    return encoding
