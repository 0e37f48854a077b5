"""A batch on its way into a manifest, in memory that does not grow with it.

The ids of a batch's runs follow from the batch's id, which follows from all of its tasks. So the tasks are read once
into a temporary file, without what is not known yet; then its id is known, and they are written into the manifest.
Written by hand, since the general way costs several times as much: it is the same to the last byte, and a test holds
each piece against `replay.identity` and `replay.contracts`.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from json.encoder import encode_basestring
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

from evidence import durable
from producer.line import TaskLine
from replay import identity
from replay.contracts import TaskOptions
from replay.errors import AppendFailed

# Below this the tasks stay in memory: most batches never touch the disk twice.
_IN_MEMORY_BYTES = 8 * 1024 * 1024
_HEX_OF_RUN = 24


class Draft:
    """The tasks of one batch, in the order in which they are added. Close it, and they are gone.

    Args:
        folder: Where the temporary file lies, if there are many; it is made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._folder = folder
        self._spool: IO[bytes] = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES))  # noqa: SIM115  closed by close
        self._rolled = False
        self._bytes = 0
        self._options = hashlib.sha256(b"[")
        self._last_options: tuple[TaskOptions | None, bytes] = (None, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the room back; the tasks are gone from here."""
        # What is still buffered need not reach a full disk.
        with suppress(OSError):
            self._spool.close()

    def add(self, line: TaskLine) -> None:
        """Put one task behind the others.

        Raises:
            AppendFailed: The disk said no.
        """
        name = _text(line.custom_id)
        text = _text(line.task)
        checklist = _texts(line.checklist)
        if line.options is not self._last_options[0]:
            self._last_options = (line.options, _options(line.options))
        options = self._last_options[1]
        # As `identity.task_hash`.
        hashed = hashlib.sha256(b'{"checklist":%b,"text":%b}' % (checklist, text)).hexdigest().encode()
        self._options.update(options if self.count == 0 else b"," + options)
        self.count += 1
        # Tabs and line ends stand in none of the parts: JSON writes them as escapes.
        piece = b"\t".join((name, hashed, checklist, options, _texts(line.tags), text)) + b"\n"
        self._bytes += len(piece)
        try:
            if self._bytes > _IN_MEMORY_BYTES and not self._rolled:
                self._roll()
            self._spool.write(piece)
        except OSError as error:
            raise _no_room(self._folder, error) from error

    def batch_id(self, nonce: str = "") -> str:
        """The id of the batch, as `manifest.plan` derives it of the same lines.

        Args:
            nonce: Another value makes another batch of the same tasks, on purpose.
        """
        options = self._options.copy()
        options.update(b"]")
        whole = identity.digest({"options": f"sha256:{options.hexdigest()}", "nonce": nonce})
        runs = hashlib.sha256(b'{"nonce":"%b","runs":[' % whole.encode())
        for number, piece in enumerate(self._pieces()):
            name, hashed, _ = piece.split(b"\t", 2)
            runs.update(b'%b[%b,"sha256:%b"]' % (b"," if number else b"", name, hashed))
        runs.update(b"]}")
        return f"batch_{runs.hexdigest()[:16]}"

    def lines(self, batch_id: str) -> Iterator[bytes]:
        """Each task as it stands in a manifest: the canonical JSON of its `ReplayTask`."""
        batch = batch_id.encode()
        for piece in self._pieces():
            name, hashed, checklist, options, tags, text = piece.rstrip(b"\n").split(b"\t")
            run = hashlib.sha256(b'{"batch":"%b","custom_id":%b,"task":"sha256:%b"}' % (batch, name, hashed))
            yield (
                b'{"batch_id":"%b","checklist":%b,"custom_id":%b,"options":%b,"run_id":"run_%b",'
                b'"schema":"replay_task.v1","tags":%b,"task_hash":"sha256:%b","text":%b}'
                % (batch, checklist, name, options, run.hexdigest()[:_HEX_OF_RUN].encode(), tags, hashed, text)
            )

    def _pieces(self) -> Iterator[bytes]:
        try:
            self._spool.seek(0)
        except OSError as error:  # it writes what is still buffered
            raise _no_room(self._folder, error) from error
        yield from self._spool

    def _roll(self) -> None:
        durable.make_folders(self._folder)
        larger = cast("IO[bytes]", tempfile.TemporaryFile(dir=self._folder, buffering=1 << 20))  # noqa: SIM115  closed by __exit__
        self._spool.seek(0)
        while data := self._spool.read(1 << 20):
            larger.write(data)
        self._spool.close()
        self._spool, self._rolled = larger, True


def _text(text: str) -> bytes:
    return encode_basestring(text).encode()


def _texts(texts: tuple[str, ...]) -> bytes:
    return b"[%b]" % b",".join(map(_text, texts)) if texts else b"[]"


@lru_cache(maxsize=1024)
def _options(options: TaskOptions) -> bytes:
    return identity.canonical_json(options.wire())


def _no_room(folder: Path, error: OSError) -> AppendFailed:
    return AppendFailed(
        f"the tasks cannot be kept in {folder}: {error.strerror or error}",
        hint="Make room or change the rights of the data directory, then submit again; nothing was accepted.",
    )
