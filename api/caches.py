"""Caches that keep what was read for about a second, so that concurrent requests share a read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from shopflow.clock import Clock
from shopflow.domain.stock import Product
from shopflow.ports import Products

MAX_AGE_MS = 1000
"""An eventually consistent read promises nothing fresher."""
MAX_PRODUCTS = 1000

T = TypeVar("T")


class ProductCache:
    """The products as ``POST /orders`` sees them: at most ``max_age_ms`` old. Thread-safe.

    It keeps only products that exist. So a flood of invented ids displaces no real product, and a new product is known
    at once.
    """

    def __init__(
        self, products: Products, clock: Clock, max_age_ms: int = MAX_AGE_MS, max_products: int = MAX_PRODUCTS
    ) -> None:
        self._products = products
        self._clock = clock
        self._max_age_ms = max_age_ms
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
        return {key: product for key, (read_at, product) in cached.items() if _is_fresh(read_at, now, self._max_age_ms)}

    def _keep(self, products: dict[str, Product], read_at: int) -> None:
        with self._lock:
            for product_id, product in products.items():
                self._cached.pop(product_id, None)
                self._cached[product_id] = (read_at, product)
            while len(self._cached) > self._max_products:
                del self._cached[next(iter(self._cached))]


class CachedValue(Generic[T]):
    """What ``read`` returns, at most ``max_age_ms`` old. One thread reads at a time; the others wait for its result."""

    def __init__(self, read: Callable[[], T], clock: Clock, max_age_ms: int) -> None:
        self._read = read
        self._clock = clock
        self._max_age_ms = max_age_ms
        self._cached: tuple[int, T] | None = None
        self._lock = threading.Lock()

    def get(self) -> T:
        """Raises what ``read`` raises; errors are not cached."""
        with self._lock:
            now = self._clock.now_ms()
            if self._cached is None or not _is_fresh(self._cached[0], now, self._max_age_ms):
                self._cached = (now, self._read())
            return self._cached[1]


def _is_fresh(read_at: int, now: int, max_age_ms: int) -> bool:
    # If the clock was set back, what was read "in the future" is stale, not fresh for long.
    return 0 <= now - read_at < max_age_ms
