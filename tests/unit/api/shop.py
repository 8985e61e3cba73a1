"""An Order Service on ports in memory, with what a test needs to observe it and to break it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from api.http_server import BoundedServer, Limits
from api.routes import ClaimsOf, anybody
from api.service import ApiPorts, build
from shopflow.catalog import load_catalog
from shopflow.clock import Clock, SystemClock
from shopflow.domain.order import Order, notify
from shopflow.domain.stock import Product
from shopflow.memory.queues import MemoryBacklogs, MemoryDeadLetters, MemoryQueue
from shopflow.ports import DeadLetter
from shopflow.telemetry import SILENT, Telemetry
from tests.conformance.samples import an_event, an_order, charged, made, reserved
from tests.faults.injections import Instead
from tests.taps import Tapped
from tests.twins import wire
from workers.dry_run import Judged, Kind, Verdict

HEADPHONES = Product("PROD-001", "Wireless Headphones", Decimal("49.99"), 15, 15)
KEYBOARD = Product("PROD-002", "Mechanical Keyboard", Decimal("89.99"), 0, 0)
CATALOG = load_catalog()
SAMPLE = {"customerId": "CUST-001", "items": [{"productId": "PROD-001", "quantity": 2}]}
OPS_TOKEN = "only-the-operator-knows"  # noqa: S105 - of a service that lives as long as a test
AS_OPERATOR = {"Authorization": f"Bearer {OPS_TOKEN}"}
FINISHED_ID = "ORD-A1B2C3D4"
"""The order that the OpenAPI document has as its example."""
QUICK = Limits(
    idle_seconds=5, receive_seconds=0.5, write_seconds=2, linger_seconds=0.5, drain_seconds=5, poll_seconds=0.005
)


def judged_by_name(_: str, letters: Sequence[DeadLetter]) -> list[Judged]:
    """A verdict by the first word of the message: ``poison`` breaks its contract, anything else can be processed."""
    breach, ready = Verdict(Kind.BREACH, "not JSON"), Verdict(Kind.READY, "would charge $9.99")
    return [Judged(one, breach if one.message.body.startswith("poison") else ready) for one in letters]


@dataclass
class Shop:
    """The service on its ports, and a queue that gets every event. ``clock`` is the service's and the queues'.

    ``instead`` of a call, by method ("orders.create"), a test can do something else.
    """

    clock: Clock = field(default_factory=SystemClock)
    ops_token: str | None = OPS_TOKEN
    telemetry: Telemetry = SILENT
    claims_of: ClaimsOf = anybody
    instead: dict[str, Instead] = field(default_factory=dict)
    control: Path | None = None

    def __post_init__(self) -> None:
        twins = wire(CATALOG, self.clock)
        self.tables, self.products, self.queues, self.dlqs = twins.tables, twins.products, twins.queues, twins.dlqs
        self.calls: list[tuple[str, Any]] = []
        self.orders, self.audit = self._tapped("orders", twins.orders), self._tapped("audit", twins.audit)
        self.topic = self._tapped("topic", twins.topic)
        self._queue = MemoryQueue(self.clock, "every-event")
        twins.topic.subscribe(self._queue)
        self.backlogs = MemoryBacklogs(self.queues, self.dlqs)
        for product in (HEADPHONES, KEYBOARD):
            self.products.put(product)
        self.ports = ApiPorts(self.orders, self.products, self.audit, self.topic, self.backlogs, self.dead_letters)
        self.restart()

    def restart(self) -> None:
        """Replace the process by a new one on the same ports: it remembers nothing."""
        self.parts = build(
            CATALOG,
            self.ports,
            self.clock,
            claims_of=self.claims_of,
            ops_token=self.ops_token,
            judge=judged_by_name,
            telemetry=self.telemetry,
            control=self.control,
        )

    def fail(self, method: str, error: Exception) -> None:
        """Let each call of ``method`` fail from now on."""

        def instead(_: partial[Any]) -> Any:
            raise error

        self.instead[method] = instead

    def asked(self, method: str) -> list[Any]:
        """The first argument of each call of ``method`` so far."""
        return [argument for name, argument in self.calls if name == method]

    def _tapped(self, name: str, port: object) -> Any:
        return Tapped(port, "order", name, self._tap)

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        self.calls.append((method, call.args[0] if call.args else None))
        return self.instead.get(method, partial.__call__)(call)

    def dead_letters(self, service: str) -> MemoryDeadLetters:
        return MemoryDeadLetters(self.dlqs[service], self.queues[service])

    def finish_an_order(self) -> None:
        """Add a completed order with the id `FINISHED_ID`, and its audit trail."""
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
    server = BoundedServer("127.0.0.1", 0, shop.parts.api.endpoint, limits)
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
        return "127.0.0.1", self.server.port

    def connect(self) -> HTTPConnection:
        return HTTPConnection(*self.address, timeout=10)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        with closing(self.connect()) as connection:
            return ask(connection, method, path, body, headers)

    def post(self, body: Any = SAMPLE, **headers: str) -> Answer:
        """POST /orders. ``headers``: idempotency_key="…" is Idempotency-Key: …"""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/orders", body, named)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", path, None, headers)


def ask(
    connection: HTTPConnection, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on an open connection. ``body``: bytes as they are, anything else as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    content = {} if data is None else {"Content-Type": "application/json"}
    connection.request(method, path, data, {**content, **(headers or {})})
    with connection.getresponse() as response:
        return Answer.of(response)
