"""What telemetry hears of the API: metrics, and spans within the client's trace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shopflow.clock import SystemClock
from shopflow.otel import OtelTracing
from shopflow.telemetry import EmfMetrics, Telemetry
from tests.unit.api.shop import Client, Shop, serving

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


class Recorded:
    """A shop, and everything that its telemetry recorded."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._exporter = InMemorySpanExporter()
        tracing = OtelTracing("order-service", SimpleSpanProcessor(self._exporter))
        self.shop = Shop(
            telemetry=Telemetry(tracing, EmfMetrics("shopflow", "order", SystemClock(), self._lines.append))
        )

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines]

    @property
    def spans(self) -> Any:
        return self._exporter.get_finished_spans()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_each_answer_is_counted_and_only_our_faults_are_errors(recorded: Recorded) -> None:
    with serving(recorded.shop) as server:
        client = Client(server)
        assert client.get("/products").status == 200
        assert client.get("/orders/ORD-ZZZZZZZZ").status == 404
        recorded.shop.orders.unavailable = True
        assert client.post().status == 503
    assert [(line["Requests"], line["Errors"]) for line in recorded.metrics] == [(1, 0), (1, 0), (1, 1)]
    assert all(0 <= line["LatencyMs"] < 10_000 for line in recorded.metrics)
    [span] = recorded.spans  # only a POST has one
    assert span.status.status_code is StatusCode.ERROR


def test_an_order_is_placed_within_the_clients_trace(recorded: Recorded) -> None:
    with serving(recorded.shop) as server:
        assert Client(server).post(traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01").status == 201
    [span] = recorded.spans
    assert (span.name, f"{span.context.trace_id:032x}") == ("POST /orders", TRACE_ID)
    [order] = recorded.shop.saved
    assert order.outbox is not None
    assert order.outbox.trace_parent == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"


def test_a_malformed_trace_parent_is_ignored_and_a_clients_mistake_is_no_error(recorded: Recorded) -> None:
    with serving(recorded.shop) as server:
        assert Client(server).post({}, traceparent="no").status == 400
    [span] = recorded.spans
    assert span.parent is None
    assert span.status.status_code is not StatusCode.ERROR
