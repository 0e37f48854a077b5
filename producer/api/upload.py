"""Taking an upload: `multipart/form-data`, streamed to the disk as it comes, in the same memory for any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from producer.api.disk import Files, Part, new_id
from producer.api.errors import ApiError, invalid, too_large

# What the form may have besides the file's own bytes.
OVERHEAD_BYTES = 64 * 1024
_MAX_FIELDS = 16
_MAX_FIELD_BYTES = 1024
_MAX_NAME = 255
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Upload:
    """A form that came whole.

    Attributes:
        part: The file, not yet finished.
        file_id: Its name to be.
        filename: What the client calls it, without folders; for people only.
        fields: The other fields of the form.
    """

    part: Part
    file_id: str
    filename: str
    fields: dict[str, str]


async def receive(request: Request, files: Files, limit: int) -> Upload:
    """Take the form of a request. Unless it comes whole, nothing of it stays.

    Args:
        request: Its body is read here, and by nobody else.
        files: Where the file goes.
        limit: Bytes that it may have.

    Raises:
        ApiError: It is no form, or too large, or has no file.
        ClientDisconnect: The client went away in the middle.
        AppendFailed: The disk said no.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise invalid("An upload is a form: multipart/form-data with a boundary.")
    # A body that says it is too large is not read at all.
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit + OVERHEAD_BYTES:
        raise too_large("This file", limit)
    form = _Form(files, limit)
    taken = 0
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]  # a TypedDict of these
        async for chunk in _patiently(request.stream()):
            # What stands around the file is counted too: headers that do not end, or bytes behind the end of the form.
            taken += len(chunk)
            if taken > limit + OVERHEAD_BYTES:
                raise too_large("This file", limit)  # noqa: TRY301  discarded like the others
            parser.write(chunk)
            if form.flush_is_due:
                form.flush_is_due = False
                await run_in_threadpool(form.flush)
        return form.whole()
    except FormParserError as error:
        form.discard()
        raise invalid(f"The form cannot be read: {error}") from error
    except BaseException:
        form.discard()
        raise


async def _patiently(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Chunks, as long as they keep coming."""
    while True:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise ApiError(408, f"No byte of this upload came for {_PATIENCE_S:.0f} s.", code="timeout") from None
        if chunk is None:
            return
        yield chunk


class _Form:
    """What the parser tells, piece by piece."""

    def __init__(self, files: Files, limit: int) -> None:
        self.flush_is_due = False
        self._files = files
        self._limit = limit
        self._part: Part | None = None
        self._file_id = ""
        self._filename = ""
        self._fields: dict[str, bytearray] = {}
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._into: bytearray | None = None
        self._ended = False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_header_field": self._field_of_header,
            "on_header_value": self._value_of_header,
            "on_header_end": self._end_of_header,
            "on_headers_finished": self._headers,
            "on_end": self._end,
        }

    def flush(self) -> None:
        if self._part is not None:
            self._part.flush()

    def discard(self) -> None:
        if self._part is not None:
            self._part.discard()

    def whole(self) -> Upload:
        if not self._ended:
            raise invalid("The form has no end.")
        if self._part is None:
            raise invalid("Missing required parameter: 'file'.", param="file", code="missing_required_parameter")
        fields = {name: value.decode("utf-8", errors="replace") for name, value in self._fields.items()}
        return Upload(self._part, self._file_id, self._filename, fields)

    def _begin(self) -> None:
        self._disposition = b""
        self._into = None

    def _field_of_header(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _value_of_header(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_of_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", errors="replace")
        if b"filename" in options or name == "file":
            if self._part is not None or name != "file":
                raise invalid("An upload is one file, in the field 'file'.", param="file")
            self._filename = display_name(options.get(b"filename", b""))
            self._file_id = new_id()
            self._part = self._files.begin(self._file_id)
            return
        if name in self._fields or len(self._fields) == _MAX_FIELDS:
            raise invalid(f"The form has the field {name[:64]!r} twice, or too many fields.")
        self._into = self._fields[name] = bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._into is not None:
            if len(self._into) + end - start > _MAX_FIELD_BYTES:
                raise too_large("A field of this form", _MAX_FIELD_BYTES)
            self._into += data[start:end]
        elif self._part is not None:
            if self._part.size + end - start > self._limit:
                raise too_large("This file", self._limit)
            self.flush_is_due |= self._part.write(data[start:end])

    def _end(self) -> None:
        self._ended = True


def display_name(raw: bytes) -> str:
    """What a client calls a file: its last part, without what a terminal or a header would obey."""
    text = raw.decode("utf-8", errors="replace").replace("\\", "/")
    name = "".join(char for char in PurePosixPath(text).name if char.isprintable())
    return name[:_MAX_NAME] or "upload.jsonl"
