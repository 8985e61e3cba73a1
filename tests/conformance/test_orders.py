"""`shopflow.ports.Orders` and `EveryOrder`: creating, reading and finding orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import cast

from shopflow.domain import order as steps
from shopflow.domain.order import Line, Order
from shopflow.ports import EveryOrder, OpenOrder
from tests.conformance.samples import (
    a_declined_order,
    a_line,
    a_placed_order,
    an_order,
    charged,
    fresh_id,
    made,
    released,
    reserved,
    standing,
)
from tests.conformance.worlds import World, eventually


def is_open(world: World, order: Order) -> bool:
    return order.order_id in {entry.order_id for entry in world.orders.open_orders()}


def all_orders(world: World) -> list[Order]:
    return list(cast(EveryOrder, world.orders).all())


def test_a_new_order_is_stored_as_it_is(world: World) -> None:
    order = replace(
        an_order(), payment_method="pm_card_visa", idempotency_key="key-1", request_hash="hash-1", email="a@b.example"
    )
    assert world.orders.create(order) == order
    assert standing(world.orders, order) == order


def test_creating_under_a_taken_id_returns_the_order_that_stands(world: World) -> None:
    order = a_placed_order(world.orders)
    other = replace(an_order(), order_id=order.order_id, customer_id="CUST-002")
    assert world.orders.create(other) == order
    assert standing(world.orders, order) == order


def test_a_hundred_orders_are_read_at_once_each_once_and_only_those_that_exist(world: World) -> None:
    orders = {order.order_id: order for order in (a_placed_order(world.orders, a_line()) for _ in range(98))}
    assert world.orders.read([*orders, fresh_id("ORD"), next(iter(orders))]) == orders
    assert world.orders.read([]) == {}


def test_money_keeps_its_two_decimals(world: World) -> None:
    order = a_placed_order(world.orders, Line("PROD-1", "Round", 3, Decimal("10.00")))
    order = made(world.orders, charged(made(world.orders, reserved(order))))
    stored = standing(world.orders, order)
    amounts = [stored.lines[0].unit_price, stored.lines[0].line_total, stored.total_amount, stored.charged_amount]
    assert [str(amount) for amount in amounts] == ["10.00", "30.00", "30.00", "30.00"]
    assert type(stored.lines[0].quantity) is int


def test_an_open_order_is_listed_with_the_moment_it_was_opened(world: World) -> None:
    order = a_placed_order(world.orders)
    assert order.opened_at is not None
    entry = OpenOrder(order.order_id, order.opened_at)
    assert eventually(world, lambda: entry in list(world.orders.open_orders()))


def test_an_order_stays_listed_until_its_last_step(world: World) -> None:
    order = a_declined_order(world.orders)
    order = made(world.orders, steps.notify(order, order.updated_at + 1))
    order = made(world.orders, released(order))
    assert eventually(world, lambda: is_open(world, order))
    made(world.orders, steps.close(order))
    assert eventually(world, lambda: not is_open(world, order))


def test_all_orders_come_as_they_stand_and_each_once_also_over_several_pages(world: World) -> None:
    """DynamoDB's page is 1 MiB; these 60 orders have about 20 KB each."""
    lines = [Line(f"PROD-{number}", "A very long name " * 20, 1, Decimal("9.99")) for number in range(50)]
    placed = [a_placed_order(world.orders, *lines) for _ in range(60)]
    wanted = [made(world.orders, reserved(placed[0])), *placed[1:]]
    found = all_orders(world)
    by_id = {order.order_id: order for order in found}
    assert [by_id[order.order_id] for order in wanted] == wanted
    assert len(found) == len(by_id)
