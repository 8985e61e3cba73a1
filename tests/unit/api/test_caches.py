"""What is read at most once a second."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from api.caches import ProductCache
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
            self.put(product)

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
    assert cache.read(["PROD-001"]) == {"PROD-001": HEADPHONES}
    clock.advance(0.999)
    assert cache.read(["PROD-001", "PROD-009"]) == {"PROD-001": HEADPHONES}  # PROD-009 may exist the next time
    assert cache.read(["PROD-009"]) == {}
    clock.advance(0.001)
    cache.read(["PROD-001"])
    assert products.reads == [["PROD-001"], ["PROD-009"], ["PROD-009"], ["PROD-001"]]


def test_a_clock_that_is_set_back_keeps_nothing_for_long(products: CountedProducts, clock: ManualClock) -> None:
    cache = ProductCache(products, clock)
    cache.read(["PROD-001"])
    clock.advance(-500)
    cache.read(["PROD-001"])
    assert len(products.reads) == 2


def test_no_more_products_are_kept_than_the_bound(products: CountedProducts, clock: ManualClock) -> None:
    cache = ProductCache(products, clock, max_products=1)
    for product_id in ("PROD-001", "PROD-002", "PROD-002", "PROD-001"):
        cache.read([product_id])
    assert products.reads == [["PROD-001"], ["PROD-002"], ["PROD-001"]]
