"""A command that goes through all orders stops at none: it tells of the bad one, goes on, and exits 1."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts.console import FAILED, OK, Progress
from scripts.operator_log import OperatorLog
from scripts.replay.everything import rebuild_all
from scripts.replay.sending import History, send_history
from scripts.replay.troubles import MAX_IN_A_ROW
from shopflow.catalog import load_catalog
from shopflow.contracts import Contracts
from shopflow.domain.event import Event
from shopflow.domain.order import Order
from shopflow.errors import ShopFlowError, Unavailable
from shopflow.ports import AuditEntry
from tests.system import System

CATALOG = load_catalog()
AUDIT = CATALOG.services["audit"]
ERRORS = [
    ShopFlowError("its row is malformed"),
    KeyError("payload"),
    ValueError("1.005 is not an amount of money"),
    TypeError("'int' object is not iterable"),
    Unavailable("SendMessage: InvalidMessageContents"),
]


class Shadow:
    """The shadow table as a dict. Writing an order of ``refused`` fails, alone or with others."""

    name = "orders-shadow"

    def __init__(self) -> None:
        self.rows: dict[str, Order] = {}
        self.refused: dict[str, Exception] = {}

    def create(self) -> None:
        self.rows.clear()

    def drop(self) -> None:
        """Kept, to be looked at."""

    def put(self, orders: Sequence[Order]) -> None:
        for error in filter(None, (self.refused.get(order.order_id) for order in orders)):
            raise error
        self.rows.update({order.order_id: order for order in orders})

    def read(self, order_ids: Sequence[str]) -> dict[str, Order]:
        return {order_id: self.rows[order_id] for order_id in order_ids if order_id in self.rows}

    def all(self) -> Iterator[Order]:
        yield from self.rows.values()


class Audit:
    """The audit log of a world."""

    def __init__(self, world: World) -> None:
        self.order_ids = lambda: iter(world.order_ids)
        self.trail = world.trail


class World:
    """Ten orders that are done, on the ports that the commands use. ``unreadable``: errors of reading trails, by order;
    ``unsendable``: those of sending, by order.
    """

    def __init__(self) -> None:
        system = System({"PROD-001": 50})
        self.order_ids = [system.place({"PROD-001": 1}, "pm_card_visa").order_id for _ in range(10)]
        assert system.run_until_quiet()
        self._log = system.audit
        self.orders = system.twins.orders
        self.shadow = Shadow()
        self.unreadable: dict[str, Exception] = {}
        self.unsendable: dict[str, Exception] = {}
        self.changed: dict[str, Callable[[Event], Event]] = {}
        self.sent: list[str] = []
        self.audit = Audit(self)

    def trail(self, order_id: str) -> list[AuditEntry]:
        if error := self.unreadable.get(order_id):
            raise error
        trail = self._log.trail(order_id)
        if change := self.changed.get(order_id):
            return [replace(entry, event=change(entry.event)) for entry in trail]
        return trail

    def shadow_orders(self) -> Shadow:
        return self.shadow

    def sender(self, service: str) -> World:
        assert service == "audit"
        return self

    def send(self, body: str, attributes: Mapping[str, Any]) -> str:
        order_id = str(Contracts(CATALOG).decode(body).order_id)
        if error := self.unsendable.get(order_id):
            raise error
        self.sent.append(order_id)
        return "id"


@pytest.fixture
def world() -> World:
    return World()


class Said:
    def __init__(self, tmp_path: Path) -> None:
        self._text = io.StringIO()
        self.console = Console(file=self._text, width=200)
        self.log = OperatorLog(tmp_path / "operator.log")

    @property
    def lines(self) -> list[str]:
        return self._text.getvalue().splitlines()

    def about(self, order_id: str) -> list[str]:
        return [line for line in self.lines if order_id in line]


@pytest.fixture
def said(tmp_path: Path) -> Said:
    return Said(tmp_path)


def send(world: World, said: Said, *, confirmed: bool = True) -> int:
    aws: Any = world
    progress = Progress(said.console)
    history = History(aws, AUDIT, Contracts(CATALOG))
    return send_history(history, world.order_ids, AUDIT, 1_000_000, aws, said.log, progress, confirmed=confirmed)


def rebuild(world: World, said: Said) -> int:
    aws: Any = world
    return rebuild_all(aws, said.log, Progress(said.console), said.console, keep=True)


def test_of_good_orders_every_event_is_sent(world: World, said: Said) -> None:
    assert send(world, said) == OK
    assert world.sent == [order_id for order_id in world.order_ids for _ in range(3)]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_sending_goes_on_after_an_order_whose_events_cannot_be_read(world: World, said: Said, error: Exception) -> None:
    bad = world.order_ids[4]
    world.unreadable[bad] = error
    assert send(world, said) == FAILED
    assert set(world.sent) == {*world.order_ids} - {bad}
    assert len(said.about(bad)) == 1


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_sending_goes_on_after_an_order_that_the_queue_refuses(world: World, said: Said, error: Exception) -> None:
    bad = world.order_ids[0]
    world.unsendable[bad] = error
    assert send(world, said) == FAILED
    assert set(world.sent) == {*world.order_ids} - {bad}
    assert len(said.about(bad)) == 1


@pytest.mark.parametrize("confirmed", [True, False])
def test_an_order_with_text_that_no_queue_takes_is_told_of_by_the_dry_run_too(
    world: World, said: Said, confirmed: bool
) -> None:
    bad = world.order_ids[-1]
    world.changed[bad] = lambda event: replace(event, payload={**event.payload, "customerId": "CUST-\uffff"})
    assert send(world, said, confirmed=confirmed) == FAILED
    (line,) = said.about(bad)
    assert "U+FFFF" in line
    assert set(world.sent) == ({*world.order_ids} - {bad} if confirmed else set())


def test_a_queue_that_refuses_everything_is_an_outage_and_stops_it(world: World, said: Said) -> None:
    world.unsendable.update(dict.fromkeys(world.order_ids, Unavailable("SendMessage: no answer")))
    with pytest.raises(Unavailable, match="no answer"):
        send(world, said)
    assert 1 < MAX_IN_A_ROW < len(world.order_ids)


def test_a_queue_that_refuses_each_second_order_stops_it_not(world: World, said: Said) -> None:
    bad = world.order_ids[::2]
    world.unsendable.update(dict.fromkeys(bad, Unavailable("SendMessage: no answer")))
    assert send(world, said) == FAILED
    assert set(world.sent) == {*world.order_ids} - {*bad}


def test_of_good_orders_every_one_is_rebuilt(world: World, said: Said) -> None:
    assert rebuild(world, said) == OK
    assert world.shadow.rows.keys() == {*world.order_ids}


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_rebuilding_goes_on_after_an_order_whose_events_cannot_be_read(
    world: World, said: Said, error: Exception
) -> None:
    bad = world.order_ids[4]
    world.unreadable[bad] = error
    assert rebuild(world, said) == FAILED
    assert world.shadow.rows.keys() == {*world.order_ids} - {bad}
    assert len(said.about(bad)) == 1


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_one_order_that_the_shadow_table_refuses_keeps_none_of_its_batch_out(
    world: World, said: Said, error: Exception
) -> None:
    bad = world.order_ids[4]
    world.shadow.refused[bad] = error
    assert rebuild(world, said) == FAILED
    assert world.shadow.rows.keys() == {*world.order_ids} - {bad}
    assert len(said.about(bad)) == 1


MALFORMED: list[Mapping[str, Any]] = [
    {"totalAmount": "much", "items": [{"unitPrice": "much"}]},
    {"items": 7},
    {"items": ["line"]},
    {"createdAt": 5},
    {},
]


@pytest.mark.parametrize("payload", MALFORMED, ids=repr)
def test_rebuilding_goes_on_after_an_order_whose_events_add_up_to_none(
    world: World, said: Said, payload: Mapping[str, Any]
) -> None:
    bad = world.order_ids[4]
    world.changed[bad] = lambda event: replace(event, payload=payload)
    assert rebuild(world, said) == FAILED
    assert world.shadow.rows.keys() == {*world.order_ids} - {bad}
    assert said.about(bad)
