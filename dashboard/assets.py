"""The files that pages load, from memory: packed once, and under an address that changes when any of them does.

`/static/FINGERPRINT/app.css` never changes, so a browser keeps it for a year and asks no more; modules that name each
other by relative addresses stay within one fingerprint. `/static/app.css`, and a fingerprint of another version, give
the file of this version and are asked for again each time, with an ETag.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PREFIX = "/static"
KEPT = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"

_FINGERPRINT_CHARS = 16
_LEAST_PACKED = 512
_SHOWN = frozenset({".css", ".js", ".svg"})


@dataclass(frozen=True)
class Asset:
    """A file: as it is, and packed where that is shorter."""

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str


class Assets:
    """An application that serves the files below a folder.

    Args:
        folder: Read once; only styles, scripts and pictures in it are served.
    """

    def __init__(self, folder: Path) -> None:
        self._assets = {
            path.relative_to(folder).as_posix(): _asset(path)
            for path in sorted(folder.rglob("*"))
            if path.suffix in _SHOWN
        }
        self.fingerprint = _fingerprint(self._assets)

    def address(self, name: str) -> str:
        """Where a page finds a file, as long as this version serves it."""
        return f"{PREFIX}/{self.fingerprint}/{name}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] not in {"GET", "HEAD"}:
            raise HTTPException(405)
        name = scope["path"].removeprefix(f"{PREFIX}/")
        current = name.startswith(f"{self.fingerprint}/")
        asset = self._assets.get(name) or self._assets.get(name.partition("/")[2])
        if asset is None:
            raise HTTPException(404)
        await _answer(asset, Headers(scope=scope), KEPT if current else ASKED_AGAIN)(scope, receive, send)


def _answer(asset: Asset, asked: Headers, kept: str) -> Response:
    headers = {"ETag": asset.etag, "Cache-Control": kept, "Vary": "Accept-Encoding"}
    if asset.etag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if asset.packed is not None and "gzip" in asked.get("accept-encoding", ""):
        return Response(asset.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    packed = gzip.compress(content, 9, mtime=0) if len(content) >= _LEAST_PACKED else None
    kind = mimetypes.types_map.get(path.suffix, "application/octet-stream")
    digest = hashlib.sha256(content).hexdigest()[:_FINGERPRINT_CHARS]
    # A weak one: the same file packed and not packed are other bytes.
    return Asset(content, packed, kind, f'W/"{digest}"')


def _fingerprint(assets: Mapping[str, Asset]) -> str:
    digest = hashlib.sha256()
    for name, asset in assets.items():
        digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
    return digest.hexdigest()[:_FINGERPRINT_CHARS]
