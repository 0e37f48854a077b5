"""Spans of one process, by OpenTelemetry's in-memory exporter; and that nothing is traced unless it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import redis
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from broker import evidence_stream
from broker.claims import Claims, claim_key
from broker.envelope import Envelope, opened, publish
from broker.evidence_stream import EvidenceStream
from replay import tracing
from replay.contracts import Bundle, ReplayTask, Tier
from replay.errors import ConfigurationError
from replay.models.client import ModelClient
from replay.settings import Settings
from replay.topology import Queue, TaskName
from tests.factories import make_bundle, make_task
from tests.scripted_model import ScriptedModel
from workers.traced import TracedGenerator, TracedRetriever

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[InMemorySpanExporter]:
    """What ends is here at once."""
    exporter = InMemorySpanExporter()
    tracing.install(Settings(data_dir=tmp_path), "test", exporter=exporter)
    yield exporter
    tracing.shutdown()


def _by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def _parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def test_nothing_is_traced_unless_it_is_asked_for(valkey: redis.Redis) -> None:
    """No header, no field, no exporter (the API of OpenTelemetry is loaded by redis-py, where it is installed)."""
    item = Envelope(TaskName.AUDIT_LOCAL, "run_1:local", {}).sealed(Queue.LOCAL)
    assert tracing.HEADER not in json.loads(item)["headers"]
    with tracing.span("x", fan_out=True) as span, tracing.processing("q", "id", PARENT):
        span.set(anything=1)
        span.fail("Anything")
        assert (tracing.current(), tracing.current_trace_id()) == ("", None)
    code = (
        "import sys, workers.app, cli.main; sys.exit(any(m.startswith('opentelemetry.exporter') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_traces_without_the_extra_are_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigurationError) as refused:
        tracing.install(Settings(data_dir=tmp_path, trace_endpoint="http://127.0.0.1:4318"), "worker")
    assert "otel" in refused.value.hint
    assert not tracing.is_on()


def test_each_message_of_a_submit_begins_a_trace_that_names_the_submit(
    spans: InMemorySpanExporter, valkey: redis.Redis
) -> None:
    """A batch of a million is no trace of a million spans."""
    task = make_task()
    with tracing.span("submit", fan_out=True):
        publish(valkey, Queue.LOCAL, [(TaskName.AUDIT_LOCAL, f"{task.run_id}:{Tier.LOCAL}", task.wire())] * 2)
    submit, sends = _by_name(spans)["submit"], [s for s in spans.get_finished_spans() if s.name == "send replay.local"]
    assert len({span.context.trace_id for span in (submit, *sends)}) == 3
    for span in sends:
        assert span.kind is SpanKind.PRODUCER
        assert [link.context.span_id for link in span.links] == [submit.context.span_id]
        assert span.attributes is not None
        assert span.attributes["replay.run_id"] == task.run_id
    carried = {opened(item, Queue.LOCAL).traceparent for item in _items(valkey)}
    assert {text.split("-")[2] for text in carried} == {f"{span.context.span_id:016x}" for span in sends}


def _items(valkey: redis.Redis) -> list[bytes]:
    return valkey.lrange(Queue.LOCAL, 0, -1)  # type: ignore[return-value]  # RESP 2, bytes


def test_a_message_goes_on_with_its_trace_to_the_other_lane_and_to_the_writer(
    spans: InMemorySpanExporter, valkey: redis.Redis
) -> None:
    """From what the header says, through the handling, to the order that is sent and the record that is appended."""
    claims, queue = Claims(valkey), Queue.LOCAL.value
    valkey.lpush(claim_key(queue, "me"), b"m")
    assert claims.accept(queue, "me", b"m", "tag")
    with tracing.processing(queue, "run_1:local", PARENT, tier="local"):
        order = Envelope(TaskName.AUDIT_ESCALATION, "run_1:escalation", {}).sealed(Queue.ESCALATION)
        assert claims.commit(queue, "tag", b"{}")
    stream = EvidenceStream(valkey, "writer")
    stream.ensure_group()
    (entry,) = stream.read(1, 0)
    tracing.past("append evidence", entry.traceparent, 1_000, 2_000, replay__batch=1)
    found = _by_name(spans)
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {PARENT.split("-")[1]}
    process = found["process replay.local"]
    assert f"{_parent_of(process):016x}" == PARENT.split("-")[2]
    for name in ("send replay.escalation", "append evidence"):
        assert _parent_of(found[name]) == process.context.span_id
    assert (found["append evidence"].start_time, found["append evidence"].end_time) == (1_000, 2_000)
    assert opened(order, Queue.ESCALATION).message("q", "tag")["headers"][tracing.HEADER].startswith("00-0af76519")


@pytest.mark.parametrize("given", ["", "x", PARENT.upper(), f"00-{'0' * 32}-b7ad6b7169203331-01", 7])
def test_a_strangers_header_begins_a_trace_of_its_own(spans: InMemorySpanExporter, given: object) -> None:
    """What is no header of a trace is left out, and the message runs all the same."""
    message = json.loads(Envelope(TaskName.AUDIT_LOCAL, "run_1:local", {}).sealed(Queue.LOCAL))
    message["headers"][tracing.HEADER] = given
    assert opened(json.dumps(message).encode(), Queue.LOCAL).traceparent == ""
    with tracing.processing("q", "run_1:local", given):
        pass
    assert _parent_of(_by_name(spans)["process q"]) is None


def test_a_record_without_a_trace_has_no_span(spans: InMemorySpanExporter, valkey: redis.Redis) -> None:
    """Old entries, and those of processes that trace nothing."""
    stream = EvidenceStream(valkey, "writer")
    stream.ensure_group()
    evidence_stream.append(valkey, b"{}")
    (entry,) = stream.read(1, 0)
    tracing.past("append evidence", entry.traceparent, 1, 2)
    assert spans.get_finished_spans() == ()


def test_a_generation_has_the_names_that_others_know(spans: InMemorySpanExporter, tmp_path: Path) -> None:
    """`gen_ai.*` of the semantic conventions, with counts and no text."""
    with ScriptedModel() as server, ExitStack() as owned:
        settings = Settings(data_dir=tmp_path, base_url=server.base_url, local_model="scripted")
        client = owned.enter_context(closing(ModelClient(settings)))
        TracedGenerator(client, settings).generate(
            Tier.LOCAL, [{"role": "user", "content": "canary-5d1e"}], {"type": "object"}
        )
    TracedRetriever(_Retriever()).retrieve(make_task("canary-5d1e"))
    span = _by_name(spans)["chat scripted"]
    assert span.kind is SpanKind.CLIENT
    assert span.attributes is not None
    told = dict(span.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == "scripted"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (10, 5)
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["server.port"] == server.port
    assert "canary" not in "".join(one.to_json() for one in spans.get_finished_spans())


class _Retriever:
    def retrieve(self, task: ReplayTask) -> Bundle:
        return make_bundle()


def test_a_failure_is_told_by_its_kind_and_not_by_its_text(spans: InMemorySpanExporter) -> None:
    """Texts of errors may quote a task."""
    with pytest.raises(ValueError, match="canary"), tracing.span("x"):
        int("canary")
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {"error.type": "ValueError"}
    assert "canary" not in span.to_json()
