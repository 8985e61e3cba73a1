"""The assortment that a new stack starts with."""

from __future__ import annotations

from decimal import Decimal

from shopflow.domain.stock import Product
from shopflow.ports import Products

SEED = (
    Product("PROD-001", "Wireless Headphones", Decimal("49.99"), stock=15, received=15),
    Product("PROD-002", "Mechanical Keyboard", Decimal("89.99"), stock=0, received=0),
    Product("PROD-003", "USB-C Hub", Decimal("29.99"), stock=30, received=30),
)


def seed(products: Products) -> list[str]:
    """Insert the products that are not there; those that are keep their stock. Returns the ids of the new ones."""
    return [product.product_id for product in SEED if products.seed(product)]


def shortfall(product: Product) -> int:
    """Units that bring a product back to what it started with; 0 when it has as many, or is none of `SEED`."""
    wanted = {seeded.product_id: seeded.stock for seeded in SEED}
    return max(0, wanted.get(product.product_id, 0) - product.stock)
