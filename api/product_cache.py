"""The products as `POST /orders` sees them: at most a second old."""

from __future__ import annotations

import threading
from collections.abc import Collection

from shopflow.clock import Clock
from shopflow.domain.stock import Product
from shopflow.ports import Products

HOLD_MS = 1000
"""An eventually consistent read promises nothing fresher."""
MAX_HELD = 1000


class ProductCache:
    """Reads products, and holds each for up to ``hold_ms`` so that concurrent orders share a read. Thread-safe.

    Products that do not exist are not held: neither does a flood of invented ids displace real ones, nor is a new
    product unknown for a while.
    """

    def __init__(self, products: Products, clock: Clock, hold_ms: int = HOLD_MS, most_held: int = MAX_HELD) -> None:
        self._products = products
        self._clock = clock
        self._hold_ms = hold_ms
        self._most_held = most_held
        self._held: dict[str, tuple[int, Product]] = {}  # oldest first
        self._lock = threading.Lock()

    def read(self, product_ids: Collection[str]) -> dict[str, Product]:
        """The products that exist of ``product_ids``, by id. Raises `Unavailable`."""
        found = self._fresh(product_ids)
        missing = [product_id for product_id in product_ids if product_id not in found]
        if missing:
            read_at = self._clock.now_ms()
            read = self._products.read(missing, consistent=False)
            self._hold(read, read_at)
            found |= read
        return found

    def _fresh(self, product_ids: Collection[str]) -> dict[str, Product]:
        now = self._clock.now_ms()
        with self._lock:
            held = {product_id: self._held[product_id] for product_id in product_ids if product_id in self._held}
        # A clock that was set back makes what is held too old, not fresh for long.
        return {key: product for key, (read_at, product) in held.items() if 0 <= now - read_at < self._hold_ms}

    def _hold(self, products: dict[str, Product], read_at: int) -> None:
        with self._lock:
            for product_id, product in products.items():
                self._held.pop(product_id, None)
                self._held[product_id] = (read_at, product)
            while len(self._held) > self._most_held:
                del self._held[next(iter(self._held))]
