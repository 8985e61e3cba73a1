"""A malformed row stops no command: one line names the row, the other rows are shown, and the exit code is 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from rich.console import Console

from scripts.check_order import main as check_order
from scripts.console import FAILED
from scripts.infra.lifecycle import status
from scripts.replay import main as replay
from scripts.restock import main as restock
from shopflow.aws.items import order_to_item
from tests.commands import Ran, Run, runner
from tests.stack import AppliedStack
from tests.unit.making import pending

SOUND: dict[str, Any] = {
    "productId": {"S": "PROD-BAD"},
    "productName": {"S": "Bad"},
    "price": {"N": "1.00"},
    "stock": {"N": "1"},
    "received": {"N": "1"},
}
MALFORMED_PRODUCTS: dict[str, dict[str, Any]] = {
    "a price of three decimals": {**SOUND, "price": {"N": "1.005"}},
    "no count of what was received": {name: value for name, value in SOUND.items() if name != "received"},
}
ORDER_ID = "ORD-BADBADBA"
MALFORMED_ORDERS: dict[str, dict[str, Any]] = {
    "no status": {"status": None},
    "text for items": {"items": {"S": "two"}},
}


class Rows:
    """Writes rows that ShopFlow would not write, and deletes them after the test."""

    def __init__(self, stack: AppliedStack) -> None:
        self._client = boto3.client("dynamodb", region_name=stack.config.region, endpoint_url=stack.config.endpoint_url)
        self._names = stack.config.resources
        self._put: list[tuple[str, dict[str, Any]]] = []

    def product(self, item: dict[str, Any]) -> None:
        self._client.put_item(TableName=self._names.inventory_table, Item=item)
        self._put.append((self._names.inventory_table, {"productId": item["productId"]}))

    def order(self, changes: dict[str, Any]) -> None:
        item = {name: value for name, value in (order_to_item(pending(ORDER_ID)) | changes).items() if value}
        self._client.put_item(TableName=self._names.orders_table, Item=item)
        self._put.append((self._names.orders_table, {"orderId": item["orderId"]}))

    def delete(self) -> None:
        for table, key in self._put:
            self._client.delete_item(TableName=table, Key=key)


@pytest.fixture
def rows(stack: AppliedStack) -> Iterator[Rows]:
    rows = Rows(stack)
    yield rows
    rows.delete()


@pytest.fixture
def run(stack: AppliedStack, tmp_path: Path) -> Run:
    """Run the ``main`` of a command."""

    def run(main: Any, *arguments: str) -> Ran:
        return runner(main, stack.env, tmp_path / "operator.log")(*arguments)

    return run


def names_once(ran: Ran, row: str) -> bool:
    """Whether exactly one line of stderr names the row, and there is no traceback."""
    named = [line for line in ran.stderr.splitlines() if row in line]
    return len(named) == 1 and "Traceback" not in ran.stderr


@pytest.mark.parametrize("item", MALFORMED_PRODUCTS.values(), ids=MALFORMED_PRODUCTS)
def test_status_and_restock_go_on_with_the_other_products(
    stack: AppliedStack, rows: Rows, run: Run, item: dict[str, Any]
) -> None:
    rows.product(item)
    for command in (lambda: status(stack.stack, Console()), restock):
        ran = run(command)
        assert (ran.returncode, names_once(ran, "PROD-BAD")) == (FAILED, True), ran.stderr
    shown = run(lambda: status(stack.stack, Console())).stdout
    assert [name for name in ("PROD-001", "PROD-002", "PROD-003", "PROD-BAD") if name in shown][-1] == "PROD-003"
    assert run(restock, "--product=PROD-001", "--units=1").returncode == 0
    that = run(restock, "--product=PROD-BAD", "--units=1")
    assert (that.returncode, names_once(that, "PROD-BAD")) == (FAILED, True), that.stderr


@pytest.mark.parametrize("changes", MALFORMED_ORDERS.values(), ids=MALFORMED_ORDERS)
@pytest.mark.parametrize("main", [check_order, replay])
def test_an_order_whose_row_is_malformed_is_named(rows: Rows, run: Run, main: Any, changes: dict[str, Any]) -> None:
    rows.order(changes)
    ran = run(main, ORDER_ID)
    assert ran.returncode == FAILED
    assert "Traceback" not in ran.stderr
    assert [line for line in ran.stderr.splitlines() if line.startswith("row left out") and ORDER_ID in line]


def test_a_rebuild_of_all_goes_on_after_a_malformed_row(rows: Rows, run: Run) -> None:
    rows.order(MALFORMED_ORDERS["no status"])
    ran = run(replay, "--all")
    assert (ran.returncode, names_once(ran, ORDER_ID)) == (FAILED, True), ran.stderr
    assert "orders" in ran.stdout
