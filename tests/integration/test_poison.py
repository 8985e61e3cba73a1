"""A message that no service can process is in the dead-letter queue within seconds, and delays no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from shopflow import jsontext
from shopflow.catalog import SCHEMAS, load_catalog
from shopflow.clock import HeaderFactory, SystemClock
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, Status, Transition, charge, create, decline, refuse, reserve
from shopflow.domain.stock import returned
from shopflow.messaging.outbox import Outbox, Publisher, stored_event
from shopflow.ports import Outgoing
from tests.live import VISA, Live, breaches_of_dead_letters, eventually

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)
HEADERS = HeaderFactory(SystemClock())
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


Step = Callable[[Order, Event], Transition]


def reserved(order: Order, cause: Event) -> Transition:
    return reserve(order, HEADERS.new(EventType.INVENTORY_RESERVED, cause))


def refused(order: Order, cause: Event) -> Transition:
    return refuse(order, HEADERS.new(EventType.INVENTORY_FAILED, cause), "None left")


def charged(order: Order, cause: Event) -> Transition:
    return charge(order, HEADERS.new(EventType.PAYMENT_PROCESSED, cause), "TXN-1", order.total_amount)


def declined(order: Order, cause: Event) -> Transition:
    return decline(order, HEADERS.new(EventType.PAYMENT_FAILED, cause), "Card expired")


STEPS_BEFORE: Mapping[EventType, list[Step]] = {
    EventType.ORDER_CREATED: [],
    EventType.INVENTORY_RESERVED: [reserved],
    EventType.INVENTORY_FAILED: [refused],
    EventType.PAYMENT_PROCESSED: [reserved, charged],
    EventType.PAYMENT_FAILED: [reserved, declined],
}


@pytest.mark.parametrize("event_type", STEPS_BEFORE)
def test_an_unknown_field_of_a_newer_minor_version_is_accepted_end_to_end(live: Live, event_type: EventType) -> None:
    order, events = _history(live, STEPS_BEFORE[event_type])
    envelope = events[-1].to_json()
    payload = envelope["payload"] | {"giftWrap": {"paper": "red"}}
    newer = jsontext.dumps(envelope | {"version": "1.1", "tenant": "T-1", "payload": payload})
    Publisher(live.aws.topic).publish([OUTBOX.encode(event) for event in events[:-1]])
    assert not live.aws.topic.publish([Outgoing(events[-1].event_id, event_type, newer)])
    live.closed([order.order_id])
    entry = next(entry for entry in live.aws.audit.trail(order.order_id) if entry.event.event_type is event_type)
    assert (entry.event.version, entry.event.payload["giftWrap"]) == ("1.1", {"paper": "red"})


def _history(live: Live, steps: list[Step]) -> tuple[Order, list[Event]]:
    """An order after ``steps``, in the tables, and its events, none of them published."""
    product = live.product(stock=5)
    header = HEADERS.new(EventType.ORDER_CREATED)
    line = Line(product, "Test product", 2, live.aws.products.read([product])[product].price)
    draft = Order(
        "ORD-" + header.event_id[-8:], "CUST-TEST", (line,), header.time_ms, header.time_ms, payment_method=VISA
    )
    order = create(draft, header)
    assert live.aws.orders.create(order) == order
    events = [stored_event(CATALOG, order)]
    for step in steps:
        transition = step(order, events[-1])
        taken = {name: -units for name, units in returned(order).items()} if step is reserved else {}
        live.aws.orders.commit([transition], taken)
        order = transition.after
        events.append(stored_event(CATALOG, order))
    return order, events
