"""One order is one trace, from the client's request to the customer's notification, also across a crash."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shopflow.domain.order import Status
from shopflow.errors import Unavailable
from shopflow.otel import OtelTracing
from shopflow.telemetry import NoTracing, Telemetry, well_formed
from tests.system import System
from tests.taps import Tap, straight_through

CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def played(tap: Tap = straight_through) -> tuple[System, Sequence[ReadableSpan]]:
    """A system that has taken one order, placed in a client's trace, to its end; and the spans it made of it."""
    exporter = InMemorySpanExporter()

    def telemetry(service: str) -> Telemetry:
        return Telemetry(OtelTracing(f"{service}-service", SimpleSpanProcessor(exporter)))

    system = System({"PROD-001": 5}, tap=tap, telemetry=telemetry)
    request = telemetry("order").tracing.request("POST /orders", CLIENTS)
    system.place({"PROD-001": 1}, "pm_card_visa", trace_parent=request.trace_parent)
    request.end()
    assert system.run_until_quiet()
    return system, exporter.get_finished_spans()


def by_name(spans: Sequence[ReadableSpan], service: str) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans if span.resource.attributes["service.name"] == f"{service}-service"}


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_one_trace_goes_from_the_request_to_the_notification() -> None:
    system, spans = played()
    assert [order.status for order in system.tables.orders.values()] == [Status.COMPLETED]
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {CLIENTS.split("-")[1]}
    request = by_name(spans, "order")["POST /orders"]
    reserved = by_name(spans, "inventory")["process order.created"]
    charged = by_name(spans, "payment")["process inventory.reserved"]
    notified = by_name(spans, "notification")["process payment.processed"]
    chain = [request, reserved, charged, notified]
    assert [parent_of(span) for span in chain[1:]] == [span.context.span_id for span in chain[:-1] if span.context]
    assert f"{parent_of(request):016x}" == CLIENTS.split("-")[2]
    assert [span.kind for span in chain] == [SpanKind.SERVER] + [SpanKind.CONSUMER] * 3


def test_an_audit_span_is_the_child_of_the_span_that_published_its_event() -> None:
    _, spans = played()
    recorded = by_name(spans, "audit")
    assert parent_of(recorded["process order.created"]) == _id(by_name(spans, "order")["POST /orders"])
    assert parent_of(recorded["process inventory.reserved"]) == _id(
        by_name(spans, "inventory")["process order.created"]
    )


def test_a_span_carries_the_correlation_id() -> None:
    system, spans = played()
    [order_id] = system.tables.orders
    consumed = [span for span in spans if span.kind is SpanKind.CONSUMER]
    assert len(consumed) == 6
    assert {(span.attributes or {})["orderId"] for span in consumed} == {order_id}


def test_what_the_relay_publishes_belongs_to_the_trace_that_a_crash_interrupted() -> None:
    refused: list[str] = []

    def refuse_first_publish(service: str, method: str, call: partial[Any]) -> Any:
        if method == "topic.publish" and not refused:
            refused.append(service)
            raise Unavailable("the topic is down")
        return call()

    _, spans = played(refuse_first_publish)
    assert refused == ["order"]
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {CLIENTS.split("-")[1]}


def test_a_failed_processing_is_an_error_in_the_trace() -> None:
    failures: list[str] = []

    def fail_once(service: str, method: str, call: partial[Any]) -> Any:
        if method == "gateway.charge" and not failures:
            failures.append(method)
            raise RuntimeError("bug")
        return call()

    _, spans = played(fail_once)
    charges = [span.status.status_code for span in spans if span.name == "process inventory.reserved"]
    assert StatusCode.ERROR in charges


def test_without_an_exporter_the_clients_trace_is_passed_on() -> None:
    system = System({"PROD-001": 5})
    system.place({"PROD-001": 1}, "pm_card_visa", trace_parent=CLIENTS)
    [order] = system.tables.orders.values()
    assert order.outbox is not None
    assert order.outbox.trace_parent == CLIENTS
    assert NoTracing().request("POST /orders", CLIENTS).trace_parent == CLIENTS


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        CLIENTS + "0",
        CLIENTS.upper(),
        "00-" + "0" * 32 + CLIENTS[35:],
        CLIENTS.replace("b7ad6b7169203331", "0" * 16),
    ],
)
def test_text_that_is_no_trace_parent_is_dropped(text: str | None) -> None:
    assert well_formed(text) is None


def _id(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)
