"""What is looked up for those who watch, and how often."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.followed import LONGEST_PAUSE_MS, SETTLING_MS
from api.following import LATELY_MS, MAX_ACCEPTED, MAX_PER_READ, TICK_SECONDS, Change, Follower, Watch
from api.recent import RecentOrders
from shopflow.domain.order import Order, notify
from shopflow.errors import Unavailable
from tests.clocks import ManualClock
from tests.conformance.samples import a_placed_order, an_event, charged, made, refused, reserved
from tests.unit.api.shop import Shop


class Bench:
    """A follower whose ticks are the test's."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.clock = ManualClock()
        self.recent = RecentOrders()
        self.threads = 0
        self.changes: list[Change] = []
        self.follower = Follower(shop.orders, shop.audit, self.recent, self.clock, in_background=self._start)

    def _start(self, _: object) -> None:
        self.threads += 1

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.follower.tick()
            self.clock.advance(TICK_SECONDS)

    def accepted(self) -> Order:
        """An order that this process has just accepted, recorded."""
        order = recorded(self.shop, a_placed_order(self.shop.orders))
        self.recent.accept(order.order_id, self.clock.now_ms())
        return order

    def listen(self) -> None:
        self.follower.listen(self.changes.append)

    def forget_calls(self) -> None:
        self.shop.orders.reads.clear()
        self.shop.audit.queries.clear()

    @property
    def told(self) -> list[str]:
        """What the listener heard since the last time."""
        told = [
            text
            for change in self.changes
            for text in [*(entry.event.event_type for entry in change.entries)]
            + ([str(change.order.status)] if change.status_changed else [])
        ]
        self.changes.clear()
        return told


@pytest.fixture
def bench(shop: Shop) -> Bench:
    return Bench(shop)


def recorded(shop: Shop, order: Order) -> Order:
    shop.audit.insert([an_event(order)], stored_at=order.updated_at)
    return order


def test_fifty_trackers_of_idle_orders_cost_one_read_a_tick_and_no_query(shop: Shop, bench: Bench) -> None:
    orders = [recorded(shop, a_placed_order(shop.orders)) for _ in range(50)]
    for order in orders:
        bench.follower.watch(Watch(order))
    bench.tick()
    bench.forget_calls()
    bench.tick(5)
    assert shop.orders.reads == [tuple(sorted(order.order_id for order in orders))] * 5
    assert shop.audit.queries == []


def test_trackers_of_one_order_share_its_looks_and_all_are_told(shop: Shop, bench: Bench) -> None:
    order = a_placed_order(shop.orders)
    watches = [Watch(order) for _ in range(3)]
    for watch in watches:
        bench.follower.watch(watch)
    recorded(shop, made(shop.orders, refused(order)))
    bench.forget_calls()
    bench.tick()
    assert (len(shop.orders.reads), shop.audit.queries) == (1, [order.order_id])
    assert len({id(watch.seen) for watch in watches}) == 1
    assert watches[0].seen.order.status == "INVENTORY_FAILED"


def test_more_orders_than_one_read_takes_are_read_in_several(shop: Shop, bench: Bench) -> None:
    for _ in range(MAX_PER_READ + 1):
        bench.follower.watch(Watch(recorded(shop, a_placed_order(shop.orders))))
    bench.tick()
    assert [len(ids) for ids in shop.orders.reads] == [MAX_PER_READ, 1]


def test_nothing_is_looked_up_when_nobody_watches_any_more(shop: Shop, bench: Bench) -> None:
    watch = Watch(a_placed_order(shop.orders))
    bench.follower.watch(watch)
    bench.listen()
    bench.follower.unwatch(watch)
    bench.follower.unwatch(watch)
    bench.follower.unlisten(bench.changes.append)
    bench.tick(3)
    assert (shop.orders.reads, shop.audit.queries) == ([], [])


def test_a_trail_is_looked_at_when_the_order_moves_and_until_the_entry_is_there(shop: Shop, bench: Bench) -> None:
    order = recorded(shop, a_placed_order(shop.orders))
    watch = Watch(order)
    bench.follower.watch(watch)
    bench.tick(3)
    assert len(shop.audit.queries) == 1
    taken = made(shop.orders, reserved(order))
    bench.tick()
    assert len(shop.audit.queries) == 2
    recorded(shop, taken)
    bench.tick()
    assert [entry.event.event_type for entry in watch.seen.entries] == ["order.created", "inventory.reserved"]
    bench.forget_calls()
    bench.tick(5)
    assert shop.audit.queries == []


def test_an_entry_that_does_not_come_is_looked_for_ever_more_rarely(shop: Shop, bench: Bench) -> None:
    bench.follower.watch(Watch(a_placed_order(shop.orders)))
    bench.tick(100)
    seconds = 100 * TICK_SECONDS
    assert seconds * 1000 / LONGEST_PAUSE_MS <= len(shop.audit.queries) <= seconds * 1000 / LONGEST_PAUSE_MS + 4


def test_a_finished_order_is_looked_at_once_more_and_then_left_alone(shop: Shop, bench: Bench) -> None:
    order = recorded(shop, a_placed_order(shop.orders))
    failed = recorded(shop, made(shop.orders, refused(order)))
    made(shop.orders, notify(failed, failed.updated_at + 1))
    watch = Watch(order)
    bench.follower.watch(watch)
    bench.tick()
    assert (watch.seen.complete, watch.seen.settled) == (True, False)
    late = replace(an_event(failed), event_id="Z" * 26, event_type="fraud.checked")
    shop.audit.insert([late], stored_at=failed.updated_at)
    bench.tick(round(SETTLING_MS / 1000 / TICK_SECONDS) + 1)
    assert (watch.seen.settled, watch.seen.entries[-1].event.event_type) == (True, "fraud.checked")
    bench.forget_calls()
    bench.tick(5)
    assert (shop.orders.reads, shop.audit.queries) == ([], [])


def test_who_listens_hears_of_every_order_that_is_accepted(shop: Shop, bench: Bench) -> None:
    bench.listen()
    order = bench.accepted()
    bench.tick()
    assert bench.told == ["PENDING", "order.created"]
    recorded(shop, made(shop.orders, reserved(order)))
    bench.tick()
    assert bench.told == ["INVENTORY_RESERVED", "inventory.reserved"]
    bench.tick(3)
    assert bench.told == []


def test_who_listens_hears_of_orders_that_others_track(shop: Shop, bench: Bench) -> None:
    bench.listen()
    bench.follower.watch(Watch(recorded(shop, a_placed_order(shop.orders))))
    bench.tick()
    assert "PENDING" in bench.told


def test_what_happened_long_before_an_order_was_first_looked_at_is_no_news(shop: Shop, bench: Bench) -> None:
    bench.clock.now = a_placed_order(shop.orders).created_at + 60_000
    order = recorded(shop, a_placed_order(shop.orders))
    bench.recent.accept(order.order_id, order.created_at)
    bench.listen()
    bench.tick()
    assert bench.told == ["PENDING"]


def test_orders_that_were_finished_before_anybody_listened_cost_one_read(shop: Shop, bench: Bench) -> None:
    order = bench.accepted()
    paid = made(shop.orders, charged(made(shop.orders, reserved(order))))
    made(shop.orders, notify(paid, paid.updated_at + 1))
    bench.clock.now = paid.updated_at + 60_000
    bench.recent.accept(order.order_id, bench.clock.now_ms() - 60_000)
    bench.listen()
    bench.forget_calls()
    bench.tick(5)
    assert (shop.orders.reads, shop.audit.queries) == ([(order.order_id,)], [])
    assert bench.told == []


def test_an_order_that_does_not_finish_is_followed_for_a_while_only(shop: Shop, bench: Bench) -> None:
    bench.listen()
    bench.accepted()
    bench.tick()
    bench.clock.advance(LATELY_MS / 1000)
    bench.forget_calls()
    bench.tick(3)
    assert shop.orders.reads == []


def test_a_flood_of_orders_is_followed_in_part_and_those_to_their_end(shop: Shop, bench: Bench) -> None:
    bench.listen()
    first = [bench.accepted().order_id for _ in range(MAX_ACCEPTED)]
    bench.tick()
    for _ in range(MAX_ACCEPTED):
        bench.accepted()
    bench.forget_calls()
    bench.tick()
    assert {each for ids in shop.orders.reads for each in ids} == set(first)


def test_places_that_become_free_go_to_the_latest(shop: Shop, bench: Bench) -> None:
    bench.listen()
    done = bench.accepted()
    bench.tick()
    paid = recorded(shop, made(shop.orders, charged(recorded(shop, made(shop.orders, reserved(done))))))
    made(shop.orders, notify(paid, paid.updated_at + 1))
    bench.tick(round(SETTLING_MS / 1000 / TICK_SECONDS) + 3)
    later = bench.accepted()
    bench.forget_calls()
    bench.tick()
    assert shop.orders.reads == [(later.order_id,)]


def test_a_table_that_is_away_is_asked_again_and_costs_no_news(shop: Shop, bench: Bench) -> None:
    bench.listen()
    bench.accepted()
    shop.audit.unavailable = True
    with pytest.raises(Unavailable):
        bench.tick()
    shop.audit.unavailable = False
    bench.clock.advance(1)
    bench.tick()
    assert bench.told == ["PENDING", "order.created"]


def test_one_broken_trail_does_not_keep_others_from_being_seen(
    shop: Shop, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = sorted((a_placed_order(shop.orders) for _ in range(2)), key=lambda order: order.order_id)
    watches = [Watch(recorded(shop, order)) for order in orders]
    readable = shop.audit.trail

    def trail(order_id: str) -> object:
        if order_id == orders[0].order_id:
            raise ValueError("an item that nobody can read")
        return readable(order_id)

    monkeypatch.setattr(shop.audit, "trail", trail)
    for watch in watches:
        bench.follower.watch(watch)
    bench.tick()
    assert [len(watch.seen.entries) for watch in watches] == [0, 1]
