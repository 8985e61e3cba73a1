"""Short functions that make orders, headers and events, and a handler that remembers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from shopflow.domain.event import Event
from shopflow.domain.order import (
    EventHeader,
    EventType,
    Line,
    Order,
    Transition,
    charge,
    create,
    decline,
    refuse,
    reserve,
)
from shopflow.messaging.handler import Done, Handler, Outcome

T0 = 1_769_860_800_000  # 2026-01-31T12:00:00Z


def header(
    event_type: EventType, time_ms: int = T0, event_id: str | None = None, cause: str | None = None
) -> EventHeader:
    return EventHeader(event_id or f"id-{event_type}-{time_ms}", event_type, time_ms, cause)


def line(product_id: str = "PROD-001", quantity: int = 2, price: str = "49.99") -> Line:
    return Line(product_id, f"Name of {product_id}", quantity, Decimal(price))


def pending(order_id: str = "ORD-A1B2C3D4", *lines: Line) -> Order:
    order = Order(order_id, "CUST-001", lines or (line(),), created_at=T0, updated_at=T0)
    return create(order, header(EventType.ORDER_CREATED))


def reserved(order: Order | None = None) -> Order:
    return reserve(order or pending(), header(EventType.INVENTORY_RESERVED, T0 + 1)).after


def refused(order: Order | None = None) -> Order:
    return refuse(order or pending(), header(EventType.INVENTORY_FAILED, T0 + 1), "none left").after


def charged(order: Order | None = None) -> Order:
    return charge(order or reserved(), header(EventType.PAYMENT_PROCESSED, T0 + 2), "TXN-1", Decimal("99.98")).after


def declined(order: Order | None = None) -> Order:
    return decline(order or reserved(), header(EventType.PAYMENT_FAILED, T0 + 2), "Card expired").after


def applied(transition: Transition, current: Order) -> Order:
    """The order after ``transition`` was committed on ``current``."""
    return replace(current, **transition.changes())


def an_event_named(event_id: str) -> Event:
    """Any event with this id."""
    return Event(event_id, EventType.ORDER_CREATED, "1.0", T0, "order-service", "ORD-A1B2C3D4", None, {})


class Recording(Handler):
    """Remembers what it saw, and returns ``answer(event)``."""

    def __init__(self, answer: Callable[[Event], Outcome] = lambda _: Done()) -> None:
        self.answer = answer
        self.seen: list[str] = []

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.seen += [event.order_id for event in events]
        return [self.answer(event) for event in events]
