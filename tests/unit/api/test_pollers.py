"""What is read for those who watch, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from api.pollers import (
    MAX_POLLED,
    MAX_TRAIL_PAUSE_MS,
    ORDER_POLL_SECONDS,
    RECENT_MS,
    SETTLING_MS,
    Change,
    OrderPoller,
    Poller,
    Watch,
)
from api.recent import RecentOrders
from shopflow.domain.order import Order, notify
from shopflow.errors import Unavailable
from shopflow.ports import AuditEntry
from tests.clocks import ManualClock
from tests.conformance.samples import a_placed_order, an_event, charged, made, refused, reserved
from tests.unit.api.shop import Shop, eventually

UNTIL_SETTLED = round(SETTLING_MS / 1000 / ORDER_POLL_SECONDS) + 1


class Polled:
    """An order poller whose polls the test makes, and what a listener heard."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.clock = ManualClock()
        self.recent = RecentOrders()
        self.changes: list[Change] = []
        self.poller = OrderPoller(shop.orders, shop.audit, self.recent, self.clock, in_background=lambda _: None)

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.poller.poll()
            self.clock.advance(ORDER_POLL_SECONDS)

    def accepted(self) -> Order:
        """An order that this process has just accepted, recorded."""
        order = recorded(self.shop, a_placed_order(self.shop.orders))
        self.recent.accept(order.order_id, self.clock.now_ms())
        return order

    def listen(self) -> None:
        self.poller.subscribe(self.changes.append)

    def forget_reads(self) -> None:
        self.shop.orders.reads.clear()
        self.shop.audit.queries.clear()

    @property
    def heard(self) -> list[str]:
        """The event types and statuses that the listener heard since the last time."""
        heard = [
            text
            for change in self.changes
            for text in [*(entry.event.event_type for entry in change.entries)]
            + ([str(change.order.status)] if change.status_changed else [])
        ]
        self.changes.clear()
        return heard


@pytest.fixture
def polled(shop: Shop) -> Polled:
    return Polled(shop)


def recorded(shop: Shop, order: Order) -> Order:
    shop.audit.insert([an_event(order)], stored_at=order.updated_at)
    return order


def test_fifty_trackers_of_idle_orders_cost_one_read_a_poll_and_no_query(shop: Shop, polled: Polled) -> None:
    orders = [recorded(shop, a_placed_order(shop.orders)) for _ in range(50)]
    watches = [Watch(order) for order in [*orders, orders[0]]]
    for watch in watches:
        polled.poller.subscribe(watch)
    polled.poll()
    polled.forget_reads()
    polled.poll(5)
    assert shop.orders.reads == [tuple(sorted(order.order_id for order in orders))] * 5
    assert shop.audit.queries == []
    recorded(shop, made(shop.orders, refused(orders[0])))
    polled.poll()
    assert shop.audit.queries == [orders[0].order_id]
    assert watches[0].snapshot is watches[-1].snapshot


def test_nothing_is_read_when_nobody_watches_any_more(shop: Shop, polled: Polled) -> None:
    watch = Watch(a_placed_order(shop.orders))
    polled.poller.subscribe(watch)
    polled.listen()
    for _ in range(2):
        polled.poller.unsubscribe(watch)
    polled.poller.unsubscribe(polled.changes.append)
    polled.poll(3)
    assert (shop.orders.reads, shop.audit.queries) == ([], [])


def test_a_trail_is_read_when_its_order_changes_and_until_the_entry_is_there(shop: Shop, polled: Polled) -> None:
    order = recorded(shop, a_placed_order(shop.orders))
    watch = Watch(order)
    polled.poller.subscribe(watch)
    polled.poll(3)
    assert len(shop.audit.queries) == 1
    taken = made(shop.orders, reserved(order))
    polled.poll()
    assert len(shop.audit.queries) == 2
    recorded(shop, taken)
    polled.poll()
    assert [entry.event.event_type for entry in watch.snapshot.entries] == ["order.created", "inventory.reserved"]
    polled.forget_reads()
    polled.poll(5)
    assert shop.audit.queries == []


def test_the_pauses_between_reads_of_an_incomplete_trail_grow(shop: Shop, polled: Polled) -> None:
    polled.poller.subscribe(Watch(a_placed_order(shop.orders)))
    polled.poll(100)
    at_the_longest_pause = 100 * ORDER_POLL_SECONDS * 1000 / MAX_TRAIL_PAUSE_MS
    assert at_the_longest_pause <= len(shop.audit.queries) <= at_the_longest_pause + 4


def test_a_finished_order_is_read_once_more_and_then_left_alone(shop: Shop, polled: Polled) -> None:
    order = recorded(shop, a_placed_order(shop.orders))
    failed = recorded(shop, made(shop.orders, refused(order)))
    made(shop.orders, notify(failed, failed.updated_at + 1))
    watch = Watch(order)
    polled.poller.subscribe(watch)
    polled.poll()
    assert (watch.snapshot.complete, watch.snapshot.settled) == (True, False)
    late = replace(an_event(failed), event_id="Z" * 26, event_type="fraud.checked")
    shop.audit.insert([late], stored_at=failed.updated_at)
    polled.poll(UNTIL_SETTLED)
    assert (watch.snapshot.settled, watch.snapshot.entries[-1].event.event_type) == (True, "fraud.checked")
    polled.forget_reads()
    polled.poll(5)
    assert (shop.orders.reads, shop.audit.queries) == ([], [])


def test_a_listener_hears_of_accepted_and_of_watched_orders(shop: Shop, polled: Polled) -> None:
    polled.listen()
    order = polled.accepted()
    polled.poll()
    assert polled.heard == ["PENDING", "order.created"]
    recorded(shop, made(shop.orders, reserved(order)))
    polled.poll()
    assert polled.heard == ["INVENTORY_RESERVED", "inventory.reserved"]
    polled.poller.subscribe(Watch(recorded(shop, a_placed_order(shop.orders))))
    polled.poll()
    assert "PENDING" in polled.heard
    polled.poll(3)
    assert polled.heard == []


def test_what_happened_long_before_the_first_read_is_not_reported(shop: Shop, polled: Polled) -> None:
    polled.clock.now = a_placed_order(shop.orders).created_at + 60_000
    order = recorded(shop, a_placed_order(shop.orders))
    polled.recent.accept(order.order_id, order.created_at)
    polled.listen()
    polled.poll()
    assert polled.heard == ["PENDING"]


def test_orders_that_were_finished_before_anybody_listened_cost_one_read(shop: Shop, polled: Polled) -> None:
    order = polled.accepted()
    paid = made(shop.orders, charged(made(shop.orders, reserved(order))))
    made(shop.orders, notify(paid, paid.updated_at + 1))
    polled.clock.now = paid.updated_at + 60_000
    polled.recent.accept(order.order_id, paid.updated_at)
    polled.listen()
    polled.forget_reads()
    polled.poll(5)
    assert (shop.orders.reads, shop.audit.queries, polled.heard) == ([(order.order_id,)], [], [])


def test_an_order_that_does_not_finish_is_polled_for_a_while_only(shop: Shop, polled: Polled) -> None:
    polled.listen()
    polled.accepted()
    polled.poll()
    polled.clock.advance(RECENT_MS / 1000)
    polled.forget_reads()
    polled.poll(3)
    assert shop.orders.reads == []


def test_in_a_flood_the_first_orders_are_followed_to_their_end_and_later_ones_take_their_places(
    shop: Shop, polled: Polled
) -> None:
    polled.listen()
    first = [polled.accepted() for _ in range(MAX_POLLED)]
    polled.poll()
    for _ in range(MAX_POLLED):
        polled.accepted()
    polled.forget_reads()
    polled.poll()
    assert {each for ids in shop.orders.reads for each in ids} == {order.order_id for order in first}
    paid = recorded(shop, made(shop.orders, charged(recorded(shop, made(shop.orders, reserved(first[0]))))))
    made(shop.orders, notify(paid, paid.updated_at + 1))
    polled.poll(UNTIL_SETTLED + 2)
    later = polled.accepted()
    polled.forget_reads()
    polled.poll()
    [read] = shop.orders.reads
    assert set(read) == {order.order_id for order in [*first[1:], later]}


def test_an_unavailable_table_is_read_again_and_loses_no_news(shop: Shop, polled: Polled) -> None:
    polled.listen()
    polled.accepted()
    shop.audit.unavailable = True
    with pytest.raises(Unavailable):
        polled.poll()
    shop.audit.unavailable = False
    polled.clock.advance(1)
    polled.poll()
    assert polled.heard == ["PENDING", "order.created"]


def test_an_unreadable_trail_does_not_hide_other_orders(
    shop: Shop, polled: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = sorted((a_placed_order(shop.orders) for _ in range(2)), key=lambda order: order.order_id)
    watches = [Watch(recorded(shop, order)) for order in orders]
    readable = shop.audit.trail

    def trail(order_id: str) -> list[AuditEntry]:
        if order_id == orders[0].order_id:
            raise ValueError("an item that nobody can read")
        return readable(order_id)

    monkeypatch.setattr(shop.audit, "trail", trail)
    for watch in watches:
        polled.poller.subscribe(watch)
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


def test_only_so_many_accepted_orders_are_remembered() -> None:
    recent = RecentOrders(max_orders=3)
    for number in range(1, 6):
        recent.accept(f"ORD-{number}", at_ms=number)
    assert [order.order_id for order in recent.after(0)] == ["ORD-3", "ORD-4", "ORD-5"]
    assert [order.order_id for order in recent.after(4)] == ["ORD-5"]
    assert [order.order_id for order in recent.since(4)] == ["ORD-4", "ORD-5"]
