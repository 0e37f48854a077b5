"""Traces in OpenTelemetry's form, across producer, worker and writer; nothing at all where they are not asked for.

A run is one trace: `send replay.local` (the producer) > `process replay.local` (an attempt: retrieve, chat, gate) >
`send replay.escalation` > `process replay.escalation`, and for each attempt `append evidence` (the writer). The context
travels as `traceparent` in the header of a message and beside a record on the stream. Spans carry ids and counts, never
a task's or a model's text.

Off, which is the default, a span costs one comparison. On, each process makes its exporter at its first span, so that
threads of a parent are not missed after a fork.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from replay.errors import ConfigurationError
from replay.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan

HEADER = "traceparent"

Kind = Literal["internal", "client", "producer", "consumer"]
Value = str | int | float | bool | tuple[str, ...] | None

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# Set while many messages are sent by one command: each begins a trace of its own, with a link to the command's.
_fanned_out: ContextVar[bool] = ContextVar("replay_fanned_out", default=False)


@dataclass
class _Tracing:
    """How this process traces; `provider` belongs to the process `pid`."""

    settings: Settings
    role: str
    exporter: SpanExporter | None
    pid: int = 0
    provider: TracerProvider | None = None


_active: _Tracing | None = None


class Span:
    """A span at work; `set` on one that is not recorded does nothing."""

    def __init__(self, span: OtelSpan | None = None) -> None:
        self._span = span

    def set(self, **attributes: Value) -> None:
        """Attach attributes; `__` in a name stands for a dot, and None is left out."""
        if self._span is not None:
            self._span.set_attributes(_named(attributes))

    def fail(self, why: str) -> None:
        """Mark it as failed, with a word that says how: no text of a stranger."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415  the extra is there, since there is a span

            self._span.set_attribute("error.type", why)
            self._span.set_status(StatusCode.ERROR, why)


_NOTHING = Span()


def install(settings: Settings, role: str, *, exporter: SpanExporter | None = None) -> None:
    """Trace from now on, where the settings say so.

    Args:
        settings: Where spans are sent, and what share of the traces.
        role: Of this process; part of the service's name.
        exporter: Takes the spans at once, instead of the endpoint; for tests.

    Raises:
        ConfigurationError: Traces are asked for and the extra is not installed.
    """
    global _active  # noqa: PLW0603  as logging, it belongs to the process
    if settings.trace_endpoint is None and exporter is None:
        _active = None
        return
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: PLC0415  optional extra
        import opentelemetry.sdk.trace  # noqa: F401, PLC0415  optional extra
    except ImportError:
        raise ConfigurationError(
            "REPLAY_TRACE_ENDPOINT is set, and OpenTelemetry is not installed",
            hint="pip install 'replay-audit[otel]', or unset it.",
        ) from None
    _active = _Tracing(settings, role, exporter)


@contextmanager
def traced(settings: Settings, role: str) -> Iterator[None]:
    """Trace for the length of a block, and send all of it at its end.

    Raises:
        ConfigurationError: As `install`.
    """
    install(settings, role)
    try:
        yield
    finally:
        shutdown()


def is_on() -> bool:
    """Does this process trace?"""
    return _active is not None


def shutdown() -> None:
    """Send what is not sent yet, and trace no more in this process."""
    global _active  # noqa: PLW0603  see above
    if _active is not None and _active.provider is not None and _active.pid == os.getpid():
        _active.provider.shutdown()
    _active = None


@contextmanager
def span(
    name: str, kind: Kind = "internal", *, parent: str = "", fan_out: bool = False, **attributes: Value
) -> Iterator[Span]:
    """A span around a block, within the one that is at work here.

    Args:
        name: Low in cardinality.
        kind: What it is to others.
        parent: The `traceparent` that it goes on from, instead.
        fan_out: Messages that are sent within begin traces of their own.
        attributes: As `Span.set` takes them.
    """
    if _active is None:
        yield _NOTHING
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415  the extra is there, since tracing is on

    token = _fanned_out.set(fan_out)
    try:
        with _tracer(_active).start_as_current_span(
            name,
            context=_context(parent) if parent else None,
            kind=SpanKind[kind.upper()],
            attributes=_named(attributes),
            # Texts of errors may quote a task or an answer.
            record_exception=False,
            set_status_on_exception=False,
        ) as begun:
            shown = Span(begun)
            try:
                yield shown
            except BaseException as error:
                shown.fail(type(error).__name__)
                raise
    finally:
        _fanned_out.reset(token)


def sent(queue: str, message_id: str) -> str:
    """The `traceparent` that a message carries: that of a span which says that it was sent. Empty where none is."""
    if _active is None:
        return ""
    from opentelemetry import trace  # noqa: PLC0415  the extra is there, since tracing is on
    from opentelemetry.context import Context  # noqa: PLC0415  see above

    outer = trace.get_current_span().get_span_context()
    apart = _fanned_out.get() and outer.is_valid
    begun = _tracer(_active).start_span(
        f"send {queue}",
        context=Context() if apart else None,
        kind=trace.SpanKind.PRODUCER,
        links=[trace.Link(outer)] if apart else None,
        attributes=_message(queue, message_id, "send"),
    )
    begun.end()
    return _traceparent(begun)


def processing(queue: str, message_id: str, parent: object, *, tier: str = "") -> AbstractContextManager[Span]:
    """The span around the handling of a message, going on from what its header says."""
    given = parent if isinstance(parent, str) and is_valid(parent) else ""
    about = _message(queue, message_id, "process") | {"replay.tier": tier or None}
    return span(f"process {queue}", "consumer", parent=given, **about)


def current() -> str:
    """The `traceparent` of what is at work here; empty where nothing is traced."""
    if _active is None:
        return ""
    from opentelemetry import trace  # noqa: PLC0415  the extra is there, since tracing is on

    return _traceparent(trace.get_current_span())


def current_trace_id() -> str | None:
    """The trace that is at work here, for log lines."""
    here = current()
    return here.split("-")[1] if here else None


def past(name: str, parent: str, began_ns: int, ended_ns: int, **attributes: Value) -> None:
    """Tell of something that is over, in the trace of `parent`; times are Unix nanoseconds."""
    if _active is None or not is_valid(parent):
        return
    begun = _tracer(_active).start_span(
        name, context=_context(parent), start_time=began_ns, attributes=_named(attributes)
    )
    begun.end(ended_ns)


def is_valid(traceparent: str) -> bool:
    """Is it the header of a trace? Whoever reaches the broker can write there."""
    return _FORM.fullmatch(traceparent) is not None


def _message(queue: str, message_id: str, operation: str) -> dict[str, Any]:
    return {
        "messaging.system": "redis",
        "messaging.destination.name": queue,
        "messaging.operation.name": operation,
        "messaging.message.id": message_id,
        "replay.run_id": message_id.rpartition(":")[0],
    }


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}


def _context(traceparent: str) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415  see above

    return TraceContextTextMapPropagator().extract({HEADER: traceparent})


def _traceparent(begun: OtelSpan) -> str:
    context = begun.get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def _tracer(tracing: _Tracing) -> Any:
    if tracing.provider is None or tracing.pid != os.getpid():
        tracing.provider, tracing.pid = _provider(tracing), os.getpid()
    return tracing.provider.get_tracer("replay")


def _provider(tracing: _Tracing) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  see above
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  see above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  see above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415  see above
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415  see above

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(tracing.settings.trace_share)),
        resource=Resource.create({"service.name": f"replay-{tracing.role}", "process.pid": os.getpid()}),
        shutdown_on_exit=True,
    )
    if tracing.exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(tracing.exporter))
    else:
        endpoint = f"{str(tracing.settings.trace_endpoint).rstrip('/')}/v1/traces"
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider
