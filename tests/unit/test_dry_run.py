"""The dry run foretells what the real handlers do, and does nothing itself."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest

from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory
from shopflow.config import GatewaySettings
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, create
from shopflow.errors import Unavailable
from shopflow.memory.tables import MemoryAuditLog
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.messaging.outbox import Outbox, stored_event
from shopflow.ports import Orders, Products
from tests.clocks import ManualClock
from tests.taps import CountingMailer, LedgerGateway
from tests.twins import wire
from workers.dry_run import DryRun, Kind, Verdict, judge_events
from workers.gateway import SimulatedGateway
from workers.handlers import HANDLERS, WorkerPorts

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)
PRODUCT = "PROD-001"


def dry_run(ports: WorkerPorts) -> DryRun:
    return DryRun(OUTBOX, ports.orders, ports.products, ports.audit, ports.clock)


class World:
    """The real handlers over the twins, each event handed to them by hand."""

    def __init__(self, stock: int, payment_method: str) -> None:
        clock = ManualClock()
        headers = HeaderFactory(clock)
        self.twins = wire(CATALOG, clock)
        self.twins.seed({PRODUCT: stock})
        self.gateway = LedgerGateway(SimulatedGateway(GatewaySettings(0.8, (300, 800), "seed"), lambda _: None))
        self.mailer = CountingMailer()
        twins = self.twins
        orders, products, audit = twins.orders, twins.products, twins.audit
        self.ports = WorkerPorts(orders, products, audit, self.gateway, self.mailer, clock, headers, map)
        header = headers.new(EventType.ORDER_CREATED)
        line = Line(PRODUCT, "Name", 2, Decimal("9.99"))
        draft = Order(
            "ORD-A1B2C3D4", "CUST-001", (line,), header.time_ms, header.time_ms, payment_method=payment_method
        )
        self.created = stored_event(CATALOG, self.twins.orders.create(create(draft, header)))

    def handle(self, service: str, event: Event) -> Outcome:
        return HANDLERS[service](self.ports, OUTBOX).handle([event])[0]

    def foretell(self, service: str, event: Event) -> Verdict:
        return dry_run(self.ports).judge(service, [CONTRACTS.encode(event)])[0]

    def seen(self) -> object:
        """All that a handler can change."""
        order_id = self.created.order_id
        order, product = self.twins.orders.read([order_id]), self.twins.products.read([PRODUCT])
        return order, product, self.twins.audit.trail(order_id), dict(self.gateway.charges), dict(self.mailer.sent)


@pytest.mark.parametrize(
    ("stock", "payment_method", "effects"),
    [
        (5, "pm_card_visa", ["would bring about inventory.reserved", "would charge $19.98", "would tell the customer"]),
        (1, "pm_card_visa", ["would bring about inventory.failed", "would tell the customer"]),
        (
            5,
            "pm_card_declined_expired",
            [
                "would bring about inventory.reserved",
                "would charge $19.98",
                "would bring about inventory.released",
                "would tell the customer",
            ],
        ),
    ],
    ids=["paid", "out of stock", "declined"],
)
def test_the_dry_run_says_exactly_when_the_handler_would_act(
    stock: int, payment_method: str, effects: list[str]
) -> None:
    world = World(stock, payment_method)
    foretold = []
    events = [world.created]
    for event in events:
        for service in [one.name for one in CATALOG.consumers if event.event_type in one.consumes] * 2:
            before = world.seen()
            verdict = world.foretell(service, event)
            assert world.seen() == before, "a dry run has no effect"
            outcome = world.handle(service, event)
            assert isinstance(outcome, Done)
            events += [CONTRACTS.decode(outcome.publish.text)] if outcome.publish else []
            assert verdict.kind is (Kind.DONE if world.seen() == before else Kind.READY), (service, event)
            foretold += [verdict.text] if verdict.text else []
    assert [text for text in foretold if text.startswith("would record")] == [
        f"would record {event.event_type}" for event in events
    ]
    assert [text.partition(" (")[0].partition(":")[0] for text in foretold if "record" not in text] == effects


class Failing(Handler):
    def __init__(self, error: Exception) -> None:
        self._error = error

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (KeyError("price"), Kind.FAILS, "KeyError: 'price' (at test_dry_run.py:"),
        (Unavailable("no table"), Kind.UNKNOWN, "no table"),
    ],
)
def test_what_a_handler_raises_is_the_reason(error: Exception, kind: Kind, text: str) -> None:
    world = World(1, "pm_card_visa")
    [verdict] = judge_events(Failing(error), [world.created])
    assert (verdict.kind, verdict.text.startswith(text)) == (kind, True), verdict


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("audit", None),
        ("inventory", "correlationId: order ORD-A1B2C3D4 does not exist, or its row cannot be read"),
    ],
)
def test_a_breach_is_named(service: str, reason: str | None) -> None:
    body = CONTRACTS.encode(World(1, "pm_card_visa").created)
    no_orders = replace(World(1, "pm_card_visa").ports, orders=wire(CATALOG, ManualClock()).orders)
    [verdict] = dry_run(no_orders).judge(service, [body])
    assert verdict == (Verdict(Kind.BREACH, reason) if reason else Verdict(Kind.READY, "would record order.created"))


def test_a_service_that_is_not_ours_cannot_be_judged() -> None:
    [verdict] = dry_run(World(1, "pm_card_visa").ports).judge("fraud", ["{}"])
    assert verdict.kind is Kind.UNKNOWN


class Many:
    """So many placed orders, of one unit each, and their `order.created`."""

    def __init__(self, count: int, stock: int) -> None:
        self.world = World(stock, "pm_card_visa")
        self.bodies = [CONTRACTS.encode(self.place(f"ORD-{number:08}")) for number in range(count)]

    def place(self, order_id: str) -> Event:
        header = self.world.ports.headers.new(EventType.ORDER_CREATED)
        line = Line(PRODUCT, "Name", 1, Decimal("9.99"))
        draft = Order(order_id, "CUST-001", (line,), header.time_ms, header.time_ms, payment_method="pm_card_visa")
        return stored_event(CATALOG, self.world.twins.orders.create(create(draft, header)))


class CountingReads:
    """A table of which each read is counted. ``broken`` raises for one of the keys."""

    def __init__(self, table: Any, broken: tuple[str, Exception] | None = None) -> None:
        self._table = table
        self._broken = broken
        self.reads: list[int] = []

    def read(self, keys: Collection[str], **options: Any) -> Any:
        self.reads.append(len(keys))
        if self._broken and self._broken[0] in keys:
            raise self._broken[1]
        return self._table.read(keys, **options)


def test_many_messages_are_judged_in_few_reads_each_by_its_own_order() -> None:
    many = Many(count=100, stock=1000)
    orders, products = CountingReads(many.world.twins.orders), CountingReads(many.world.twins.products)
    ports = replace(many.world.ports, orders=cast(Orders, orders), products=cast(Products, products))
    bodies = [*many.bodies[:50], "poison", *many.bodies[50:], many.bodies[0]]
    verdicts = dry_run(ports).judge("inventory", bodies)
    assert verdicts.pop(50).kind is Kind.BREACH
    assert set(verdicts) == {Verdict(Kind.READY, "would bring about inventory.reserved")}
    assert (orders.reads, len(products.reads)) == ([25] * 4, 4)


def test_in_a_batch_each_event_is_told_its_own_effect() -> None:
    many = Many(count=25, stock=10)
    verdicts = dry_run(many.world.ports).judge("inventory", many.bodies)
    texts = [verdict.text.partition(" (")[0] for verdict in verdicts]
    assert texts == ["would bring about inventory.reserved"] * 10 + ["would bring about inventory.failed"] * 15


@pytest.mark.parametrize("service", ["inventory", "audit"])
def test_the_error_of_one_message_is_that_ones_alone_and_costs_few_more_reads(service: str) -> None:
    many = Many(count=25, stock=1000)
    orders = CountingReads(many.world.twins.orders, ("ORD-00000007", KeyError("lines")))
    ports = replace(many.world.ports, orders=cast(Orders, orders), audit=BrokenAuditLog("ORD-00000007"))
    kinds = [verdict.kind for verdict in dry_run(ports).judge(service, many.bodies)]
    assert kinds == [Kind.FAILS if number == 7 else Kind.READY for number in range(25)]
    assert len(orders.reads) <= 11


class BrokenAuditLog(MemoryAuditLog):
    def __init__(self, order_id: str) -> None:
        super().__init__()
        self._broken = order_id

    def has(self, order_id: str, event_id: str) -> bool:
        if order_id == self._broken:
            raise KeyError("eventId")
        return super().has(order_id, event_id)


def test_a_dependency_that_is_down_is_asked_once_for_each_batch() -> None:
    many = Many(count=50, stock=1000)
    orders = CountingReads(many.world.twins.orders, ("ORD-00000007", Unavailable("no table")))
    ports = replace(many.world.ports, orders=cast(Orders, orders))
    verdicts = dry_run(ports).judge("inventory", many.bodies)
    assert [verdict.kind for verdict in verdicts] == [Kind.UNKNOWN] * 25 + [Kind.READY] * 25
    assert orders.reads == [25, 25]


def test_messages_of_one_order_and_copies_of_one_event_are_judged_each() -> None:
    world = World(5, "pm_card_visa")
    outcome = world.handle("inventory", world.created)
    assert isinstance(outcome, Done)
    assert outcome.publish is not None
    reserved = outcome.publish.text
    other = CONTRACTS.encode(replace(CONTRACTS.decode(reserved), causation_id=None))
    verdicts = dry_run(world.ports).judge("payment", [reserved, reserved, other])
    assert [verdict.text for verdict in verdicts] == ["would charge $19.98"] * 3
    verdicts = dry_run(world.ports).judge("audit", [CONTRACTS.encode(world.created), reserved, reserved])
    assert [verdict.text for verdict in verdicts] == [
        "would record order.created",
        *["would record inventory.reserved"] * 2,
    ]


def test_an_event_that_has_the_id_of_another_is_judged_for_itself() -> None:
    world = World(5, "pm_card_visa")
    world.handle("audit", world.created)
    payload = dict(world.created.payload) | {"orderId": "ORD-ZZZZZZZZ"}
    forged = replace(world.created, correlation_id="ORD-ZZZZZZZZ", payload=payload)
    verdicts = dry_run(world.ports).judge("audit", [CONTRACTS.encode(world.created), CONTRACTS.encode(forged)])
    assert [verdict.kind for verdict in verdicts] == [Kind.DONE, Kind.READY]


def test_what_an_audit_log_has_already_is_not_logged_as_recorded_now(caplog: pytest.LogCaptureFixture) -> None:
    world = World(5, "pm_card_visa")
    world.handle("audit", world.created)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert world.foretell("audit", world.created).kind is Kind.DONE
    assert caplog.records == []
