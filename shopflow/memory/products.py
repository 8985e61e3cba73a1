"""The inventory table in memory."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from shopflow.aws.items import all_readable, product_from_item, readable
from shopflow.domain.stock import Product
from shopflow.memory.tables import Tables

TABLE = "inventory"


class MemoryProducts:
    """`shopflow.ports.Products` on ``tables``. Every read is consistent."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:  # noqa: ARG002
        with self._tables.lock:
            items = self._tables.products.items_by_id
            found = [items[product_id] for product_id in sorted(set(product_ids)) if product_id in items]
        return {product.product_id: product for product in all_readable(found, product_from_item, TABLE, "productId")}

    def all(self) -> list[Product]:
        with self._tables.lock:
            items = [item for _, item in sorted(self._tables.products.items_by_id.items())]
        return list(readable(items, product_from_item, TABLE, "productId"))

    def seed(self, product: Product) -> bool:
        with self._tables.lock:
            is_new = product.product_id not in self._tables.products
            if is_new:
                self._tables.products[product.product_id] = product
            return is_new

    def restock(self, product_id: str, units: int) -> Product | None:
        product = self.read([product_id]).get(product_id)
        if product is None:
            return None
        with self._tables.lock:
            product = self._tables.products[product_id]
            more = replace(product, stock=product.stock + units, received=product.received + units)
            self._tables.products[product_id] = more
            return more
