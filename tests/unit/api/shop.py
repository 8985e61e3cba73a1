"""An Order Service on ports in memory, with what a test needs to watch it and to break it."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from api.http_server import BoundedServer, Limits
from api.service import build
from shopflow.catalog import load_catalog
from shopflow.clock import SystemClock
from shopflow.domain.order import Move, Order, notify
from shopflow.domain.stock import Product
from shopflow.errors import Unavailable
from shopflow.memory.audit import MemoryAuditLog
from shopflow.memory.orders import MemoryOrders
from shopflow.memory.products import MemoryProducts
from shopflow.memory.queues import MemoryQueue
from shopflow.memory.tables import Tables
from shopflow.memory.topic import MemoryTopic
from shopflow.ports import OpenOrder, Outgoing
from tests.conformance.samples import an_event, an_order, charged, made, reserved

HEADPHONES = Product("PROD-001", "Wireless Headphones", Decimal("49.99"), 15, 15)
KEYBOARD = Product("PROD-002", "Mechanical Keyboard", Decimal("89.99"), 0, 0)
CATALOG = load_catalog()
SAMPLE = {"customerId": "CUST-001", "items": [{"productId": "PROD-001", "quantity": 2}]}
FINISHED_ID = "ORD-A1B2C3D4"
"""The order that the OpenAPI document has as its example."""
QUICK = Limits(
    idle_seconds=5, receive_seconds=0.5, write_seconds=2, linger_seconds=0.5, drain_seconds=5, poll_seconds=0.005
)


class BreakableOrders:
    """Orders in memory whose next answers can be lost or withheld."""

    def __init__(self, orders: MemoryOrders) -> None:
        self._orders = orders
        self.unavailable = False
        self.lose_answer = False
        self.bug: Exception | None = None
        self.create_gate: threading.Event | None = None

    def create(self, order: Order) -> Order:
        if self.bug:
            raise self.bug
        if self.unavailable:
            raise Unavailable("PutItem order: secret details of the endpoint")
        if self.create_gate:
            assert self.create_gate.wait(10)
        if self.lose_answer:
            self._orders.create(order)  # the first try: stored, its answer lost, so the client library tries again
        return self._orders.create(order)

    def read(self, order_ids: Collection[str]) -> dict[str, Order]:
        if self.unavailable:
            raise Unavailable("BatchGetItem")
        return self._orders.read(order_ids)

    def commit(self, moves: Sequence[Move], stock: Mapping[str, int] | None = None) -> None:
        self._orders.commit(moves, stock)

    def open_orders(self) -> Iterator[OpenOrder]:
        return self._orders.open_orders()


class BreakableTopic:
    def __init__(self, topic: MemoryTopic) -> None:
        self._topic = topic
        self.broken: Exception | None = None

    def publish(self, batch: Sequence[Outgoing]) -> frozenset[str]:
        if self.broken:
            raise self.broken
        return self._topic.publish(batch)


@dataclass
class Shop:
    """The ports, and the queue that hears every event."""

    tables: Tables = field(default_factory=Tables)
    audit: MemoryAuditLog = field(default_factory=MemoryAuditLog)

    def __post_init__(self) -> None:
        self.orders = BreakableOrders(MemoryOrders(self.tables))
        self.products = MemoryProducts(self.tables)
        memory_topic = MemoryTopic()
        self._queue = MemoryQueue(SystemClock(), "every-event")
        memory_topic.subscribe(self._queue)
        self.topic = BreakableTopic(memory_topic)
        for product in (HEADPHONES, KEYBOARD):
            self.products.seed(product)
        self.parts = build(CATALOG, self.orders, self.products, self.audit, self.topic)

    def finish_an_order(self) -> None:
        """Have an order with the id `FINISHED_ID`, paid and told, and its audit trail."""
        order = self.orders.create(replace(an_order(), order_id=FINISHED_ID))
        events = [an_event(order)]
        for step in (reserved, charged):
            order = made(self.orders, step(order))
            events.append(an_event(order))
        made(self.orders, notify(order, order.updated_at))
        self.audit.insert(events, stored_at=order.updated_at)

    @property
    def saved(self) -> list[Order]:
        return list(self.tables.orders.values())

    def published(self) -> list[dict[str, Any]]:
        """The events that came through the topic since the last call."""
        published: list[dict[str, Any]] = []
        while messages := self._queue.receive(10, 0):
            self._queue.delete(messages)
            published += [json.loads(message.body) for message in messages]
        return published


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> str:
        body = self.json
        assert set(body) == {"error"}
        return str(body["error"])

    @classmethod
    def of(cls, response: HTTPResponse) -> Answer:
        headers = {name.title(): value for name, value in response.getheaders()}
        return cls(response.status, response.read().decode(), headers)


@contextmanager
def serving(shop: Shop, limits: Limits = QUICK) -> Iterator[BoundedServer]:
    server = BoundedServer("127.0.0.1", 0, shop.parts.api, limits)
    server.start()
    try:
        yield server
    finally:
        assert server.stop()


@dataclass(frozen=True)
class Client:
    """Asks one server, each time on a new connection."""

    server: BoundedServer

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.server_address[1]

    def connect(self) -> HTTPConnection:
        return HTTPConnection(*self.address, timeout=10)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        with closing(self.connect()) as connection:
            return ask(connection, method, path, body, headers)

    def post(self, body: Any = SAMPLE, **headers: str) -> Answer:
        """POST /orders. ``headers``: idempotency_key="…" is Idempotency-Key: …"""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/orders", body, named)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)


def ask(
    connection: HTTPConnection, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on an open connection. ``body``: bytes as they are, anything else as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    content = {} if data is None else {"Content-Type": "application/json"}
    connection.request(method, path, data, {**content, **(headers or {})})
    with connection.getresponse() as response:
        return Answer.of(response)
