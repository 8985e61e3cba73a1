"""Which orders of a batch get their stock: a pure plan, first come, first served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from shopflow.domain.order import Line, Order


@dataclass(frozen=True, slots=True)
class Product:
    """A product, its units in stock, and the units ever received (restocking raises both)."""

    product_id: str
    product_name: str
    price: Decimal
    stock: int
    received: int


@dataclass(frozen=True, slots=True)
class Plan:
    """``refused``: the reason by order id. ``stock``: the units to add (negative: to take), by product."""

    refused: Mapping[str, str]
    stock: Mapping[str, int]


def plan(requests: Sequence[Order], releases: Sequence[Order], products: Mapping[str, Product]) -> Plan:
    """Decide each of ``requests`` in turn: it gets all of its lines or none, from the stock that earlier orders left.

    ``releases`` return their units first; all their products are in ``products``. ``products``: those that exist, as
    just read. An order may be refused because an earlier order of the same plan takes the stock, so the whole plan must
    be committed together.
    """
    left = {product_id: product.stock for product_id, product in products.items()}
    change: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for order in releases:
        for product_id, units in returned(order).items():
            left[product_id] += units
            change[product_id] += units
    for order in requests:
        reason = next((reason for line in order.lines if (reason := _shortage(line, left))), None)
        if reason:
            refused[order.order_id] = reason
            continue
        for line in order.lines:
            left[line.product_id] -= line.quantity
            change[line.product_id] -= line.quantity
    return Plan(refused, {product_id: units for product_id, units in change.items() if units})


def returned(order: Order) -> dict[str, int]:
    """The units that go back into the stock when ``order`` is released, by product."""
    return {line.product_id: line.quantity for line in order.lines}


def first_chunk(orders: Sequence[Order], most_items: int) -> Sequence[Order]:
    """The first orders that fit into a transaction of ``most_items`` items: one for each order and each product."""
    products: set[str] = set()
    for count, order in enumerate(orders):
        products.update(line.product_id for line in order.lines)
        if count + 1 + len(products) > most_items:
            return orders[:count]
    return orders


def _shortage(line: Line, left: Mapping[str, int]) -> str | None:
    name = f"{line.product_name} ({line.product_id})"
    if line.product_id not in left:
        return f"{name} does not exist"
    available = left[line.product_id]
    if available >= line.quantity:
        return None
    return f"Insufficient stock for {name}: available {available}, requested {line.quantity}"
