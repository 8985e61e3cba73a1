"""Invariant 2: of all orders together, by product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.invariants.report import Breach


class HeldUnits:
    """The units that orders hold, by product. Takes one order at a time; as large as the assortment, not the orders."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def add(self, order: Order) -> None:
        if order.holds_stock:
            for line in order.lines:
                self._held[line.product_id] += line.quantity

    def missing(self, product: Product) -> int:
        """Units received that are neither in stock nor held; negative when there are more than were received."""
        return product.received - product.stock - self._held[product.product_id]

    def check(self, products: Collection[Product]) -> Iterator[Breach]:
        """The breaches, once every order was added. ``products`` is the whole assortment, as it stood meanwhile."""
        yield from check_levels(products)
        for product in products:
            if missing := self.missing(product):
                held = self._held[product.product_id]
                text = f"received {product.received}, in stock {product.stock}, held {held}: {missing:+} missing"
                yield Breach(2, product.product_id, text, may_pass=True)
        for product_id in sorted(self._held.keys() - {product.product_id for product in products}):
            yield Breach(2, product_id, f"{self._held[product_id]} units are held of a product that does not exist")


def check_levels(products: Collection[Product]) -> Iterator[Breach]:
    """At no time are there less than no units of a product."""
    for product in products:
        if product.stock < 0:
            yield Breach(2, product.product_id, f"its stock is {product.stock}")


def check_refusal(order: Order, seen: Mapping[str, int], taken: Mapping[str, int]) -> Iterator[Breach]:
    """A refusal is true of the stock that was ``seen``, less what the same write has ``taken`` (units by product)."""
    left = {line.product_id: seen.get(line.product_id, 0) - taken.get(line.product_id, 0) for line in order.lines}
    if all(left[line.product_id] >= line.quantity for line in order.lines):
        yield Breach(2, order.order_id, f"refused though the units are there: {left} left of what was seen")
