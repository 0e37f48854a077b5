"""The Batch API for tests, without a server: ask the application, and make its keeper's steps when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import fakeredis
import httpx

from producer import manifest
from producer.api.app import make_app
from producer.api.desk import Desk
from replay.contracts import State
from replay.settings import Settings
from tests.batches import make_run, record

CLAIM = "Verify that the visibility timeout of kombu's Redis channel is 1 hour."


def request_line(custom_id: str, claim: str = CLAIM, *, url: str = "/v1/chat/completions", **body: Any) -> str:
    """One line of an input file."""
    asked = {"model": "replay", "messages": [{"role": "user", "content": claim}]} | body
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": asked})


def request_file(lines: Sequence[str]) -> bytes:
    """An input file."""
    return "".join(f"{line}\n" for line in lines).encode()


class Api:
    """One server's parts over one data directory, with a fake broker.

    Args:
        settings: With a corpus.
        headers: Sent with each request.
    """

    def __init__(self, settings: Settings, headers: Mapping[str, str] | None = None) -> None:
        self.settings = settings
        self.broker = fakeredis.FakeRedis(server=fakeredis.FakeServer())
        self.desk = Desk.of(settings, self.broker)
        self.app = make_app(self.desk)
        self.headers = {"host": "127.0.0.1"} | dict(headers or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.desk.close()
        self.broker.close()

    def ask(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(verb, path, **{"headers": self.headers} | options)

        return asyncio.run(send())

    def upload(self, content: bytes, name: str = "in.jsonl", **fields: str) -> httpx.Response:
        """Upload a file of requests."""
        return self.ask("POST", "/v1/files", files={"file": (name, content)}, data={"purpose": "batch"} | fields)

    def create(self, lines: Sequence[str], **fields: Any) -> dict[str, Any]:
        """Upload requests and make a batch of them."""
        file_id = self.upload(request_file(lines)).json()["id"]
        body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"} | fields
        made = self.ask("POST", "/v1/batches", json=body)
        assert made.status_code == 200, made.text
        return dict(made.json())

    def batch(self, batch_id: str) -> dict[str, Any]:
        """Ask for a batch."""
        return dict(self.ask("GET", f"/v1/batches/{batch_id}").json())

    def settle(self, batch_id: str) -> dict[str, Any]:
        """Make steps until there is nothing to do now, and ask for the batch."""
        while self.desk.keeper.steps.step(batch_id):
            pass
        return self.batch(batch_id)

    def finish(self, shown: dict[str, Any], states: Mapping[str, State], **fields: Any) -> None:
        """Put the ends of some tasks into the evidence, by their names."""
        tasks = manifest.load(self.settings.batches_dir, shown["replay"]["batch_id"]).tasks
        runs = [make_run(task, states[task.custom_id], **fields) for task in tasks if task.custom_id in states]
        record(self.settings, *runs)

    def lines(self, file_id: str | None) -> dict[str, dict[str, Any]]:
        """The lines of an output or error file, by name; nothing where there is no file."""
        if file_id is None:
            return {}
        content = self.ask("GET", f"/v1/files/{file_id}/content").text
        return {line["custom_id"]: line for line in map(json.loads, content.splitlines())}


def broken_upload(app: Any, chunks: Sequence[bytes], headers: Mapping[str, str]) -> list[int]:
    """Send the beginning of an upload and go away; returns the statuses that were answered all the same."""
    answered: list[int] = []

    async def send_all() -> None:
        messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        messages.append({"type": "http.disconnect"})
        inbox = iter(messages)

        async def receive() -> Any:
            return next(inbox)

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/v1/files",
            "raw_path": b"/v1/files",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
        }
        with suppress(StopIteration):
            await app(scope, receive, send)

    asyncio.run(send_all())
    return answered
