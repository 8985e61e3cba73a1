"""The products that are held for a second."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal

from api.caches import ProductCache
from shopflow.domain.stock import Product
from shopflow.memory.tables import MemoryProducts, Tables
from tests.unit.api.shop import HEADPHONES, KEYBOARD


class Counted(MemoryProducts):
    """Products that remember what was read."""

    def __init__(self) -> None:
        self.tables = Tables()
        super().__init__(self.tables)
        self.reads: list[list[str]] = []
        for product in (HEADPHONES, KEYBOARD):
            self.seed(product)

    def read(self, product_ids: Collection[str], *, consistent: bool = True) -> dict[str, Product]:
        assert not consistent
        self.reads.append(list(product_ids))
        return super().read(product_ids, consistent=consistent)


class TurnedClock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def now_ms(self) -> int:
        return self.now


def test_a_product_is_read_once_a_second() -> None:
    products, clock = Counted(), TurnedClock()
    recent = ProductCache(products, clock)
    for _ in range(3):
        assert recent.read(["PROD-001"]) == {"PROD-001": HEADPHONES}
    products.tables.products["PROD-001"] = replace(HEADPHONES, price=Decimal("1.00"))
    clock.now += 999
    assert recent.read(["PROD-001"])["PROD-001"].price == Decimal("49.99")
    clock.now += 1
    assert recent.read(["PROD-001"])["PROD-001"].price == Decimal("1.00")
    assert len(products.reads) == 2


def test_only_what_is_not_held_is_read() -> None:
    products = Counted()
    recent = ProductCache(products, TurnedClock())
    recent.read(["PROD-001"])
    assert recent.read(["PROD-001", "PROD-002"]).keys() == {"PROD-001", "PROD-002"}
    assert products.reads == [["PROD-001"], ["PROD-002"]]


def test_a_new_product_is_known_at_once() -> None:
    products = Counted()
    recent = ProductCache(products, TurnedClock())
    assert recent.read(["PROD-009"]) == {}
    products.seed(replace(HEADPHONES, product_id="PROD-009"))
    assert "PROD-009" in recent.read(["PROD-009"])


def test_a_clock_that_is_set_back_holds_nothing_for_long() -> None:
    products, clock = Counted(), TurnedClock()
    recent = ProductCache(products, clock)
    recent.read(["PROD-001"])
    clock.now -= 500_000
    recent.read(["PROD-001"])
    assert len(products.reads) == 2


def test_no_more_are_held_than_the_bound() -> None:
    products = Counted()
    recent = ProductCache(products, TurnedClock(), max_products=1)
    for product_id in ("PROD-001", "PROD-002", "PROD-002", "PROD-001"):
        recent.read([product_id])
    assert products.reads == [["PROD-001"], ["PROD-002"], ["PROD-001"]]
