"""What holds for every request: a limit on its body, and the headers of its answer."""

from __future__ import annotations

import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.api.errors import too_large

MAX_BODY_BYTES = 64 * 1024
UPLOADS = "/v1/files"

_ALWAYS = {
    # The page /docs has styles of its own and nothing else.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Middleware around the whole application. Uploads have a limit of their own (`upload`)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken = 0
        is_upload = scope["method"] == "POST" and scope["path"] == UPLOADS
        announced = Headers(scope=scope).get("content-length", "")

        async def limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if not is_upload and (taken > MAX_BODY_BYTES or (announced.isdigit() and int(announced) > MAX_BODY_BYTES)):
                raise too_large("The body of this request", MAX_BODY_BYTES)
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = f"req_{uuid.uuid4().hex}"
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, limited, with_headers)
