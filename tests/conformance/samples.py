"""Orders, products and events with new ids, so that tests can share a stack."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory, SystemClock
from shopflow.domain import order as steps
from shopflow.domain.event import Event
from shopflow.domain.order import EventHeader, EventType, Line, Order, Transition
from shopflow.domain.stock import Product
from shopflow.errors import Conflict, Contention
from shopflow.messaging.outbox import stored_event
from shopflow.ports import Orders, Products

CATALOG, HEADERS = load_catalog(), HeaderFactory(SystemClock())


def fresh_id(prefix: str, size: int = 8) -> str:
    return f"{prefix}-{os.urandom(size).hex().upper()}"


def header(event_type: EventType, cause: EventHeader | None = None) -> EventHeader:
    made = HEADERS.new(event_type)
    return replace(made, causation_id=cause.event_id) if cause else made


def a_line(product_id: str = "PROD-001", quantity: int = 2) -> Line:
    return Line(product_id, "Wireless Headphones", quantity, Decimal("49.90"))


def an_order(*lines: Line, order_id: str | None = None) -> Order:
    """A new order, not stored."""
    created = header(EventType.ORDER_CREATED)
    lines = lines or (a_line(), Line("PROD-003", "USB-C Hub", 1, Decimal("30.00")))
    order = Order(order_id or fresh_id("ORD", 4), "CUST-001", lines, created.time_ms, created.time_ms)
    return steps.create(order, created)


def a_placed_order(orders: Orders, *lines: Line) -> Order:
    return orders.create(an_order(*lines))


def a_declined_order(orders: Orders) -> Order:
    """A stored order whose payment failed, with its stock not released and its customer not notified."""
    order = a_placed_order(orders)
    order = made(orders, reserved(order))
    return made(orders, declined(order))


def a_product(products: Products, stock: int) -> Product:
    """A stored product with so many units of it."""
    product = Product(fresh_id("PROD"), "Mechanical Keyboard", Decimal("89.90"), stock, stock)
    assert products.put(product)
    return product


def reserved(order: Order) -> Transition:
    return steps.reserve(order, header(EventType.INVENTORY_RESERVED, order.outbox))


def refused(order: Order) -> Transition:
    return steps.refuse(order, header(EventType.INVENTORY_FAILED, order.outbox), "Insufficient stock")


def charged(order: Order) -> Transition:
    return steps.charge(order, header(EventType.PAYMENT_PROCESSED, order.outbox), "TXN-1", order.total_amount)


def declined(order: Order) -> Transition:
    return steps.decline(order, header(EventType.PAYMENT_FAILED, order.outbox), "Card expired")


def released(order: Order) -> Transition:
    return steps.release(order, header(EventType.INVENTORY_RELEASED, order.outbox))


def notified(order: Order) -> Transition:
    return steps.notify(order, header(EventType.ORDER_CREATED).time_ms)


def made(orders: Orders, transition: Transition) -> Order:
    """Commit ``transition``. Returns the order as it is stored then."""
    orders.commit([transition])
    return standing(orders, transition.after)


def standing(orders: Orders, order: Order) -> Order:
    return orders.read([order.order_id])[order.order_id]


def got_through(orders: Orders, transitions: Sequence[Transition], stock: dict[str, int]) -> bool:
    """Whether the commit was made; False when it was in conflict. Tries again while there is contention."""
    while True:
        try:
            orders.commit(transitions, stock)
        except Contention:
            continue
        except Conflict:
            return False
        return True


def an_event(order: Order) -> Event:
    """The event in the outbox of ``order``."""
    return stored_event(CATALOG, order)
