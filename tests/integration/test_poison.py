"""A message that no service can process is in the dead-letter queue within seconds, and delays no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS
from shopflow.domain.order import EventType, Status, Transition, charge, decline, refuse, reserve
from shopflow.domain.stock import returned
from shopflow.messaging.outbox import stored_event
from shopflow.ports import Outgoing
from tests.left_behind import HEADERS, committed, publish
from tests.live import Live, breaches_of_dead_letters
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
    found = list(breaches_of_dead_letters(live.sqs, live.config, {service: frozenset(poison.values())}))
    assert found == []
    assert {order.status for order in orders} == {Status.COMPLETED}
    assert live.stock(product) == 90
    with capsys.disabled():
        print(f"\n  {service}: {len(poison)} kinds of poison in the DLQ after {seconds:.1f} s", end=" ")  # noqa: T201


def test_the_audit_service_records_a_valid_event_of_an_unknown_order(live: Live) -> None:
    envelope = example("order.created")
    live.send("audit", jsontext.dumps(envelope))
    live.queues_empty()
    entries = live.aws.audit.trail(envelope["correlationId"])
    assert envelope["eventId"] in [entry.event.event_id for entry in entries]


RESERVED = (EventType.INVENTORY_RESERVED, reserve, ())
HISTORIES: Mapping[EventType, list[tuple[EventType, Callable[..., Transition], tuple[Any, ...]]]] = {
    EventType.ORDER_CREATED: [],
    EventType.INVENTORY_RESERVED: [RESERVED],
    EventType.INVENTORY_FAILED: [(EventType.INVENTORY_FAILED, refuse, ("None left",))],
    EventType.PAYMENT_PROCESSED: [RESERVED, (EventType.PAYMENT_PROCESSED, charge, ("TXN-1", Decimal("19.98")))],
    EventType.PAYMENT_FAILED: [RESERVED, (EventType.PAYMENT_FAILED, decline, ("Card expired",))],
}


@pytest.mark.parametrize("event_type", HISTORIES)
def test_an_unknown_field_of_a_newer_minor_version_is_accepted_end_to_end(live: Live, event_type: EventType) -> None:
    order, events = committed(live, live.product(stock=5))
    for step_type, step, facts in HISTORIES[event_type]:
        transition = step(order, HEADERS.new(step_type, events[-1]), *facts)
        taken = {name: -units for name, units in returned(order).items()} if step is reserve else {}
        live.aws.orders.commit([transition], taken)
        order = transition.after
        events.append(stored_event(CATALOG, order))
    envelope = events[-1].to_json()
    payload = envelope["payload"] | {"giftWrap": {"paper": "red"}}
    newer = jsontext.dumps(envelope | {"version": "1.1", "tenant": "T-1", "payload": payload})
    publish(live, events[:-1])
    assert not live.aws.topic.publish([Outgoing(events[-1].event_id, event_type, newer)])
    live.closed([order.order_id])
    entry = next(entry for entry in live.aws.audit.trail(order.order_id) if entry.event.event_type is event_type)
    assert (entry.event.version, entry.event.payload["giftWrap"]) == ("1.1", {"paper": "red"})
