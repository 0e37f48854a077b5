"""Source records from a directory tree or an installed package: verbatim lines with their path and line range."""

from __future__ import annotations

import io
import os
import stat
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from replay import identity
from replay.contracts import Record, RecordKind
from replay.corpus.definitions import definitions, module_name
from replay.corpus.passages import PASSAGE_LINES, PIECE_CHARS, Piece, cut, sections
from replay.errors import InputError

PACKAGE_PREFIX = "package:"
MAX_FILE_BYTES = 1024 * 1024

_PYTHON = frozenset({".py", ".pyi"})
_PROSE = frozenset({".md", ".markdown", ".rst", ".txt"})
_PLAIN = frozenset({".toml", ".cfg", ".ini", ".yaml", ".yml", ".sh", ".sql", ".js", ".ts", ".go", ".rs", ".java"})
_PLAIN_C = frozenset({".c", ".h", ".cc", ".cpp", ".hpp"})
_TAKEN = _PYTHON | _PROSE | _PLAIN | _PLAIN_C


@dataclass(frozen=True)
class Skipped:
    """A file that gave no record, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class BuildReport:
    """What reading a source gave.

    Attributes:
        origin: Where the records come from, e.g. `celery 5.7.0`.
        files: Files that gave records.
        records: Records in all.
        skipped: Files of a known type that could not be read, each with its reason.
        ignored: Files of other types: images, archives, compiled code.
        unparsed: Python files that this interpreter cannot parse; they were cut as plain text.
    """

    origin: str
    files: int = 0
    records: int = 0
    skipped: tuple[Skipped, ...] = ()
    ignored: int = 0
    unparsed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _File:
    path: str
    at: Path
    description_of: str = ""  # a METADATA file: the package whose long description follows its headers


def read(argument: str) -> tuple[list[Record], BuildReport]:
    """Read what a user names: `package:NAME` for an installed package, or else a directory.

    Raises:
        InputError: There is no such package or directory, or it holds no files.
    """
    if argument.startswith(PACKAGE_PREFIX):
        return read_package(argument.removeprefix(PACKAGE_PREFIX).strip())
    return read_tree(Path(argument))


def read_package(name: str) -> tuple[list[Record], BuildReport]:
    """Read an installed package: its modules, and the long description in its METADATA. Paths start at site-packages.

    Raises:
        InputError: It is not installed here, or its installation lists no files.
    """
    try:
        found = metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        raise InputError(
            f"no installed package is named {name!r}", hint="Install it beside replay, or give a directory instead."
        ) from None
    listed = [file for file in found.files or () if ".." not in file.parts and "__pycache__" not in file.parts]
    root = Path(str(found.locate_file("")))
    files = [_File(file.as_posix(), root / file) for file in listed if not file.parts[0].endswith(".dist-info")]
    described = [_File(file.as_posix(), root / file, name) for file in listed if file.name == "METADATA"]
    if not any(_taken(file.path) for file in files):
        raise InputError(
            f"the installation of {name!r} lists no source files",
            hint="An editable install keeps them elsewhere: give that directory instead.",
        )
    return _read([*files, *described], root, f"{found.metadata['Name']} {found.version}")


def read_tree(root: Path) -> tuple[list[Record], BuildReport]:
    """Read a directory tree, without hidden directories, caches and virtual environments. Paths start at the root.

    Raises:
        InputError: It is no directory.
    """
    if not root.is_dir():
        raise InputError(
            f"{str(root)!r} is not a directory", hint="Give a directory, or package:NAME for an installed package."
        )
    resolved = root.resolve()
    return _read(list(_walk(resolved)), resolved, resolved.name)


def _walk(root: Path) -> Iterator[_File]:
    for folder, inner, names in os.walk(root, followlinks=False):
        here = Path(folder)
        # A linked directory is either read where it lies in the tree, or it lies outside: reported as its link.
        links = [name for name in inner if (here / name).is_symlink()]
        inner[:] = sorted(name for name in inner if name not in links and _worth_entering(here / name))
        for name in sorted([*names, *links]):
            yield _File((here / name).relative_to(root).as_posix(), here / name)


def _worth_entering(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in {"__pycache__", "node_modules"}
    return not hidden and not (folder / "pyvenv.cfg").exists()


def _read(files: list[_File], root: Path, origin: str) -> tuple[list[Record], BuildReport]:
    records: list[Record] = []
    skipped: list[Skipped] = []
    unparsed: list[str] = []
    read_files = ignored = 0
    for file in files:
        if not _taken(file.path) and not file.at.is_symlink():
            ignored += 1
            continue
        text = _text(file, root)
        if isinstance(text, Skipped):
            skipped.append(text)
            continue
        found, parsed = _records(file, text, origin)
        records += found
        read_files += bool(found)
        if not parsed:
            unparsed.append(file.path)
    report = BuildReport(origin, read_files, len(records), tuple(skipped), ignored, tuple(unparsed))
    return records, report


def _taken(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.suffix.lower() in _TAKEN or pure.name == "METADATA"


def _text(file: _File, root: Path) -> str | Skipped:
    """The text of a file with plain newlines as line ends, or why it is left out."""
    if file.at.is_symlink():
        try:
            leaves = not file.at.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # a loop of links
            leaves = True
        where = "leaves the tree" if leaves else "stays in the tree, where its target is read itself"
        return Skipped(file.path, f"symbolic link: it {where}")
    try:
        status = file.at.stat()
        if not stat.S_ISREG(status.st_mode):
            return Skipped(file.path, "not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            return Skipped(file.path, f"{status.st_size} bytes: larger than {MAX_FILE_BYTES}")
        content = file.at.read_bytes()
    except OSError as error:
        return Skipped(file.path, f"unreadable: {error.strerror or error}")
    if b"\0" in content:
        return Skipped(file.path, "binary: it holds null bytes")
    return _decoded(file, content)


def _decoded(file: _File, content: bytes) -> str | Skipped:
    try:
        encoding = "utf-8-sig"
        if PurePosixPath(file.path).suffix in _PYTHON:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = io.TextIOWrapper(io.BytesIO(content), encoding=encoding).read()
    except (UnicodeDecodeError, SyntaxError, LookupError):
        return Skipped(file.path, "binary or in an unknown encoding")
    if (longest := max(map(len, text.split("\n")))) > PIECE_CHARS:
        return Skipped(file.path, f"a line of {longest} characters: generated or minified")
    return text


def _records(file: _File, text: str, origin: str) -> tuple[list[Record], bool]:
    """The records of one file, and whether it was understood as what its name says."""
    lines = text.split("\n")
    pieces, parsed = _pieces(file, text, lines)
    return [_record(file.path, lines, piece, origin) for piece in pieces], parsed


def _pieces(file: _File, text: str, lines: list[str]) -> tuple[list[Piece], bool]:
    suffix = PurePosixPath(file.path).suffix.lower()
    if suffix in _PYTHON:
        try:
            return definitions(text, lines, module_name(file.path)), True
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return cut(lines, Piece(1, len(lines), module_name(file.path)), PASSAGE_LINES), False
    if file.description_of:
        # As in a message, the body follows the first blank line; blanked headers keep the line numbers right.
        headers = lines.index("") if "" in lines else 0
        return sections([""] * headers + lines[headers:], file.description_of), True
    if suffix in _PROSE:
        return sections(lines, PurePosixPath(file.path).stem), True
    return cut(lines, Piece(1, len(lines), file.path), PASSAGE_LINES), True


def _record(path: str, lines: list[str], piece: Piece, origin: str) -> Record:
    text = "\n".join(lines[piece.first - 1 : piece.last])
    key = identity.digest({"path": path, "text": text, "lines": [piece.first, piece.last]})
    return Record(
        record_id="src_" + key.removeprefix("sha256:")[:12],
        kind=RecordKind.SOURCE,
        text=text,
        title=piece.title,
        path=path,
        first_line=piece.first,
        last_line=piece.last,
        origin=origin,
    )
