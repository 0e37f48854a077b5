"""Traces of real processes, as a collector receives them by OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.command_line import replay, tasks, write_tasks
from tests.processes import Stack, wait_for
from tests.scripted_model import ScriptedModel

pytestmark = pytest.mark.acceptance

TASKS = 3


class Collector:
    """Takes spans; each is a dict with its service, and ids as bytes."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def named(self, name: str) -> list[dict[str, Any]]:
        """All spans of a name."""
        return [span for span in self.spans if span["name"] == name]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen for the length of the block."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    {
                        "service": about["service.name"],
                        "name": span.name,
                        "trace": span.trace_id,
                        "id": span.span_id,
                        "parent": span.parent_span_id,
                        "text": str(span),
                        "run": next((a.value.string_value for a in span.attributes if a.key == "replay.run_id"), ""),
                    }
                    for span in scope.spans
                ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                zipped = self.headers.get("Content-Encoding") == "gzip"
                collector._take(gzip.decompress(body) if zipped else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        return Handler


def test_a_run_is_one_trace_from_submit_to_evidence_over_both_lanes(
    data_dir: Path, broker_url: str, tmp_path: Path
) -> None:
    """Producer, two workers and writer, each a process: every span of a run hangs on the one before."""
    collector = Collector()
    with (
        collector.running(),
        ScriptedModel(mode="reject") as model,
        Stack(data_dir, broker_url=broker_url, base_url=model.base_url, trace_endpoint=collector.url) as stack,
    ):
        # One worker process for each, so that a stop sends all that there is.
        started = [stack.worker("local", 1), stack.worker("escalation", 1), stack.writer()]
        lines = [task | {"task": f"{task['task']} {n}"} for n, task in enumerate(tasks(TASKS, "canary-name"))]
        submitted = replay(stack.env, "submit", write_tasks(tmp_path / "tasks.jsonl", lines), "--wait", "--json")
        assert submitted.returncode == 0, submitted.stderr
        assert [process.stop() for process in started] == [0, 0, 0]
        wait_for(lambda: len(collector.named("append evidence")) == 2 * TASKS, "the spans of the writer")

    runs = {record["run_id"] for record in stack.evidence()}
    assert len(runs) == TASKS
    for run_id in runs:
        spans = {span["name"]: span for span in collector.spans if span["run"] == run_id}
        chain = [spans[name] for name in _CHAIN]
        assert len({span["trace"] for span in chain}) == 1
        assert [after["parent"] for after in chain[1:]] == [before["id"] for before in chain[:-1]]
        inside = [span for span in collector.spans if span["trace"] == chain[0]["trace"] and not span["run"]]
        by_parent = sorted((span["name"], span["parent"] == chain[1]["id"]) for span in inside)
        assert by_parent == sorted(
            [("retrieve", True)] + [(name, lane) for name in _IN_EACH_LANE for lane in (True, False)]
        )
    services = {span["service"] for span in collector.spans}
    assert services == {"replay-producer", "replay-worker-local", "replay-worker-escalation", "replay-writer"}
    assert len(collector.named("submit")) == 1
    # Nothing of a task, be it its text or its name.
    assert "visibility" not in "".join(span["text"] for span in collector.spans)
    assert "canary-name" not in "".join(span["text"] for span in collector.spans)


_CHAIN = ("send replay.local", "process replay.local", "send replay.escalation", "process replay.escalation")
_IN_EACH_LANE = ("chat scripted", "gate", "append evidence")
