"""What is read at most once a second."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

import pytest

from api.caches import CachedValue, ProductCache
from shopflow.domain.stock import Product
from shopflow.memory.tables import MemoryProducts, Tables
from tests.clocks import ManualClock
from tests.unit.api.shop import HEADPHONES, KEYBOARD


class CountedProducts(MemoryProducts):
    """Products that remember what was read."""

    def __init__(self) -> None:
        super().__init__(Tables())
        self.reads: list[list[str]] = []
        for product in (HEADPHONES, KEYBOARD):
            self.seed(product)

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:
        assert not consistent
        self.reads.append(list(product_ids))
        return super().read(product_ids, consistent=consistent)


@pytest.fixture
def products() -> CountedProducts:
    return CountedProducts()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_a_product_is_read_once_a_second(products: CountedProducts, clock: ManualClock) -> None:
    cache = ProductCache(products, clock)
    for _ in range(3):
        assert cache.read(["PROD-001"]) == {"PROD-001": HEADPHONES}
    clock.advance(0.999)
    cache.read(["PROD-001"])
    assert len(products.reads) == 1
    clock.advance(0.001)
    cache.read(["PROD-001"])
    assert len(products.reads) == 2


def test_only_products_that_are_not_cached_are_read(products: CountedProducts, clock: ManualClock) -> None:
    cache = ProductCache(products, clock)
    cache.read(["PROD-001"])
    assert cache.read(["PROD-001", "PROD-002"]).keys() == {"PROD-001", "PROD-002"}
    assert products.reads == [["PROD-001"], ["PROD-002"]]


def test_a_new_product_is_known_at_once(products: CountedProducts, clock: ManualClock) -> None:
    cache = ProductCache(products, clock)
    assert cache.read(["PROD-009"]) == {}
    products.seed(replace(HEADPHONES, product_id="PROD-009", price=Decimal("1.00")))
    assert "PROD-009" in cache.read(["PROD-009"])


def test_a_clock_that_is_set_back_keeps_nothing_for_long(products: CountedProducts, clock: ManualClock) -> None:
    cache, values = ProductCache(products, clock), iter(range(10))
    value = CachedValue(lambda: next(values), clock, max_age_ms=1000)
    assert [value.get(), value.get()] == [0, 0]
    cache.read(["PROD-001"])
    clock.advance(-500)
    cache.read(["PROD-001"])
    assert (len(products.reads), value.get()) == (2, 1)


def test_no_more_products_are_kept_than_the_bound(products: CountedProducts, clock: ManualClock) -> None:
    cache = ProductCache(products, clock, max_products=1)
    for product_id in ("PROD-001", "PROD-002", "PROD-002", "PROD-001"):
        cache.read([product_id])
    assert products.reads == [["PROD-001"], ["PROD-002"], ["PROD-001"]]
