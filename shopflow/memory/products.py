"""The inventory table in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from shopflow.domain.stock import Product
from shopflow.memory.tables import Tables


class MemoryProducts:
    """`shopflow.ports.Products` on ``tables``. Every read is consistent."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:  # noqa: ARG002
        with self._tables.lock:
            found = (self._tables.products.get(product_id) for product_id in sorted(set(product_ids)))
            return {product.product_id: product for product in found if product}

    def all(self) -> list[Product]:
        with self._tables.lock:
            products = self._tables.products
            return [products[product_id] for product_id in sorted(products)]

    def seed(self, product: Product) -> bool:
        with self._tables.lock:
            is_new = product.product_id not in self._tables.products
            self._tables.products.setdefault(product.product_id, product)
            return is_new

    def restock(self, product_id: str, units: int) -> Product | None:
        with self._tables.lock:
            product = self._tables.products.get(product_id)
            if product is None:
                return None
            more = replace(product, stock=product.stock + units, received=product.received + units)
            self._tables.products[product_id] = more
            return more
