"""A queue with a consumer, under a clock that the test turns, and a handler that remembers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from shopflow.catalog import Catalog, load_catalog
from shopflow.clock import HeaderFactory
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, create
from shopflow.memory.queues import MemoryQueue, MemoryTopic
from shopflow.messaging.consumer import Consumer
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.messaging.outbox import Publisher, stored_event
from shopflow.ports import Queue
from tests.clocks import ManualClock
from tests.conformance.samples import an_order


class Recording(Handler):
    """Remembers what it saw, and returns ``answer(event)``."""

    def __init__(self, answer: Callable[[Event], Outcome] = lambda _: Done()) -> None:
        self.answer = answer
        self.seen: list[str] = []

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        self.seen += [event.order_id for event in events]
        return [self.answer(event) for event in events]


class OneQueue:
    """A queue with its dead-letter queue. ``queue``: options of the queue, such as ``max_receives``."""

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
        return Consumer(
            self._handler,
            queue,
            publisher,
            self.contracts,
            consumes,
            stop,
            now=lambda: self.clock.now / 1000,
            **options,
        )

    def event(self, number: int = 1, *lines: Line) -> Event:
        """The `order.created` of the order with this number."""
        order = an_order(*lines, order_id=f"ORD-{number:08}")
        return stored_event(self.catalog, create(order, self._headers.new(EventType.ORDER_CREATED)))

    def send(self, *events: Event) -> None:
        for event in events:
            self.queue.send(self.contracts.encode(event))

    def depths(self) -> tuple[int, int, int]:
        """Messages that wait, messages in flight, and dead letters."""
        depth = self.queue.depth()
        return depth.waiting, depth.in_flight, self.dlq.depth().waiting
