"""The dry run foretells what the real handlers do, and does nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from shopflow.catalog import load_catalog
from shopflow.clock import Headers
from shopflow.config import GatewaySettings
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Line, Order, create
from shopflow.errors import Unavailable
from shopflow.messaging.dry_run import Kind, Verdict, judge
from shopflow.messaging.handler import Done, Handler, Outcome
from shopflow.messaging.outbox import Outbox
from tests.clocks import ManualClock
from tests.taps import LedgerGateway, Outbound
from tests.twins import wire
from workers.dry_run import read_only
from workers.gateway import SimulatedGateway
from workers.handlers import HANDLERS, Ports

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)
PRODUCT = "PROD-001"


class World:
    """The real handlers over the twins, each event handed to them by hand."""

    def __init__(self, stock: int, payment_method: str) -> None:
        clock = ManualClock()
        headers = Headers(clock)
        self.twins = wire(CATALOG, clock)
        self.twins.seed({PRODUCT: stock})
        self.gateway = LedgerGateway(SimulatedGateway(GatewaySettings(0.8, (300, 800), "seed"), lambda _: None))
        self.mailer = Outbound()
        twins = self.twins
        self.ports = Ports(twins.orders, twins.products, twins.audit, self.gateway, self.mailer, clock, headers, map)
        header = headers.new(EventType.ORDER_CREATED)
        line = Line(PRODUCT, "Name", 2, Decimal("9.99"))
        draft = Order(
            "ORD-A1B2C3D4", "CUST-001", (line,), header.time_ms, header.time_ms, payment_method=payment_method
        )
        self.created = CATALOG.stored_event(self.twins.orders.create(create(draft, header)))

    def handle(self, service: str, event: Event) -> Outcome:
        return HANDLERS[service](self.ports, OUTBOX).handle([event])[0]

    def foretell(self, service: str, event: Event) -> Verdict:
        handler = HANDLERS[service](read_only(self.ports), OUTBOX)
        return judge(CONTRACTS.encode(event), handler, CATALOG.services[service].consumes, CONTRACTS)

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
    body = CONTRACTS.encode(world.created)
    verdict = judge(body, Failing(error), frozenset(EventType), CONTRACTS)
    assert (verdict.kind, verdict.text.startswith(text)) == (kind, True), verdict


@pytest.mark.parametrize(
    ("consumes", "reason"),
    [
        (frozenset(EventType), "correlationId: order ORD-A1B2C3D4 does not exist, or its row cannot be read"),
    ],
)
def test_a_breach_is_named(consumes: frozenset[EventType], reason: str) -> None:
    body = CONTRACTS.encode(World(1, "pm_card_visa").created)
    no_orders = replace(World(1, "pm_card_visa").ports, orders=wire(CATALOG, ManualClock()).orders)
    handler = HANDLERS["payment"](read_only(no_orders), OUTBOX)
    assert judge(body, handler, consumes, CONTRACTS) == Verdict(Kind.BREACH, reason)
