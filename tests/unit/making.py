"""Short functions that make orders, headers and events, a handler that remembers, and a queue for its consumer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from shopflow.catalog import Catalog, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
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
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.messaging.outbox import Publisher, stored_event
from shopflow.ports import Queue
from tests.clocks import ManualClock

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


class OneQueue:
    """A queue with its dead-letter queue, under a clock that the test turns, and a consumer of it.

    ``queue``: options of the queue, such as ``max_receives``.
    """

    def __init__(self, handler: Handler, catalog: Catalog | None = None, **queue: Any) -> None:
        self.catalog = catalog or load_catalog()
        self.contracts = Contracts(self.catalog)
        self.clock = ManualClock()
        self.dlq = MemoryQueue(self.clock, "dlq")
        self.queue = MemoryQueue(self.clock, "queue", dlq=self.dlq, **queue)
        self.topic = MemoryTopic()
        self.stop = threading.Event()
        self._handler = handler
        self._headers = HeaderFactory(self.clock)

    def consumer_of(self, queue: Queue, stop: threading.Event, **options: Any) -> Consumer:
        publisher, consumes = Publisher(self.topic), frozenset({EventType.ORDER_CREATED})
        return Consumer(self._handler, queue, publisher, self.contracts, consumes, stop, now=self._seconds, **options)

    def event(self, number: int = 1, *lines: Line) -> Event:
        """The `order.created` of the order with this number."""
        order = pending(f"ORD-{number:08}", *lines)
        return stored_event(self.catalog, create(order, self._headers.new(EventType.ORDER_CREATED)))

    def send(self, *events: Event) -> None:
        for event in events:
            self.queue.send(self.contracts.encode(event))

    def depths(self) -> tuple[int, int, int]:
        """Messages that wait, messages in flight, and dead letters."""
        depth = self.queue.depth()
        return depth.waiting, depth.in_flight, self.dlq.depth().waiting

    def _seconds(self) -> float:
        return self.clock.now / 1000
