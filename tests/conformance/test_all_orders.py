"""`shopflow.ports.EveryOrder`: what an operator pages through."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import cast

from shopflow.domain.order import Line, Order, Status
from shopflow.ports import EveryOrder
from tests.conformance.samples import a_placed_order, charged, made, reserved
from tests.conformance.worlds import World

MANY = 60


def all_orders(world: World) -> Iterator[Order]:
    return cast(EveryOrder, world.orders).all()


def test_every_order_is_among_all_of_them_as_it_stands(world: World) -> None:
    pending = a_placed_order(world.orders)
    paid = made(world.orders, charged(made(world.orders, reserved(a_placed_order(world.orders)))))
    found = {order.order_id: order for order in all_orders(world)}
    assert found[pending.order_id] == pending
    assert found[paid.order_id] == paid
    assert paid.status is Status.PAYMENT_PROCESSED


def test_more_than_a_page_of_orders_comes_whole_and_each_once(world: World) -> None:
    """DynamoDB's page is 1 MiB; these orders are about 20 KB each."""
    lines = [Line(f"PROD-{number}", "A very long name " * 20, 1, Decimal("9.99")) for number in range(50)]
    wanted = {a_placed_order(world.orders, *lines).order_id for _ in range(MANY)}
    found = [order.order_id for order in all_orders(world)]
    assert wanted <= set(found)
    assert len(found) == len(set(found))
