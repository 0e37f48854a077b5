"""A scripted model server: it speaks the OpenAI-compatible protocol and holds no model.

For tests of the client and for load tests in which a model's time is a chosen number. Every place that shows numbers
made with it has to name it. Inside a test::

    with ScriptedModel([Reply(status=503), Reply("hello")], mode="first-line") as server:
        ...  # server.base_url, server.requests, server.max_concurrency

As a process::

    python tests/scripted_model.py --port 8500 --delay-ms 5 --slots 4 --mode first-line

Once the script is used up, the mode answers: `first-line` with the smallest instance of the request's schema (so the
first evidence line, the value that it assigns, and the first ruling, pass: right wherever the claim is true and the
first line decides it), `reject` with the same but unsure where the schema lets it, `text` with prose, as a server that
ignores the schema.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, cast

Mode = Literal["first-line", "reject", "text"]
MODES: tuple[Mode, ...] = ("first-line", "reject", "text")
MODEL = "scripted"
_UNSURE = ("unsure", "unknown")
_KEPT_REQUESTS = 1000
_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
_EVIDENCE_LINE = re.compile(r"^Evidence:\n\S+ \[[^\]]*\] (?P<text>.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Reply:
    """What one chat completion request gets.

    Attributes:
        content: Text of the message; `...` lets the mode write it.
        status: HTTP status; from 400 on the body is an error object.
        delay_s: Waited before anything is sent.
        headers: Sent besides the usual ones.
        body: The whole body, verbatim, instead of a completion.
        cut: End the connection `before` the first byte, or `midway` through the body.
        finish_reason: Of the choice.
        reasoning: Sent as `reasoning_content`, if there is any.
        usage: The usage object; None leaves it out.
    """

    content: Any = ...
    status: int = 200
    delay_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: Literal["", "before", "midway"] = ""
    finish_reason: str | None = "stop"
    reasoning: str = ""
    usage: Mapping[str, Any] | None = field(default_factory=lambda: dict(_USAGE))


class ScriptedModel:
    """The server, as a context manager. All counters are those of chat completions.

    Args:
        replies: Answered in this order, one for each request, probes of the client included.
        mode: Answers after the script.
        delay_s: Time that each generation after the script takes.
        slots: Generations at once; others wait. None: as many as come.
        port: 0 takes a free one.
        answers_probes: Answer a request whose schema holds nothing but a nonce without using up the script.
    """

    def __init__(
        self,
        replies: Iterable[Reply] = (),
        *,
        mode: Mode = "first-line",
        delay_s: float = 0.0,
        slots: int | None = None,
        port: int = 0,
        answers_probes: bool = True,
    ) -> None:
        self._script = deque(replies)
        self._mode: Mode = mode
        self._delay_s = delay_s
        self._slots = threading.Semaphore(slots) if slots else contextlib.nullcontext()
        self.total_slots = slots
        self._answers_probes = answers_probes
        self._lock = threading.Lock()
        self._active = 0
        self.count = 0
        self.probes = 0
        self.max_concurrency = 0
        self._seen: set[bytes] = set()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self.authorizations: deque[str | None] = deque(maxlen=_KEPT_REQUESTS)
        self._server = _Server(("127.0.0.1", port), self)
        self.port = int(self._server.server_address[1])
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def stats(self) -> dict[str, int]:
        """The counters, as `/stats` shows them."""
        return {"count": self.count, "probes": self.probes, "max_concurrency": self.max_concurrency}

    @property
    def distinct(self) -> int:
        """How many of the chat completions asked something that none before had."""
        return len(self._seen)

    @contextlib.contextmanager
    def generation(self, request: dict[str, Any], authorization: str | None) -> Iterator[tuple[Reply, str]]:
        """Decide the reply to a request and count it as running until the block ends."""
        is_probe = _is_probe(request)
        with self._lock:
            if is_probe:
                self.probes += 1
            if is_probe and self._answers_probes:
                reply = Reply()
            else:
                self.count += 1
                self._seen.add(hashlib.blake2b(json.dumps(request.get("messages")).encode(), digest_size=16).digest())
                self.requests.append(request)
                self.authorizations.append(authorization)
                reply = self._script.popleft() if self._script else Reply(delay_s=self._delay_s)
            self._active += 1
            self.max_concurrency = max(self.max_concurrency, self._active)
        try:
            with self._slots:
                if reply.delay_s:
                    time.sleep(reply.delay_s)
                yield reply, self._written(request) if reply.content is ... else reply.content
        finally:
            with self._lock:
                self._active -= 1

    def _written(self, request: dict[str, Any]) -> str:
        schema = schema_of(request)
        if self._mode == "text" or schema is None:
            return "It is as the evidence says."
        instance = instance_of(schema, prefer=_UNSURE if self._mode == "reject" else ())
        return json.dumps(_with_value(instance, request), ensure_ascii=False)


def schema_of(request: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON schema that a request wants its reply to obey."""
    wanted = request.get("response_format") or {}
    return cast("dict[str, Any] | None", wanted.get("json_schema", {}).get("schema"))


def instance_of(schema: Any, prefer: Iterable[str] = ()) -> Any:
    """The smallest instance of a JSON schema; an enum gives a preferred value, or else its first one."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return next((value for value in schema["enum"] if value in tuple(prefer)), schema["enum"][0])
    branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if branches:
        return instance_of(branches[0], prefer)
    kind = schema.get("type", "object" if "properties" in schema else "null")
    return _instance_of_kind(kind[0] if isinstance(kind, list) else kind, schema, tuple(prefer))


def _instance_of_kind(kind: str, schema: dict[str, Any], prefer: tuple[str, ...]) -> Any:
    if kind == "object":
        wanted = set(schema.get("required", ()))
        parts = schema.get("properties", {}).items()
        return {name: instance_of(part, prefer) for name, part in parts if name in wanted}
    if kind == "array":
        return [instance_of(schema.get("items", {}), prefer) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    return {"integer": schema.get("minimum", 0), "number": schema.get("minimum", 0.0), "boolean": True}.get(kind)


def _with_value(instance: Any, request: dict[str, Any]) -> Any:
    """Give the findings of an audit's reply the value that stands behind the first evidence line's last `=`."""
    findings = instance.get("findings") if isinstance(instance, dict) else None
    first = _EVIDENCE_LINE.search(str(request["messages"][-1]["content"]))
    if findings and first:
        value = first["text"].rpartition("=")[2].partition("#")[0].strip()
        for finding in findings:
            finding.update(found=value, expected=value)
    return instance


def _is_probe(request: dict[str, Any]) -> bool:
    schema = schema_of(request)
    return schema is not None and list(schema.get("properties", {})) == ["token"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], model: ScriptedModel) -> None:
        super().__init__(address, _Handler)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, as in tests of that, is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    @property
    def _model(self) -> ScriptedModel:
        return cast("_Server", self.server).model

    def do_GET(self) -> None:
        """Answer what a client asks before it generates."""
        pages: dict[str, Any] = {
            "/health": {"status": "ok"},
            "/stats": {**self._model.stats(), "distinct": self._model.distinct},
            **({"/props": {"total_slots": self._model.total_slots}} if self._model.total_slots else {}),
            "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model"}]},
        }
        page = pages.get(self.path, {"error": {"code": 404, "message": "no such page"}})
        self._send(200 if self.path in pages else 404, json.dumps(page).encode())

    def do_POST(self) -> None:
        """Answer a chat completion by the script."""
        request = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        with self._model.generation(request, self.headers.get("Authorization")) as (reply, content):
            if reply.cut == "before":
                self._hang_up()
                return
            body = _body(reply, content) if reply.body is None else reply.body
            self._send(reply.status, body, reply.headers, cut=reply.cut == "midway")

    def log_message(self, *_: Any) -> None:
        """Tests read counters, not lines."""

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.wfile.flush()
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


def _body(reply: Reply, content: Any) -> bytes:
    if reply.status >= 400:
        return json.dumps({"error": {"code": reply.status, "message": content or "scripted"}}).encode()
    message = {"role": "assistant", "content": content}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    choice = {"index": 0, "finish_reason": reply.finish_reason, "message": message}
    body: dict[str, Any] = {"object": "chat.completion", "model": MODEL, "choices": [choice]}
    if reply.usage is not None:
        body["usage"] = dict(reply.usage)
    return json.dumps(body, ensure_ascii=False).encode()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A scripted model server, for load tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="time of one generation")
    parser.add_argument("--slots", type=int, default=None, help="generations at once; default: as many as come")
    parser.add_argument("--mode", choices=MODES, default="first-line")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ScriptedModel(
        mode=options.mode, delay_s=options.delay_ms / 1000, slots=options.slots, port=options.port
    ) as server:
        print(server.base_url, flush=True)  # noqa: T201  the address is this command's output
        stop.wait()


if __name__ == "__main__":
    main()
