"""What the pollers read for those who watch, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from api.pollers import MAX_POLLED, ORDER_POLL_SECONDS, SETTLING_MS, Change, Poller, Watch
from shopflow.domain.order import Order, notify
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.conformance.samples import a_placed_order, an_event, charged, made, refused, reserved
from tests.unit.api.shop import Shop
from tests.waiting import eventually

UNTIL_SETTLED = round(SETTLING_MS / 1000 / ORDER_POLL_SECONDS) + 1


class Polled:
    """An order poller whose polls the test makes, and what a listener heard."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.clock = ManualClock()
        self.changes: list[Change] = []
        self.poller = shop.order_poller(self.clock)

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.poller.poll()
            self.clock.advance(ORDER_POLL_SECONDS)

    def polls_read(self, times: int = 1) -> tuple[list[list[str]], list[str]]:
        """The ids of each read of orders, and of each read of a trail, of the next polls."""
        self.shop.calls.clear()
        self.poll(times)
        return [sorted(ids) for ids in self.shop.asked("orders.read")], self.shop.asked("audit.trail")

    def recorded(self, order: Order) -> Order:
        self.shop.audit.insert([an_event(order)], stored_at=order.updated_at)
        return order

    def accepted(self) -> Order:
        """An order that this process has just accepted, recorded."""
        order = self.recorded(a_placed_order(self.shop.orders))
        self.poller.accept(replace(order, created_at=self.clock.now_ms()))
        return order

    def watched(self, order: Order) -> Watch:
        watch = Watch(order)
        self.poller.subscribe(watch)
        return watch

    def listen(self) -> None:
        self.poller.subscribe(self.changes.append)

    def heard(self) -> list[str]:
        """The event types and statuses that the listener heard since the last time."""
        heard = []
        for change in self.changes:
            heard += [entry.event.event_type for entry in change.entries]
            heard += [str(change.order.status)] if change.status_changed else []
        self.changes.clear()
        return heard


@pytest.fixture
def polled(shop: Shop) -> Polled:
    return Polled(shop)


def test_fifty_trackers_of_idle_orders_cost_one_read_a_poll_and_no_query(shop: Shop, polled: Polled) -> None:
    orders = [polled.recorded(a_placed_order(shop.orders)) for _ in range(50)]
    watches = [polled.watched(order) for order in [*orders, orders[0]]]
    polled.poll()
    assert polled.polls_read(5) == ([sorted(order.order_id for order in orders)] * 5, [])
    polled.recorded(made(shop.orders, refused(orders[0])))
    assert polled.polls_read()[1] == [orders[0].order_id]
    assert watches[0].snapshot is watches[-1].snapshot


def test_a_finished_order_is_read_once_more_and_then_left_alone(shop: Shop, polled: Polled) -> None:
    order = polled.recorded(a_placed_order(shop.orders))
    failed = polled.recorded(made(shop.orders, refused(order)))
    made(shop.orders, notify(failed, failed.updated_at + 1))
    watch = polled.watched(order)
    polled.poll()
    assert (watch.snapshot.complete, watch.snapshot.settled) == (True, False)
    late = replace(an_event(failed), event_id="Z" * 26, event_type="fraud.checked")
    shop.audit.insert([late], stored_at=failed.updated_at)
    polled.poll(UNTIL_SETTLED)
    assert (watch.snapshot.settled, watch.snapshot.entries[-1].event.event_type) == (True, "fraud.checked")
    assert polled.polls_read(5) == ([], [])


def test_in_a_flood_the_first_orders_are_followed_to_their_end_and_later_ones_take_their_places(
    shop: Shop, polled: Polled
) -> None:
    polled.listen()
    first = [polled.accepted() for _ in range(MAX_POLLED)]
    polled.poll()
    for _ in range(MAX_POLLED):
        polled.accepted()
    [read], _ = polled.polls_read()
    assert read == sorted(order.order_id for order in first)
    paid = polled.recorded(made(shop.orders, charged(polled.recorded(made(shop.orders, reserved(first[0]))))))
    made(shop.orders, notify(paid, paid.updated_at + 1))
    polled.poll(UNTIL_SETTLED + 2)
    later = polled.accepted()
    [read], _ = polled.polls_read()
    assert read == sorted(order.order_id for order in [*first[1:], later])


def test_an_unavailable_table_is_read_again_and_loses_no_news(shop: Shop, polled: Polled) -> None:
    polled.listen()
    polled.accepted()
    shop.fail("audit.trail", Unavailable("Query events"))
    with pytest.raises(Unavailable):
        polled.poll()
    shop.instead.clear()
    polled.clock.advance(1)
    polled.poll()
    assert polled.heard() == ["PENDING", "order.created"]


def test_an_unreadable_trail_does_not_hide_other_orders(shop: Shop, polled: Polled) -> None:
    orders = sorted((a_placed_order(shop.orders) for _ in range(2)), key=lambda order: order.order_id)
    watches = [polled.watched(polled.recorded(order)) for order in orders]

    def trail(call: partial[Any]) -> Any:
        if call.args[0] == orders[0].order_id:
            raise ValueError("an item that nobody can read")
        return call()

    shop.instead["audit.trail"] = trail
    polled.poll()
    assert [len(watch.snapshot.entries) for watch in watches] == [0, 1]


def test_a_poll_that_fails_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    failures: Iterator[Exception] = iter([Unavailable("away"), ValueError("a bug")])
    polls = 0

    def poll(_: object) -> None:
        nonlocal polls
        polls += 1
        for failure in failures:
            raise failure

    poller: Poller[str] = Poller(poll, 0.001)
    poller.subscribe("somebody")
    eventually(lambda: polls > 3)
    poller.unsubscribe("somebody")
    assert [record.getMessage() for record in caplog.records] == ["live views are delayed: away", "a poll failed"]
