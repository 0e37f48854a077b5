"""What holds for every request: who may ask, a limit on its body, and the headers of its answer."""

from __future__ import annotations

import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from producer.api.access import Access
from producer.api.errors import ApiError, answer_refusal, too_large

MAX_BODY_BYTES = 64 * 1024
UPLOADS = "/v1/files"
# They say nothing of files and batches. Whatever else is asked for needs a token, whether it is there or not.
_OPEN = frozenset({"/docs", "/openapi.json", "/healthz"})

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
    """Middleware around the whole application. Uploads have a limit of their own (`upload`).

    Args:
        app: The application.
        access: Decides who may ask, before a byte of a body is read.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

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

        if scope["path"] not in _OPEN:
            try:
                self._access.check(Request(scope))
            except ApiError as refusal:
                refused = await answer_refusal(Request(scope), refusal)
                await refused(scope, receive, with_headers)
                return
        await self._app(scope, limited, with_headers)
