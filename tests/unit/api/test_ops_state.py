"""GET /ops/state: the queues, and the orders that are open for too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from api.ops.state import awaited_services
from shopflow.domain.order import Order, Status, notify
from tests.clocks import ManualClock
from tests.conformance.samples import an_order, charged, made, reserved
from tests.unit.api.shop import AS_OPERATOR, Client, Shop, serving

NOW = ManualClock().now


def test_the_operator_sees_queues_and_dead_letters_and_the_orders_open_for_over_a_minute() -> None:
    clock = ManualClock()
    shop = Shop(clock)
    with serving(shop) as server:
        client = Client(server)
        oldest = client.post().json["orderId"]
        clock.advance(30)
        older, finished = (client.post().json["orderId"] for _ in range(2))
        made(shop.orders, reserved(shop.tables.orders[older]))
        paid = made(shop.orders, charged(made(shop.orders, reserved(shop.tables.orders[finished]))))
        made(shop.orders, notify(paid, clock.now))
        shop.dlqs["payment"].send("poison")
        shop.dlqs["payment"].receive(1, 0)
        clock.advance(61)
        client.post()
        state = client.get("/ops/state", AS_OPERATOR).json
    assert list(state["queues"]) == ["inventory", "payment", "notification", "audit"]
    assert state["queues"]["inventory"] == {"waiting": 4, "inFlight": 0, "deadLetters": 0}
    assert state["queues"]["payment"] == {"waiting": 0, "inFlight": 0, "deadLetters": 1}
    assert state["openOrders"] == {
        "total": 2,
        "oldest": [
            {"orderId": oldest, "status": "PENDING", "ageSeconds": 91, "waitsFor": ["inventory"]},
            {"orderId": older, "status": "INVENTORY_RESERVED", "ageSeconds": 61, "waitsFor": ["payment"]},
        ],
    }


def _in(status: Status, **fields: Any) -> Order:
    return replace(an_order(), status=status, updated_at=NOW, **fields)


@pytest.mark.parametrize(
    ("order", "services"),
    [
        (_in(Status.PENDING), ["inventory"]),
        (_in(Status.INVENTORY_RESERVED), ["payment"]),
        (_in(Status.PAYMENT_PROCESSED), ["notification"]),
        (_in(Status.INVENTORY_FAILED), ["notification"]),
        (_in(Status.PAYMENT_FAILED), ["notification", "inventory"]),
        (_in(Status.PAYMENT_FAILED, notified_at=NOW), ["inventory"]),
        (_in(Status.PAYMENT_FAILED, released_at=NOW), ["notification"]),
        (_in(Status.PAYMENT_FAILED, released_at=NOW, notified_at=NOW), ["relay"]),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_an_order_waits_for_the_services_whose_step_it_lacks(order: Order, services: list[str]) -> None:
    assert awaited_services(order) == services
