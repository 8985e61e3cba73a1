"""GET /ops/state: queues, throughput, times to complete, and orders that are open for long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.ops import throughput, waiting
from api.ops.metrics import MINUTE_MS, WINDOW_MINUTES, Finish, finish_of, percentile, summary, window_start
from api.ops.throughput import Throughput
from api.ops.waiting import owed
from api.recent import RecentOrders
from shopflow.domain import order as steps
from shopflow.domain.order import Order, Status
from shopflow.domain.times import to_text
from tests.clocks import ManualClock
from tests.conformance.samples import a_declined_order, an_order, charged, made, refused, released, reserved
from tests.unit.api.shop import AS_OPERATOR, SAMPLE, Client, Shop, serving

NOW = ManualClock().now


def state(client: Client) -> Any:
    return client.get("/ops/state", AS_OPERATOR).json


@pytest.mark.parametrize(("percent", "value"), [(1, 10), (50, 50), (51, 60), (95, 100), (99, 100), (100, 100)])
def test_a_percentile_is_a_value_that_was_measured(percent: int, value: int) -> None:
    assert percentile(range(10, 101, 10), percent) == value


def test_there_is_no_percentile_of_nothing_and_each_of_one_value_is_it() -> None:
    assert percentile([], 50) is None
    assert [percentile([7], percent) for percent in (1, 50, 99)] == [7, 7, 7]


def test_orders_are_counted_in_the_minute_they_were_accepted_in_and_finished_in() -> None:
    start = window_start(NOW)
    finishes = [Finish(start + MINUTE_MS, 1000), Finish(start + MINUTE_MS + 1, 3000), Finish(NOW, 2000)]
    shown = summary([start - 1, start, start + MINUTE_MS - 1, start + MINUTE_MS, NOW], finishes, NOW)
    assert (shown["windowMinutes"], shown["accepted"], shown["finished"]) == (WINDOW_MINUTES, 4, 3)
    assert [minute["accepted"] for minute in shown["perMinute"]] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert shown["perMinute"][1] == {
        "at": to_text(start + MINUTE_MS),
        "accepted": 1,
        "finished": 2,
        "p50Ms": 1000,
        "p95Ms": 3000,
    }
    assert shown["timeToComplete"] == {"count": 3, "p50Ms": 2000, "p95Ms": 3000, "p99Ms": 3000}


def test_the_last_minute_is_the_one_that_goes_on() -> None:
    shown = summary([], [], NOW)["perMinute"]
    assert len(shown) == WINDOW_MINUTES
    assert shown[-1]["at"] == to_text(NOW - NOW % MINUTE_MS)
    assert shown[-1]["p50Ms"] is None


def test_an_order_is_finished_when_its_customer_is_told_and_its_stock_released(shop: Shop) -> None:
    declined = a_declined_order(shop.orders)
    told = made(shop.orders, steps.notify(declined, declined.created_at + 500))
    assert finish_of(told) is None
    settled = made(shop.orders, steps.close(made(shop.orders, released(told))))
    assert settled.released_at is not None
    at_ms = max(declined.created_at + 500, settled.released_at)
    assert finish_of(settled) == Finish(at_ms, at_ms - declined.created_at)


def test_a_clock_that_goes_after_makes_no_negative_time() -> None:
    order = replace(an_order(), opened_at=None, notified_at=1)
    assert finish_of(order) == Finish(1, 0)


def _finished(shop: Shop, order_id: str, after_ms: int) -> None:
    order = shop.tables.orders[order_id]
    paid = made(shop.orders, charged(made(shop.orders, reserved(order))))
    made(shop.orders, steps.notify(paid, order.created_at + after_ms))


def test_the_orders_accepted_here_are_seen_through_to_their_end_and_read_no_more() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        order_ids = [client.post().json["orderId"] for _ in range(3)]
        client.ask("POST", "/orders", SAMPLE, {"Idempotency-Key": "one"})
        client.ask("POST", "/orders", SAMPLE, {"Idempotency-Key": "one"})
        _finished(shop, order_ids[0], 800)
        seen = state(client)["orders"]
        assert (seen["accepted"], seen["finished"]) == (4, 1)
        assert seen["timeToComplete"] == {"count": 1, "p50Ms": 800, "p95Ms": 800, "p99Ms": 800}
        shop.orders.reads.clear()
        clock.advance(1)
        assert state(client)["orders"]["finished"] == 1
        assert order_ids[0] not in {each for ids in shop.orders.reads for each in ids}
        clock.advance(WINDOW_MINUTES * 60)
        seen = state(client)["orders"]
        assert (seen["accepted"], seen["finished"], seen["timeToComplete"]["count"]) == (0, 0, 0)


def test_a_state_is_shared_for_a_second() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        client.post()
        for _ in range(5):
            state(client)
        assert set(shop.backlogs.looks.values()) == {1}
        clock.advance(1)
        state(client)
        assert set(shop.backlogs.looks.values()) == {2}


def test_orders_are_looked_at_in_turns_when_they_are_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "MAX_READ", 2)
    clock, recent = ManualClock(), RecentOrders()
    looked = Throughput(recent, shop.orders, clock)
    for _ in range(3):
        order = shop.orders.create(an_order())
        recent.accept(order.order_id, clock.now_ms())
    shop.orders.reads.clear()
    looked.summary()
    looked.summary()
    assert len({each for ids in shop.orders.reads for each in ids}) == 3


def test_the_memory_of_accepted_orders_is_bounded() -> None:
    recent = RecentOrders(most=3)
    for number in range(1, 6):
        recent.accept(f"ORD-{number}", at_ms=number)
    assert [one.order_id for one in recent.after(0)] == ["ORD-3", "ORD-4", "ORD-5"]
    assert [one.order_id for one in recent.after(4)] == ["ORD-5"]
    assert [one.order_id for one in recent.since(4)] == ["ORD-4", "ORD-5"]


def test_the_queues_are_shown_with_the_age_of_the_oldest_event_not_acted_on() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        client.post()
        shop.dlqs["payment"].send("poison")
        shop.dlqs["payment"].receive(1, 0)
        clock.advance(5)
        client.post()
        queues = state(client)["queues"]
    assert list(queues) == ["inventory", "payment", "notification", "audit"]
    assert queues["inventory"] == {"waiting": 2, "inFlight": 0, "deadLetters": 0, "oldestSeconds": 5}
    assert queues["payment"] == {"waiting": 0, "inFlight": 0, "deadLetters": 1, "oldestSeconds": None}


def test_orders_open_for_over_a_minute_are_listed_the_oldest_first() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        oldest = client.post().json["orderId"]
        clock.advance(30)
        older = client.post().json["orderId"]
        _finished(shop, client.post().json["orderId"], 10)
        clock.advance(61)
        client.post()
        shown = state(client)["openOrders"]
    assert shown == {
        "total": 2,
        "oldest": [
            {"orderId": oldest, "status": "PENDING", "ageSeconds": 91},
            {"orderId": older, "status": "PENDING", "ageSeconds": 61},
        ],
    }


def test_a_great_many_open_orders_are_counted_and_few_of_them_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_READ", 150)
    shop, clock = Shop(), ManualClock()
    for number in range(300):
        order = replace(an_order(), order_id=f"ORD-{number:08}", opened_at=clock.now - 120_000 + number)
        shop.orders.create(order)
    shop.orders.reads.clear()
    found = waiting.look(shop.orders, clock)
    assert found.open_orders["total"] == 300
    assert [one["orderId"] for one in found.open_orders["oldest"]] == [f"ORD-{number:08}" for number in range(50)]
    assert [len(ids) for ids in shop.orders.reads] == [100, 50]


def _in(status: Status, **fields: Any) -> Order:
    return replace(an_order(), status=status, updated_at=NOW, **fields)


@pytest.mark.parametrize(
    ("order", "services"),
    [
        (_in(Status.PENDING), {"inventory"}),
        (_in(Status.INVENTORY_RESERVED), {"payment"}),
        (_in(Status.PAYMENT_PROCESSED), {"notification"}),
        (_in(Status.INVENTORY_FAILED), {"notification"}),
        (_in(Status.PAYMENT_FAILED), {"notification", "inventory"}),
        (_in(Status.PAYMENT_FAILED, notified_at=NOW), {"inventory"}),
        (_in(Status.PAYMENT_FAILED, released_at=NOW), {"notification"}),
        (_in(Status.PAYMENT_FAILED, released_at=NOW, notified_at=NOW), set()),
        (_in(Status.COMPLETED, notified_at=NOW), set()),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_an_order_waits_for_the_services_whose_step_it_lacks(order: Order, services: set[str]) -> None:
    assert owed(order) == dict.fromkeys(services, NOW)


def test_who_keeps_an_order_waiting_agrees_with_the_state_machine(shop: Shop) -> None:
    order = shop.orders.create(an_order())
    assert set(owed(order)) == {"inventory"}
    failed = made(shop.orders, refused(order))
    assert set(owed(failed)) == {"notification"}
    declined = a_declined_order(shop.orders)
    assert set(owed(declined)) == {"notification", "inventory"}
