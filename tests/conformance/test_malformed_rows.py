"""Rows that somebody wrote by hand: left out where many are read, told apart from missing ones where it matters."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from shopflow.domain.stock import Product
from shopflow.errors import MalformedRow
from tests.conformance.samples import a_placed_order, a_product, fresh_id
from tests.conformance.test_orders import all_orders
from tests.conformance.worlds import World

PRODUCTS: dict[str, dict[str, Any] | None] = {
    "price": {"N": "1.005"},
    "received": None,
    "stock": {"S": "many"},
    "productName": {"N": "7"},
}
ORDERS: dict[str, dict[str, Any] | None] = {
    "status": {"S": "PAID"},
    "items": {"L": []},
    "customerId": {"N": "7"},
    "outbox": {"M": {}},
    "createdAt": None,
    "email": {"L": []},
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_malformed_product_is_left_out_of_the_assortment_and_cannot_be_read_or_restocked(
    world: World, name: str
) -> None:
    bad, good = a_product(world.products, stock=3), a_product(world.products, stock=4)
    world.spoil("productId", bad.product_id, name, PRODUCTS[name])
    found = {product.product_id: product for product in world.products.all()}
    assert found[good.product_id] == good
    assert bad.product_id not in found
    with pytest.raises(MalformedRow) as caught:
        world.products.read([bad.product_id, good.product_id])
    assert caught.value.keys == {bad.product_id}
    with pytest.raises(MalformedRow):
        world.products.restock(bad.product_id, 1)


@pytest.mark.parametrize("name", ORDERS)
def test_a_malformed_order_is_left_out_wherever_orders_are_read(world: World, name: str) -> None:
    bad, good = a_placed_order(world.orders), a_placed_order(world.orders)
    world.spoil("orderId", bad.order_id, name, ORDERS[name])
    assert world.orders.read([bad.order_id, good.order_id]) == {good.order_id: good}
    ids = {order.order_id for order in all_orders(world)}
    assert good.order_id in ids
    assert bad.order_id not in ids


def test_an_id_that_a_malformed_order_has_taken_is_not_given_to_another(world: World) -> None:
    order = a_placed_order(world.orders)
    world.spoil("orderId", order.order_id, "status", {"S": "PAID"})
    with pytest.raises(MalformedRow):
        world.orders.create(order)


@pytest.mark.parametrize("change", [{"price": Decimal("1.005")}, {"price": Decimal("-1")}, {"product_name": ""}])
def test_a_product_that_could_not_be_read_back_is_not_written(world: World, change: dict[str, Any]) -> None:
    product = replace(Product(fresh_id("PROD"), "Name", Decimal("1.00"), 1, 1), **change)
    with pytest.raises(ValueError, match=r"money|price|empty"):
        world.products.put(product)
    assert world.products.read([product.product_id]) == {}
