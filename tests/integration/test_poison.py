"""A message that no service can process is in the dead-letter queue within seconds, and delays no other."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS
from shopflow.domain.order import EventType, Status
from tests.left_behind import HEADERS
from tests.live import Live
from tests.system import CATALOG
from tests.waiting import eventually

SERVICES = [service.name for service in CATALOG.consumers]
WITHIN_SECONDS = 15
"""Three receives, none of which waits for a timeout. The machine may be busy."""
NESTED = 100_000
"""Brackets: opened and closed 200 KB."""


def example(event_type: str) -> dict[str, Any]:
    """A valid event of an order that does not exist."""
    envelope: dict[str, Any] = jsontext.loads((SCHEMAS / "examples" / "valid" / f"{event_type}.json").read_text())
    order_id = "ORD-ZZZZZZZZ"
    payload = envelope["payload"] | {"orderId": order_id}
    return envelope | {
        "eventId": HEADERS.new(EventType(event_type)).event_id,
        "correlationId": order_id,
        "payload": payload,
    }


def unprocessable(service: str) -> dict[str, str]:
    """Poison for the queue of ``service``, by kind."""
    event = example(min(CATALOG.services[service].consumes))
    nesting = "[" * NESTED + "]" * NESTED
    poison = {
        "not JSON": '{"eventType": "order.created", ',
        "wrong schema": jsontext.dumps(event | {"payload": {"orderId": event["correlationId"]}}),
        "unknown eventType": jsontext.dumps(event | {"eventType": "order.forgotten"}),
        "wrong major version": jsontext.dumps(event | {"version": "2.0"}),
        "nesting": nesting,
        "nesting in an event": jsontext.dumps(event | {"payload": "here"}).replace('"here"', nesting),
    }
    if service != "audit":  # it records every event that keeps its contract
        poison["unknown orderId"] = jsontext.dumps(event)
    return poison


@pytest.mark.parametrize("service", SERVICES)
def test_poison_is_in_the_dead_letter_queue_within_seconds_and_its_neighbours_are_unharmed(
    live: Live, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    poison = unprocessable(service)
    product = live.product(stock=100)
    order_ids = live.place_at_once([{product: 1}] * 5)
    started = time.monotonic()
    for text in poison.values():
        live.send(service, text)
    if misrouted := sorted(CATALOG.events.keys() - CATALOG.services[service].consumes):
        live.send(service, jsontext.dumps(example(misrouted[0])))  # valid, so it is acknowledged
    order_ids += live.place_at_once([{product: 1}] * 5)
    eventually(live.aws.dead_letters(service).depth, lambda depth: depth == len(poison), WITHIN_SECONDS)
    seconds = time.monotonic() - started
    orders = live.closed(order_ids)
    live.queues_empty()
    assert list(live.breaches_of_dead_letters({service: poison.values()})) == []
    assert {order.status for order in orders} == {Status.COMPLETED}
    assert live.stock(product) == 90
    with capsys.disabled():
        print(f"\n  {service}: {len(poison)} kinds of poison in the DLQ after {seconds:.1f} s", end=" ")  # noqa: T201
