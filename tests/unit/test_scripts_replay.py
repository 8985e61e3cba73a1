"""Orders rebuilt from their events, and sent to a service again. One bad order never stops the others."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from scripts.console import FAILED, OK, Progress
from scripts.operator_log import OperatorLog
from scripts.replay import Sending, compare_all, differences, parse, side_by_side
from scripts.verify import MAX_UNAVAILABLE_IN_A_ROW, OrderCheck
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import Order, Status
from shopflow.errors import ShopFlowError, Unavailable
from shopflow.invariants import rebuilt
from shopflow.ports import AuditEntry, AuditLog
from tests.system import System
from workers.gateway import transaction_id

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
Paid = tuple[Order, list[Event]]
ERRORS = [
    ShopFlowError("its row is malformed"),
    KeyError("payload"),
    ValueError("1.005 is not an amount of money"),
    TypeError("'int' object is not iterable"),
    Unavailable("SendMessage: InvalidMessageContents"),
]
FORGED_LINE = {"productId": "P", "productName": "P", "quantity": 1, "unitPrice": "much", "lineTotal": "much"}
MALFORMED: list[Mapping[str, Any]] = [{"items": [FORGED_LINE]}, {"items": 7}, {"items": ["a"]}, {"createdAt": 5}, {}]


@pytest.fixture(scope="module")
def paid() -> Paid:
    """A completed order and its events."""
    system = System({"PROD-001": 5})
    order_id = system.place({"PROD-001": 2}, "pm_card_visa").order_id
    assert system.run_until_quiet()
    return system.tables.orders[order_id], [entry.event for entry in system.audit.trail(order_id)]


class World:
    """Ten completed orders behind the ports that the commands use, and what the commands say and send.

    By order id: ``unreadable`` and ``unsendable`` are errors to raise, ``changed`` replaces the events that are read.
    """

    def __init__(self, folder: Path) -> None:
        system = System({"PROD-001": 50})
        self.ids = [system.place({"PROD-001": 1}, "pm_card_visa").order_id for _ in range(10)]
        assert system.run_until_quiet()
        self.tables = system.tables
        self.audit = self
        self._system = system
        self.unreadable: dict[str, Exception] = {}
        self.unsendable: dict[str, Exception] = {}
        self.changed: dict[str, Callable[[Event], Event]] = {}
        self.sent: list[str] = []
        self._text = io.StringIO()
        self._console = Console(file=self._text, width=200)
        self._operator_log = OperatorLog(folder / "operator.log")

    def trail(self, order_id: str) -> list[AuditEntry]:
        if error := self.unreadable.get(order_id):
            raise error
        trail = self._system.audit.trail(order_id)
        if change := self.changed.get(order_id):
            return [replace(entry, event=change(entry.event)) for entry in trail]
        return trail

    def sender(self, service: str) -> World:
        assert service == "audit"
        return self

    def send(self, body: str, attributes: Mapping[str, Any]) -> str:
        order_id = CONTRACTS.decode(body).order_id
        if error := self.unsendable.get(order_id):
            raise error
        self.sent.append(order_id)
        return "id"

    def run_sending(self, *, confirmed: bool = True) -> int:
        aws: Any = self
        sending = Sending(aws, CATALOG.services["audit"], CONTRACTS, 1_000_000, confirmed)
        return sending.run(self.ids, self._operator_log, Progress(self._console))

    def run_comparison(self) -> int:
        twins, audit = self._system.twins, cast(AuditLog, self)
        ids, clock = partial(transaction_id, "0"), self._system.clock
        check = OrderCheck(twins.orders, twins.products, audit, ids, lambda: 0, clock, lambda _: None)
        return compare_all(check, self.ids, Progress(self._console), self._console)

    def said_about(self, order_id: str) -> list[str]:
        return [line for line in self._text.getvalue().splitlines() if order_id in line]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_completed_order_equals_its_events_though_no_event_completes_it(paid: Paid) -> None:
    order, events = paid
    replayed = rebuilt(events)
    assert (order.status, replayed and replayed.status) == (Status.COMPLETED, Status.PAYMENT_PROCESSED)
    assert not [row for row in side_by_side(replayed, order) if row.differs]
    assert not differences(order.order_id, order, events)


def test_an_attribute_that_was_changed_is_the_only_one_that_differs(paid: Paid) -> None:
    order, events = paid
    forged = replace(order, customer_id="CUST-999")
    (row,) = [row for row in side_by_side(rebuilt(events), forged) if row.differs]
    assert (row.name, row.replayed, row.recorded) == ("customerId", "CUST-001", "CUST-999")
    assert [breach.may_pass for breach in differences(order.order_id, forged, events)] == [False]


def test_missing_events_may_still_arrive_and_a_missing_record_may_not(paid: Paid) -> None:
    order, events = paid
    assert [breach.may_pass for breach in differences(order.order_id, order, events[:-1])] == [True]
    (breach,) = differences(order.order_id, None, events)
    assert (breach.text, breach.may_pass) == ("has 3 event(s), but no record", False)


def test_events_that_are_not_a_history_add_up_to_no_order(paid: Paid) -> None:
    _, events = paid
    assert rebuilt([]) is None
    assert rebuilt(events[1:]) is None


@pytest.mark.parametrize("payload", MALFORMED, ids=repr)
def test_a_malformed_payload_is_a_difference(paid: Paid, payload: Mapping[str, Any]) -> None:
    order, events = paid
    malformed = [replace(events[0], payload={**events[0].payload, **payload} if payload else {}), *events[1:]]
    assert rebuilt(malformed) is None
    assert differences(order.order_id, order, malformed)


def test_every_event_of_sound_orders_is_sent(world: World) -> None:
    assert world.run_sending() == OK
    assert world.sent == [order_id for order_id in world.ids for _ in range(3)]


def test_an_event_that_breaks_the_contract_of_today_is_left_out(world: World) -> None:
    old = world.ids[0]
    world.changed[old] = lambda event: replace(event, version="0.9")
    assert world.run_sending() == OK
    assert old not in world.sent
    assert "3 left out: they break today's contract" in world._text.getvalue()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("fault", ["unreadable", "unsendable"])
def test_sending_goes_on_after_an_order_that_fails(world: World, fault: str, error: Exception) -> None:
    bad = world.ids[4]
    getattr(world, fault)[bad] = error
    assert world.run_sending() == FAILED
    assert set(world.sent) == {*world.ids} - {bad}
    assert len(world.said_about(bad)) == 1


@pytest.mark.parametrize("confirmed", [True, False])
def test_text_that_sqs_refuses_is_reported_by_the_dry_run_too(world: World, confirmed: bool) -> None:
    bad = world.ids[-1]
    world.changed[bad] = lambda event: replace(event, payload={**event.payload, "customerId": "CUST-\uffff"})
    assert world.run_sending(confirmed=confirmed) == FAILED
    (line,) = world.said_about(bad)
    assert "U+FFFF" in line
    assert set(world.sent) == ({*world.ids} - {bad} if confirmed else set())


def test_an_outage_stops_the_command_and_single_refusals_do_not(world: World) -> None:
    refused = world.ids[::2]
    world.unsendable.update(dict.fromkeys(refused, Unavailable("SendMessage: no answer")))
    assert world.run_sending() == FAILED
    assert set(world.sent) == {*world.ids} - {*refused}
    world.unsendable.update(dict.fromkeys(world.ids, Unavailable("SendMessage: no answer")))
    with pytest.raises(Unavailable, match="no answer"):
        world.run_sending()
    assert 1 < MAX_UNAVAILABLE_IN_A_ROW < len(world.ids)


def test_ten_orders_that_equal_their_events_are_said_to(world: World) -> None:
    assert world.run_comparison() == OK
    assert "10 orders: each is what its events add up to." in world._text.getvalue()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_comparing_goes_on_after_an_order_whose_events_cannot_be_read(world: World, error: Exception) -> None:
    unreadable, forged = world.ids[0], world.ids[-1]
    world.unreadable[unreadable] = error
    world.tables.put_order(replace(world.tables.orders[forged], customer_id="CUST-999"))
    assert world.run_comparison() == FAILED
    assert len(world.said_about(unreadable)) == 1
    assert "replays to another customer_id" in " ".join(world.said_about(forged))


@pytest.mark.parametrize("payload", MALFORMED, ids=repr)
def test_comparing_finds_malformed_events_and_lost_records(world: World, payload: Mapping[str, Any]) -> None:
    bad, lost, sound = world.ids[:3]
    world.changed[bad] = lambda event: replace(event, payload=payload)
    del world.tables.orders[lost]
    assert world.run_comparison() == FAILED
    assert world.said_about(bad)
    assert "has events, but no record" in " ".join(world.said_about(lost))
    assert not world.said_about(sound)


def test_a_time_without_an_offset_is_utc() -> None:
    times = [parse(["ORD-1", "--at", text]).at for text in ("2026-01-31T12:00:00", "2026-01-31T13:00:00+01:00")]
    assert times == [1_769_860_800_000] * 2


@pytest.mark.parametrize("arguments", ["", "ORD-1 --all", "--all --at 2026-01-31T12:00:00", "ORD-1 --yes"])
def test_arguments_that_contradict_each_other_are_refused(arguments: str) -> None:
    with pytest.raises(SystemExit):
        parse(arguments.split())
