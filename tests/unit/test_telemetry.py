"""Metrics as CloudWatch reads them out of a log, and one trace for each order, also across a crash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shopflow.clock import SystemClock
from shopflow.domain.order import Status
from shopflow.errors import Unavailable
from shopflow.otel import OtelTracing
from shopflow.telemetry import NAMESPACE, EmfMetrics, Telemetry, Tracing, well_formed
from tests.clocks import ManualClock
from tests.system import System
from tests.taps import Tap, straight_through
from tests.unit.api.shop import Client, Shop, serving

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENTS = f"00-{TRACE_ID}-{SPAN_ID}-01"


class Recorded:
    """What all services record."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._exporter = InMemorySpanExporter()

    def of(self, service: str) -> Telemetry:
        tracing = OtelTracing(f"{service}-service", SimpleSpanProcessor(self._exporter))
        return Telemetry(tracing, EmfMetrics("shopflow", service, SystemClock(), self.lines.append))

    def values(self, service: str, name: str) -> list[float]:
        found = [json.loads(line) for line in self.lines]
        return [line[name] for line in found if line["Service"] == service and name in line]

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def span(self, service: str, name: str) -> Any:
        attributes = [(span.resource.attributes["service.name"], span.name) for span in self.spans]
        return self.spans[attributes.index((f"{service}-service", name))]


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def failing_once(at: str, error: Exception) -> Tap:
    """The first call of the method ``at`` fails."""
    failures = iter([error])

    def tap(service: str, method: str, call: partial[Any]) -> Any:
        if method == at and (failure := next(failures, None)):
            raise failure
        return call()

    return tap


def take_an_order(recorded: Recorded, tap: Tap = straight_through) -> System:
    """A system that has taken one order, placed in a client's trace, to its end."""
    system = System({"PROD-001": 5}, tap=tap, telemetry=recorded.of)
    request = recorded.of("order").tracing.request("POST /orders", CLIENTS)
    system.place({"PROD-001": 1}, "pm_card_visa", trace_parent=request.trace_parent)
    request.end()
    assert system.run_until_quiet()
    return system


def test_a_line_is_in_the_embedded_metric_format() -> None:
    written: list[str] = []
    EmfMetrics("shopflow-eu", "inventory", ManualClock(1234), written.append).put(Handled=10, BatchMs=7)
    [text] = written
    assert text.endswith("\n")
    metrics = [{"Name": "Handled", "Unit": "Count"}, {"Name": "BatchMs", "Unit": "Milliseconds"}]
    described = {"Namespace": NAMESPACE, "Dimensions": [["Stack", "Service"]], "Metrics": metrics}
    assert json.loads(text) == {
        "_aws": {"Timestamp": 1234, "CloudWatchMetrics": [described]},
        "Stack": "shopflow-eu",
        "Service": "inventory",
        "Handled": 10,
        "BatchMs": 7,
    }


def test_each_round_counts_what_was_handled_and_what_failed(recorded: Recorded) -> None:
    take_an_order(recorded, failing_once("gateway.charge", RuntimeError("bug")))
    for service, failed in (("inventory", 0), ("payment", 1)):
        assert sum(recorded.values(service, "Handled")) == 1
        assert sum(recorded.values(service, "Failed")) == failed
    statuses = [span.status.status_code for span in recorded.spans if span.name == "process inventory.reserved"]
    assert StatusCode.ERROR in statuses


def test_the_relay_counts_open_orders_and_publishes_into_the_trace_that_a_fault_interrupted(recorded: Recorded) -> None:
    system = take_an_order(recorded, failing_once("topic.publish", Unavailable("the topic is down")))
    system.sweep()
    assert max(recorded.values("order", "OpenOrders")) == 1
    assert max(recorded.values("order", "OldestOpenOrderSeconds")) >= 30
    assert sum(recorded.values("order", "Republished")) == 1
    assert recorded.values("order", "OpenOrders")[-1] == recorded.values("order", "OldestOpenOrderSeconds")[-1] == 0
    assert {f"{span.context.trace_id:032x}" for span in recorded.spans if span.context} == {TRACE_ID}


def test_each_answer_is_counted_and_only_our_faults_are_errors(recorded: Recorded) -> None:
    shop = Shop(telemetry=recorded.of("order"))
    with serving(shop) as server:
        client = Client(server)
        assert client.get("/orders/ORD-ZZZZZZZZ").status == 404
        assert client.post({}, traceparent="no").status == 400
        assert client.post(traceparent=CLIENTS).status == 201
        shop.fail("orders.create", Unavailable("PutItem"))
        assert client.post().status == 503
    assert recorded.values("order", "Errors") == [0, 0, 0, 1]
    mistake, placed, down = recorded.spans  # only a POST has one
    assert mistake.parent is None
    assert [span.status.status_code is StatusCode.ERROR for span in (mistake, placed, down)] == [False, False, True]
    [order] = shop.saved
    assert order.outbox is not None
    assert placed.context is not None
    assert order.outbox.trace_parent == f"00-{TRACE_ID}-{placed.context.span_id:016x}-01"


def test_one_trace_goes_from_the_request_to_the_notification(recorded: Recorded) -> None:
    system = take_an_order(recorded)
    assert [order.status for order in system.tables.orders.values()] == [Status.COMPLETED]
    request = recorded.span("order", "POST /orders")
    taken = recorded.span("inventory", "process order.created")
    charged = recorded.span("payment", "process inventory.reserved")
    chain = [request, taken, charged, recorded.span("notification", "process payment.processed")]
    assert [span.parent.span_id for span in chain[1:]] == [span.context.span_id for span in chain[:-1]]
    assert f"{request.parent.span_id:016x}" == SPAN_ID
    for cause, event in ((request, "order.created"), (taken, "inventory.reserved")):
        assert recorded.span("audit", f"process {event}").parent.span_id == cause.context.span_id
    consumed = [span for span in recorded.spans if span.kind is SpanKind.CONSUMER]
    assert {(span.attributes or {})["orderId"] for span in consumed} == {*system.tables.orders}


def test_without_an_exporter_the_clients_trace_is_passed_on_and_text_that_is_none_is_dropped() -> None:
    assert Tracing().request("POST /orders", CLIENTS).trace_parent == CLIENTS
    zeros = (CLIENTS.replace(TRACE_ID, "0" * 32), CLIENTS.replace(SPAN_ID, "0" * 16))
    for text in (None, "", "x", CLIENTS + "0", CLIENTS.upper(), *zeros):
        assert well_formed(text) is None
