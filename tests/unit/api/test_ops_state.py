"""GET /ops/state: queues, throughput, times to complete, and orders that are open too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.ops import state as state_module
from api.ops.state import (
    MINUTE_MS,
    WINDOW_MINUTES,
    Finish,
    Throughput,
    awaited_services,
    finish_of,
    read_open_orders,
    summary,
    window_start,
)
from api.recent import RecentOrders
from shopflow.domain import order as steps
from shopflow.domain.order import Order, Status
from shopflow.domain.times import to_text
from tests.clocks import ManualClock
from tests.conformance.samples import a_declined_order, an_order, charged, made, released, reserved
from tests.unit.api.shop import AS_OPERATOR, SAMPLE, Client, Shop, serving

NOW = ManualClock().now


def state(client: Client) -> Any:
    return client.get("/ops/state", AS_OPERATOR).json


def finish(shop: Shop, order_id: str, after_ms: int) -> None:
    order = shop.tables.orders[order_id]
    paid = made(shop.orders, charged(made(shop.orders, reserved(order))))
    made(shop.orders, steps.notify(paid, order.created_at + after_ms))


def test_orders_are_counted_in_the_minutes_in_which_they_were_accepted_and_finished() -> None:
    start = window_start(NOW)
    finishes = [Finish(start + MINUTE_MS, 3000), Finish(start + MINUTE_MS + 1, 1000), Finish(NOW, 2000)]
    shown = summary([start - 1, start, start + MINUTE_MS - 1, start + MINUTE_MS, NOW], finishes, NOW)
    assert (shown["windowMinutes"], shown["accepted"], shown["finished"]) == (WINDOW_MINUTES, 4, 3)
    assert [minute["accepted"] for minute in shown["perMinute"]] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    second_minute = {"at": to_text(start + MINUTE_MS), "accepted": 1, "finished": 2, "p50Ms": 1000, "p95Ms": 3000}
    assert shown["perMinute"][1] == second_minute
    assert shown["perMinute"][-1]["at"] == to_text(NOW - NOW % MINUTE_MS)
    assert shown["timeToComplete"] == {"count": 3, "p50Ms": 2000, "p95Ms": 3000, "p99Ms": 3000}


def test_an_order_is_finished_when_its_customer_is_notified_and_its_stock_released(shop: Shop) -> None:
    declined = a_declined_order(shop.orders)
    notified = made(shop.orders, steps.notify(declined, declined.created_at + 500))
    assert finish_of(notified) is None
    closed = made(shop.orders, steps.close(made(shop.orders, released(notified))))
    at_ms = max(declined.created_at + 500, closed.released_at or 0)
    assert finish_of(closed) == Finish(at_ms, at_ms - declined.created_at)
    assert finish_of(replace(closed, released_at=None, notified_at=1)) == Finish(1, 0)  # a clock was behind


def test_accepted_orders_are_followed_to_their_end_and_then_not_read_again() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        order_ids = [client.post().json["orderId"] for _ in range(3)]
        for _ in range(2):
            client.ask("POST", "/orders", SAMPLE, {"Idempotency-Key": "one"})
        finish(shop, order_ids[0], 800)
        seen = state(client)["orders"]
        assert (seen["accepted"], seen["finished"]) == (4, 1)
        assert seen["timeToComplete"] == {"count": 1, "p50Ms": 800, "p95Ms": 800, "p99Ms": 800}
        shop.orders.reads.clear()
        clock.advance(1)
        assert state(client)["orders"]["finished"] == 1
        checked, _ = shop.orders.reads  # the open orders are read too
        assert order_ids[0] not in checked
        clock.advance(WINDOW_MINUTES * 60)
        seen = state(client)["orders"]
        assert (seen["accepted"], seen["finished"], seen["timeToComplete"]["count"]) == (0, 0, 0)


def test_too_many_orders_are_checked_in_turns(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MAX_CHECKED", 2)
    clock, recent = ManualClock(), RecentOrders()
    throughput = Throughput(recent, shop.orders, clock)
    for _ in range(3):
        recent.accept(shop.orders.create(an_order()).order_id, clock.now_ms())
    shop.orders.reads.clear()
    for _ in range(2):
        throughput.summary()
    assert [len(ids) for ids in shop.orders.reads] == [2, 2]
    assert len({each for ids in shop.orders.reads for each in ids}) == 3


def test_queues_are_shown_with_the_age_of_the_oldest_event_that_was_not_acted_on() -> None:
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
        finish(shop, client.post().json["orderId"], 10)
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


def test_of_very_many_open_orders_all_are_counted_and_only_the_oldest_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "MAX_READ", 150)
    shop, clock = Shop(), ManualClock()
    for number in range(300):
        shop.orders.create(replace(an_order(), order_id=f"ORD-{number:08}", opened_at=clock.now - 120_000 + number))
    shop.orders.reads.clear()
    shown = read_open_orders(shop.orders, clock).view
    assert shown["total"] == 300
    assert [one["orderId"] for one in shown["oldest"]] == [f"ORD-{number:08}" for number in range(50)]
    assert [len(ids) for ids in shop.orders.reads] == [150]


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
    assert awaited_services(order) == services
