"""The dry run says what the real handlers would do, and does nothing itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory
from shopflow.config import GatewaySettings
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, create
from shopflow.memory.tables import MemoryAuditLog
from shopflow.messaging.handler import Done
from shopflow.messaging.outbox import Outbox, stored_event
from shopflow.ports import DeadLetter, Message
from tests.clocks import ManualClock
from tests.taps import CountingMailer, LedgerGateway
from tests.twins import wire
from workers.dry_run import DryRun, Kind, Verdict
from workers.gateway import SimulatedGateway
from workers.handlers import HANDLERS, WorkerPorts

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)
PRODUCT = "PROD-001"
BROKEN = "ORD-00000007"
VISA, EXPIRED = "pm_card_visa", "pm_card_declined_expired"
RESERVED = "would publish inventory.reserved"
CHARGED, NOTIFIED = "would charge $19.98", "would notify the customer"


class World:
    """The real handlers over the twins, with ``stock`` units of the one product."""

    def __init__(self, stock: int = 1000) -> None:
        clock = ManualClock()
        self.twins = wire(CATALOG, clock)
        self.twins.seed({PRODUCT: stock})
        self.gateway = LedgerGateway(SimulatedGateway(GatewaySettings(0.8, (300, 800), "seed"), lambda _: None))
        self.mailer = CountingMailer()
        twins, headers = self.twins, HeaderFactory(clock)
        self.ports = WorkerPorts(
            twins.orders, twins.products, twins.audit, self.gateway, self.mailer, clock, headers, map
        )

    def place(self, units: int = 1, payment_method: str = VISA, order_id: str = "ORD-A1B2C3D4") -> Event:
        """Save an order. Returns its `order.created`."""
        header = self.ports.headers.new(EventType.ORDER_CREATED)
        line = Line(PRODUCT, "Name", units, Decimal("9.99"))
        draft = Order(order_id, "CUST-001", (line,), header.time_ms, header.time_ms, payment_method=payment_method)
        return stored_event(CATALOG, self.twins.orders.create(create(draft, header)))

    def place_many(self, count: int) -> list[str]:
        return [CONTRACTS.encode(self.place(order_id=f"ORD-{number:08}")) for number in range(count)]

    def handle(self, service: str, event: Event) -> list[Event]:
        """The events that the real handler publishes."""
        outcome = HANDLERS[service](self.ports, OUTBOX).handle([event])[0]
        assert isinstance(outcome, Done)
        return [CONTRACTS.decode(outcome.publish.text)] if outcome.publish else []

    def judge(self, service: str, bodies: Sequence[str], **ports: Any) -> list[Verdict]:
        """The verdicts on ``bodies``, with other ``ports`` where they are given."""
        use = replace(self.ports, **ports)
        dry_run = DryRun(OUTBOX, use.orders, use.products, use.audit, use.clock)
        letters = [DeadLetter(Message(str(number), "handle", body, 4), 0, {}) for number, body in enumerate(bodies)]
        return [one.verdict for one in dry_run.judge(service, letters)]

    def state(self, order_id: str) -> object:
        """Everything that a handler can change."""
        order, product = self.twins.orders.read([order_id]), self.twins.products.read([PRODUCT])
        return order, product, self.twins.audit.trail(order_id), dict(self.gateway.charges), dict(self.mailer.sent)


class CountingReads:
    """A table that counts the keys of each read. A read of the key `BROKEN` raises ``error``, if there is one."""

    def __init__(self, table: Any, error: Exception | None = None) -> None:
        self._table = table
        self._error = error
        self.reads: list[int] = []

    def read(self, keys: Collection[str], **options: Any) -> Any:
        self.reads.append(len(keys))
        if self._error and BROKEN in keys:
            raise self._error
        return self._table.read(keys, **options)

    def commit(self, *_: object) -> None:
        raise AssertionError("a dry run writes nothing")


@pytest.mark.parametrize(
    ("stock", "payment_method", "effects"),
    [
        (5, VISA, [RESERVED, CHARGED, NOTIFIED]),
        (1, VISA, ["would publish inventory.failed", NOTIFIED]),
        (5, EXPIRED, [RESERVED, CHARGED, "would publish inventory.released", NOTIFIED]),
    ],
    ids=["paid", "out of stock", "declined"],
)
def test_the_dry_run_says_exactly_when_the_handler_would_act(
    stock: int, payment_method: str, effects: list[str]
) -> None:
    world, judged = World(stock), list[str]()
    events = [world.place(2, payment_method)]
    for event in events:
        for service in [one.name for one in CATALOG.consumers if event.event_type in one.consumes] * 2:
            before = world.state(event.order_id)
            (verdict,) = world.judge(service, [CONTRACTS.encode(event)])
            assert world.state(event.order_id) == before, "a dry run has no effect"
            events += world.handle(service, event)
            acted = world.state(event.order_id) != before
            assert verdict.kind is (Kind.READY if acted else Kind.DONE), (service, event)
            judged += [verdict.text] if verdict.text else []
    recorded = [f"would record {event.event_type}" for event in events]
    assert [text for text in judged if text.startswith("would record")] == recorded
    assert [text.partition(" (")[0].partition(":")[0] for text in judged if "record" not in text] == effects


def test_an_unknown_order_breaks_the_contract_of_every_service_but_audit() -> None:
    body, empty = CONTRACTS.encode(World().place()), World()
    unknown = "correlationId: order ORD-A1B2C3D4 does not exist, or its row cannot be read"
    assert empty.judge("inventory", [body]) == [Verdict(Kind.BREACH, unknown)]
    assert empty.judge("audit", [body]) == [Verdict(Kind.READY, "would record order.created")]


def test_many_messages_are_judged_with_few_reads_and_each_gets_its_own_effect() -> None:
    world = World(stock=10)
    bodies = world.place_many(100)
    orders, products = CountingReads(world.twins.orders), CountingReads(world.twins.products)
    verdicts = world.judge("inventory", [*bodies[:50], "poison", *bodies[50:]], orders=orders, products=products)
    assert verdicts.pop(50).kind is Kind.BREACH
    texts = [one.text.partition(" (")[0] for one in verdicts]
    a_batch = [RESERVED] * 10 + ["would publish inventory.failed"] * 15
    assert texts == a_batch * 4, "each batch has the whole stock, for nothing is taken"
    assert (orders.reads, len(products.reads)) == ([25] * 4, 4)


class BrokenAuditLog(MemoryAuditLog):
    def has(self, order_id: str, event_id: str) -> bool:
        if order_id == BROKEN:
            raise KeyError("eventId")
        return super().has(order_id, event_id)


@pytest.mark.parametrize("service", ["inventory", "audit"])
def test_the_error_of_one_message_is_found_with_few_more_reads_and_is_only_its_own(service: str) -> None:
    world = World()
    orders = CountingReads(world.twins.orders, KeyError("lines"))
    verdicts = world.judge(service, world.place_many(25), orders=orders, audit=BrokenAuditLog())
    assert [one.kind for one in verdicts] == [Kind.FAILS if number == 7 else Kind.READY for number in range(25)]
    assert len(orders.reads) <= 11


def test_messages_of_one_order_and_copies_of_one_event_are_all_judged() -> None:
    world = World()
    created = world.place(2)
    (reserved,) = world.handle("inventory", created)
    text, other = CONTRACTS.encode(reserved), CONTRACTS.encode(replace(reserved, causation_id=None))
    assert [one.text for one in world.judge("payment", [text, text, other])] == [CHARGED] * 3
    recorded = world.judge("audit", [CONTRACTS.encode(created), text, text])
    assert [one.text for one in recorded] == ["would record order.created", *["would record inventory.reserved"] * 2]
