"""A cache of products: concurrent requests share a read."""

from __future__ import annotations

import threading
from collections.abc import Collection

from shopflow.clock import Clock
from shopflow.domain.stock import Product
from shopflow.ports import Products

MAX_AGE_MS = 1000
"""An eventually consistent read may be as old."""
MAX_PRODUCTS = 1000


class ProductCache:
    """The products as ``POST /orders`` sees them: at most `MAX_AGE_MS` old. Thread-safe.

    It keeps only products that exist. So a flood of invented ids displaces no real product, and a new product is found
    at once.
    """

    def __init__(self, products: Products, clock: Clock, max_products: int = MAX_PRODUCTS) -> None:
        self._products = products
        self._clock = clock
        self._max_products = max_products
        self._cached: dict[str, tuple[int, Product]] = {}  # when it was read, and the product; the oldest first
        self._lock = threading.Lock()

    def read(self, product_ids: Collection[str]) -> dict[str, Product]:
        """The products that exist of ``product_ids``, by id. Raises `Unavailable` and `MalformedRow`."""
        found = self._fresh(product_ids)
        missing = [product_id for product_id in product_ids if product_id not in found]
        if missing:
            read_at = self._clock.now_ms()
            read = self._products.read(missing, consistent=False)
            self._keep(read, read_at)
            found |= read
        return found

    def _fresh(self, product_ids: Collection[str]) -> dict[str, Product]:
        now = self._clock.now_ms()
        with self._lock:
            cached = {product_id: self._cached[product_id] for product_id in product_ids if product_id in self._cached}
        # If the clock was set back, what was read "in the future" is stale, not fresh for long.
        return {key: product for key, (read_at, product) in cached.items() if 0 <= now - read_at < MAX_AGE_MS}

    def _keep(self, products: dict[str, Product], read_at: int) -> None:
        with self._lock:
            for product_id, product in products.items():
                self._cached.pop(product_id, None)
                self._cached[product_id] = (read_at, product)
            while len(self._cached) > self._max_products:
                del self._cached[next(iter(self._cached))]
