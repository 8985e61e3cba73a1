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
from scripts.replay import Sending, compare_all
from scripts.verify import OrderCheck
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.errors import ShopFlowError, Unavailable
from shopflow.invariants import check_trail, rebuilt
from tests.system import System
from workers.gateway import transaction_id

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
ERRORS = [ShopFlowError("its row is malformed"), KeyError("payload"), Unavailable("Query: no answer")]
FORGED_LINE = {"productId": "P", "productName": "P", "quantity": 1, "unitPrice": "much", "lineTotal": "much"}
MALFORMED: list[Mapping[str, Any]] = [{"items": [FORGED_LINE]}, {"items": 7}, {"items": ["a"]}, {"createdAt": 5}]


class World:
    """Ten completed orders behind the ports that the commands use, and what the commands say and send.

    By order id: ``unreadable`` and ``unsendable`` are errors to raise, ``changed`` replaces the events that are read.
    """

    def __init__(self, folder: Path) -> None:
        self._system = System({"PROD-001": 50}, tap=self._tap)
        self.unreadable: dict[str, Exception] = {}
        self.unsendable: dict[str, Exception] = {}
        self.changed: dict[str, Callable[[Event], Event]] = {}
        self.sent: list[str] = []
        self.ids = [self._system.place({"PROD-001": 1}, "pm_card_visa").order_id for _ in range(10)]
        assert self._system.run_until_quiet()
        self.orders = self._system.tables.orders
        self._ports = self._system.ports("command")
        self.audit = self._ports.audit
        self._text = io.StringIO()
        self._console = Console(file=self._text, width=200)
        self._operator_log = OperatorLog(folder / "operator.log")

    def _tap(self, service: str, method: str, call: partial[Any]) -> Any:
        if (service, method) != ("command", "audit.trail"):
            return call()
        (order_id,) = call.args
        if error := self.unreadable.get(order_id):
            raise error
        change = self.changed.get(order_id)
        return [replace(entry, event=change(entry.event)) if change else entry for entry in call()]

    def send(self, body: str, attributes: Mapping[str, Any]) -> str:
        order_id = CONTRACTS.decode(body).order_id
        if error := self.unsendable.get(order_id):
            raise error
        self.sent.append(order_id)
        return "id"

    def run_sending(self, *, confirmed: bool = True) -> int:
        queue, service = cast(Any, self), CATALOG.services["audit"]
        sending = Sending(self.audit, queue, service, CONTRACTS, 1_000_000, confirmed)
        return sending.run(self.ids, self._operator_log, Progress(self._console))

    def run_comparison(self) -> int:
        ports, ids = self._ports, partial(transaction_id, "0")
        orders: Any = ports.orders
        check = OrderCheck(orders, ports.products, ports.audit, ids, lambda: 0, self._system.clock, lambda _: None)
        return compare_all(check, self.ids, Progress(self._console), self._console)

    def said_about(self, text: str) -> list[str]:
        return [line for line in self._text.getvalue().splitlines() if text in line]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_events_that_are_not_a_history_add_up_to_no_order_and_are_a_difference(world: World) -> None:
    order = world.orders[world.ids[0]]
    events = [entry.event for entry in world.audit.trail(order.order_id)]
    changed = [replace(events[0], payload={**events[0].payload, **payload}) for payload in MALFORMED]
    for trail in ([], events[1:], *([first, *events[1:]] for first in changed)):
        assert rebuilt(trail) is None
        assert list(check_trail(order, trail))


def test_an_event_that_breaks_the_contract_of_today_is_left_out(world: World) -> None:
    old = world.ids[0]
    world.changed[old] = lambda event: replace(event, version="0.9")
    assert world.run_sending() == OK
    assert old not in world.sent
    assert world.said_about("3 left out: they break today's contract")


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("fault", ["unreadable", "unsendable"])
def test_sending_goes_on_after_an_order_that_fails(world: World, fault: str, error: Exception) -> None:
    bad = world.ids[4]
    getattr(world, fault)[bad] = error
    assert world.run_sending() == FAILED
    assert set(world.sent) == {*world.ids} - {bad}
    assert len(world.said_about(bad)) == 1


def test_text_that_sqs_refuses_is_reported_by_the_dry_run_too(world: World) -> None:
    bad = world.ids[-1]
    world.changed[bad] = lambda event: replace(event, payload={**event.payload, "customerId": "CUST-\uffff"})
    assert world.run_sending(confirmed=False) == FAILED
    assert (len(world.said_about(bad)), world.sent) == (1, [])
    assert world.run_sending() == FAILED
    assert set(world.sent) == {*world.ids} - {bad}


def test_an_outage_stops_the_command(world: World) -> None:
    world.unsendable.update(dict.fromkeys(world.ids, Unavailable("SendMessage: no answer")))
    with pytest.raises(Unavailable, match="no answer"):
        world.run_sending()


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_comparing_finds_every_difference_and_goes_on_after_an_order_that_fails(world: World, error: Exception) -> None:
    unreadable, malformed, lost, forged, sound = world.ids[:5]
    world.unreadable[unreadable] = error
    world.changed[malformed] = lambda event: replace(event, payload={})
    world.orders[forged] = replace(world.orders[forged], customer_id="CUST-999")
    del world.orders[lost]
    assert world.run_comparison() == FAILED
    assert len(world.said_about(unreadable)) == 1
    assert "does not replay" in " ".join(world.said_about(malformed))
    assert "replays to another customer_id" in " ".join(world.said_about(forged))
    assert "has events, but no record" in " ".join(world.said_about(lost))
    assert not world.said_about(sound)
