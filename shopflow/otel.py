"""Tracing with OpenTelemetry, imported only when spans are exported (requirements/otel.txt)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shopflow.telemetry import TRACE_PARENT, Span, Tracing

_CONTEXT = TraceContextTextMapPropagator()


@dataclass(frozen=True)
class RecordedSpan(Span):
    """A `Span` on OpenTelemetry's ``span``."""

    span: trace.Span

    def end(self, error: Exception | None = None) -> None:
        if error is not None:
            self.span.record_exception(error)
            self.span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self.span.end()


class OtelTracing(Tracing):
    """Tracing through ``processor``, which exports each span. ``close`` waits for the last one."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        self._provider = TracerProvider(resource=Resource.create({SERVICE_NAME: service}), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("shopflow")

    def request(self, name: str, trace_parent: str | None) -> Span:
        return self._start(name, SpanKind.SERVER, trace_parent, {})

    def processing(self, name: str, trace_parent: str | None, attributes: Mapping[str, str]) -> Span:
        return self._start(name, SpanKind.CONSUMER, trace_parent, attributes)

    def close(self) -> None:
        self._provider.shutdown()

    def _start(self, name: str, kind: SpanKind, parent: str | None, attributes: Mapping[str, str]) -> Span:
        context = _CONTEXT.extract({TRACE_PARENT: parent} if parent else {})
        span = self._tracer.start_span(name, context, kind, dict(attributes))
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier, trace.set_span_in_context(span))
        return RecordedSpan(carrier.get(TRACE_PARENT), span)


def exporting(service: str) -> OtelTracing:
    """Tracing to the endpoint in OpenTelemetry's standard variables (OTEL_EXPORTER_OTLP_ENDPOINT and so on)."""
    return OtelTracing(service, BatchSpanProcessor(OTLPSpanExporter()))
