"""`make verify` on the live stack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, cast

from scripts.infra.clouds import local_client
from scripts.verify import Findings, OrdersTable, order_check
from shopflow.domain.order import Order
from shopflow.domain.stock import Product
from shopflow.ports import Products
from tests.live import EXPIRED, VISA, Live


@dataclass(frozen=True)
class Only:
    """A table that shows only ``mine``: other tests share the stack and leave broken orders on purpose."""

    table: Any
    key: str
    mine: Collection[str]

    def all(self) -> Iterator[Order | Product]:
        return iter([one for one in self.table.all() if getattr(one, self.key) in self.mine])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.table, name)


@dataclass(frozen=True)
class OnlyProducts(Only):
    def all(self) -> Any:
        return list(super().all())


def findings(live: Live, order_ids: Collection[str], product_id: str) -> Findings:
    check = order_check(live.config, live.aws)
    check.orders = cast(OrdersTable, Only(live.aws.orders, "order_id", order_ids))
    check.products = cast(Products, OnlyProducts(live.aws.products, "product_id", [product_id]))
    return check.run(lambda _: None)


def test_finished_orders_hold_every_invariant_and_a_lost_unit_is_found(live: Live) -> None:
    product_id = live.product(5)
    orders = [live.place({product_id: units}, method) for units, method in ((2, VISA), (1, EXPIRED), (9, VISA))]
    live.closed(orders)
    found = findings(live, orders, product_id)
    assert found.breaches.holds, dict(found.breaches.offenders)
    assert found.in_flight.holds
    assert (found.breaches.checked[1], found.breaches.checked[2]) == (3, 1)
    _lose_a_unit(live, product_id)
    found = findings(live, orders, product_id)
    assert [breach.subject for breach in found.breaches.offenders[2]] == [product_id]


def test_the_command_prints_its_conclusion(live: Live, stack: Any) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "scripts.verify"], env=stack.env, capture_output=True, text=True, timeout=100
    )
    assert answer.stderr == ""
    assert answer.returncode == ("Every invariant holds." not in answer.stdout)
    assert "units received = stock + units held by orders" in answer.stdout


def _lose_a_unit(live: Live, product_id: str) -> None:
    local_client("dynamodb", live.config.endpoint_url or "").update_item(
        TableName=live.config.resources.inventory_table,
        Key={"productId": {"S": product_id}},
        UpdateExpression="ADD stock :change",
        ExpressionAttributeValues={":change": {"N": "-1"}},
    )
