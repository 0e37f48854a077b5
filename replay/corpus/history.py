"""The log of the corpus: one sealed line for each publish, oldest first.

Nothing is read from it to serve or to write records, so it may be lost. A line is written after the pointer is
swapped; where a writer dies in between, the next one writes the line from the manifest, which holds it too.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import ValidationError

from replay.corpus import durable, manifest
from replay.corpus.manifest import Manifest, Published
from replay.errors import CorpusError

LOG = "log.jsonl"

_TAIL = 1 << 16

logger = logging.getLogger(__name__)


def read(corpus_dir: Path) -> tuple[Published, ...]:
    """Every publish, oldest first. An incomplete last line is a write that was killed, and is left aside.

    Raises:
        CorpusError: The log cannot be read, or a line of it is not what was written.
    """
    path = corpus_dir / LOG
    lines = _lines(path)
    return tuple(_entry(path, number, line) for number, line in enumerate(lines, 1))


def note(corpus_dir: Path, current: Manifest) -> None:
    """Write the line of the current version, unless it is the last one already. The caller holds the writers' lock.

    Where it cannot be written, a warning says so: the version is the current one all the same.
    """
    try:
        _note(corpus_dir, current)
    except OSError as error:
        logger.warning("the corpus log %s cannot be written: %s", corpus_dir / LOG, error.strerror or error)


def _note(corpus_dir: Path, current: Manifest) -> None:
    path = corpus_dir / LOG
    line = manifest.seal(current.published)
    size = path.stat().st_size if path.exists() else 0
    tail = _tail(path, size)
    whole = tail[: tail.rfind(b"\n") + 1]
    if not whole.endswith(b"\n" + line) and whole != line:
        durable.append(path, line, after=size - len(tail) + len(whole))


def _tail(path: Path, size: int) -> bytes:
    """The end of the log, with its last whole line: so writing one costs the same however long the log is."""
    if not size:
        return b""
    tail = b""
    length = _TAIL
    with path.open("rb") as file:
        while len(tail) < size and tail.count(b"\n") < 2:
            file.seek(max(0, size - length))
            tail = file.read()
            length *= 2
    return tail


def _lines(path: Path) -> list[bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CorpusError(
            f"corpus log {path} cannot be read: {error.strerror}", hint="Give this user the right to read it."
        ) from error
    return [line for line in content.splitlines(keepends=True) if line.endswith(b"\n")]


def _entry(path: Path, number: int, line: bytes) -> Published:
    body = manifest.unseal(line)
    try:
        if body is not None:
            return Published.model_validate_json(body)
        fault = "its bytes are not what was written"
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
    raise CorpusError(
        f"corpus log {path}, line {number}, is damaged: {fault}",
        hint="The corpus does not need its log: delete that line, or the file, and the next publish goes on with it.",
    )
