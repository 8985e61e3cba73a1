"""What the API tells of its answers: metrics, and spans within the client's trace."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shopflow.clock import SystemClock
from shopflow.otel import OtelTracing
from shopflow.telemetry import EmfMetrics, Telemetry
from tests.unit.api.shop import Client, Shop, serving

CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Told:
    """Everything that a shop's telemetry said."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._exporter = InMemorySpanExporter()
        tracing = OtelTracing("order-service", SimpleSpanProcessor(self._exporter))
        self.telemetry = Telemetry(tracing, EmfMetrics("order", SystemClock(), self._lines.append))

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines]

    @property
    def spans(self) -> Any:
        return self._exporter.get_finished_spans()


def test_each_answer_is_counted_with_its_latency_and_only_our_faults_are_errors() -> None:
    told = Told()
    shop = Shop(telemetry=told.telemetry)
    with serving(shop) as server:
        client = Client(server)
        assert client.get("/products").status == HTTPStatus.OK
        assert client.get("/orders/ORD-ZZZZZZZZ").status == HTTPStatus.NOT_FOUND
        shop.orders.unavailable = True
        assert client.post().status == HTTPStatus.SERVICE_UNAVAILABLE
    assert [line["Requests"] for line in told.metrics] == [1, 1, 1]
    assert [line["Errors"] for line in told.metrics] == [0, 0, 1]
    assert all(0 <= line["LatencyMs"] < 10_000 for line in told.metrics)


def test_an_order_is_placed_within_the_clients_trace() -> None:
    told = Told()
    shop = Shop(telemetry=told.telemetry)
    with serving(shop) as server:
        assert Client(server).post(traceparent=CLIENTS).status == HTTPStatus.CREATED
    [span] = told.spans
    assert (span.name, f"{span.context.trace_id:032x}") == ("POST /orders", CLIENTS.split("-")[1])
    [order] = shop.saved
    assert order.outbox is not None
    assert order.outbox.trace_parent == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"


def test_a_malformed_trace_parent_is_ignored_and_a_clients_mistake_is_no_error_in_the_trace() -> None:
    told = Told()
    with serving(Shop(telemetry=told.telemetry)) as server:
        assert Client(server).post({}, traceparent="no").status == HTTPStatus.BAD_REQUEST
    [span] = told.spans
    assert span.parent is None
    assert span.status.status_code is not StatusCode.ERROR


def test_what_we_could_not_do_is_an_error_in_the_trace() -> None:
    told = Told()
    shop = Shop(telemetry=told.telemetry)
    shop.orders.unavailable = True
    with serving(shop) as server:
        assert Client(server).post().status == HTTPStatus.SERVICE_UNAVAILABLE
    [span] = told.spans
    assert span.status.status_code is StatusCode.ERROR


def test_reading_makes_no_span() -> None:
    told = Told()
    with serving(Shop(telemetry=told.telemetry)) as server:
        assert Client(server).get("/products").status == HTTPStatus.OK
    assert told.spans == ()
