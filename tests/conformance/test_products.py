"""`shopflow.ports.Products`."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.conformance.samples import a_product, fresh_id
from tests.conformance.worlds import World, eventually


def test_more_than_a_hundred_products_are_read_and_only_those_that_exist(world: World) -> None:
    products = {product.product_id: product for product in (a_product(world.products, stock=1) for _ in range(101))}
    assert world.products.read([*products, fresh_id("PROD")]) == products
    assert world.products.read([]) == {}


def test_the_price_keeps_its_two_decimals_and_counts_are_integers(world: World) -> None:
    product = replace(a_product(world.products, stock=1), product_id=fresh_id("PROD"), price=Decimal("20.00"))
    world.products.put(product)
    stored = world.products.read([product.product_id])[product.product_id]
    assert str(stored.price) == "20.00"
    assert (type(stored.stock), type(stored.received)) == (int, int)


def test_the_assortment_is_sorted_by_id(world: World) -> None:
    products = [a_product(world.products, stock=3) for _ in range(5)]
    wanted = {product.product_id for product in products}
    assert eventually(world, lambda: wanted <= {product.product_id for product in world.products.all()})
    assortment = world.products.all()
    assert assortment == sorted(assortment, key=lambda product: product.product_id)
    mine = [product for product in assortment if product.product_id in wanted]
    assert mine == sorted(products, key=lambda product: product.product_id)


def test_a_product_that_is_put_again_gets_the_new_name_and_price_and_keeps_its_units(world: World) -> None:
    product = a_product(world.products, stock=4)
    renamed = replace(product, product_name="Another name", price=Decimal("1.00"))
    assert not world.products.put(replace(renamed, stock=99, received=99))
    assert world.products.read([product.product_id])[product.product_id] == renamed


def test_restocking_raises_stock_and_received_together(world: World) -> None:
    product = a_product(world.products, stock=4)
    more = replace(product, stock=10, received=10)
    assert world.products.restock(product.product_id, 6) == more
    assert world.products.read([product.product_id])[product.product_id] == more


def test_an_unknown_product_cannot_be_restocked(world: World) -> None:
    unknown = fresh_id("PROD")
    assert world.products.restock(unknown, 6) is None
    assert world.products.read([unknown]) == {}
