"""The dry run says what the real handlers would do, and does nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from shopflow.domain.event import Event
from shopflow.messaging.handler import Done
from shopflow.messaging.outbox import stored_event
from shopflow.ports import DeadLetter, Message
from tests.faults.scenarios import EXPIRED, VISA
from tests.system import CATALOG, CONTRACTS, OUTBOX, System
from workers.dry_run import DryRun, Kind, Verdict
from workers.handlers import HANDLERS

RESERVED = "would publish inventory.reserved"
CHARGED, NOTIFIED = "would charge $19.98", "would notify the customer"


class World:
    """The real handlers over the twins, with ``stock`` units of the one product.

    ``reads`` has the reads of the dry run. A look into the audit log for the order ``broken`` raises an error there.
    """

    def __init__(self, stock: int = 1000) -> None:
        self.system = System({"A": stock}, relay=False, tap=self._tap)
        self.reads: list[str] = []
        self.broken: str | None = None

    def place(self, units: int = 2, payment_method: str = VISA) -> Event:
        """Save an order. Returns its `order.created`."""
        return stored_event(CATALOG, self.system.place({"A": units}, payment_method))

    def handle(self, service: str, event: Event) -> list[Event]:
        """The events that the real handler publishes."""
        outcome = HANDLERS[service](self.system.ports(service), OUTBOX).handle([event])[0]
        assert isinstance(outcome, Done)
        return [CONTRACTS.decode(outcome.publish.text)] if outcome.publish else []

    def judge(self, service: str, *letters: Event | str) -> list[Verdict]:
        ports = self.system.ports("dry run")
        dry_run = DryRun(OUTBOX, ports.orders, ports.products, ports.audit, ports.clock)
        bodies = [CONTRACTS.encode(one) if isinstance(one, Event) else one for one in letters]
        dead = [DeadLetter(Message(str(number), "handle", body, 4), 0, {}) for number, body in enumerate(bodies)]
        return [one.verdict for one in dry_run.judge(service, dead)]

    def state(self, order_id: str) -> object:
        """Everything that a handler can change."""
        tables, trail = self.system.tables, self.system.audit.trail(order_id)
        charges, mails = dict(self.system.gateway.charges), dict(self.system.mailer.sent)
        return tables.orders.get(order_id), tables.products["A"], trail, charges, mails

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        if service == "dry run":
            assert method in ("orders.read", "products.read", "audit.has"), "a dry run writes nothing"
            self.reads.append(method)
            if call.args[0] == self.broken:
                raise KeyError("lines")
        return call()


def texts(verdicts: Sequence[Verdict]) -> list[str]:
    return [one.text.partition(" (")[0].partition(":")[0] for one in verdicts]


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
            (verdict,) = world.judge(service, event)
            assert world.state(event.order_id) == before, "a dry run has no effect"
            events += world.handle(service, event)
            acted = world.state(event.order_id) != before
            assert verdict.kind is (Kind.READY if acted else Kind.DONE), (service, event)
            judged += texts([verdict]) if verdict.text else []
    recorded = [f"would record {event.event_type}" for event in events]
    assert [text for text in judged if text.startswith("would record")] == recorded
    assert [text for text in judged if "record" not in text] == effects


def test_an_unknown_order_breaks_the_contract_of_every_service_but_audit() -> None:
    event, empty = World().place(), World()
    unknown = f"correlationId: order {event.order_id} does not exist, or its row cannot be read"
    assert empty.judge("inventory", event) == [Verdict(Kind.BREACH, unknown)]
    assert empty.judge("audit", event) == [Verdict(Kind.READY, "would record order.created")]


def test_many_messages_are_judged_with_one_read_of_their_orders_each_as_if_it_were_alone() -> None:
    world = World(stock=2)
    events = [world.place() for _ in range(100)]
    verdicts = world.judge("inventory", *events[:50], "poison", *events[50:])
    assert verdicts.pop(50).kind is Kind.BREACH
    assert texts(verdicts) == [RESERVED] * 100, "nothing is taken, so each has the whole stock"
    assert world.reads == ["orders.read", "products.read"]


def test_the_error_of_one_message_is_only_its_own() -> None:
    world = World()
    events = [world.place() for _ in range(25)]
    world.broken = events[7].order_id
    verdicts = world.judge("audit", *events)
    assert [one.kind for one in verdicts] == [Kind.FAILS if number == 7 else Kind.READY for number in range(25)]


def test_messages_of_one_order_and_copies_of_one_event_are_all_judged() -> None:
    world = World()
    created = world.place()
    (reserved,) = world.handle("inventory", created)
    assert texts(world.judge("payment", reserved, reserved, replace(reserved, causation_id=None))) == [CHARGED] * 3
    recorded = texts(world.judge("audit", created, reserved, reserved))
    assert recorded == ["would record order.created", *["would record inventory.reserved"] * 2]
