"""A malformed row stops no command: one line names the row, the other rows are shown, and the exit code is 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from scripts.check_order import main as check_order
from scripts.console import FAILED
from scripts.infra.clouds import local_client
from scripts.infra.lifecycle import status
from scripts.replay import main as replay
from scripts.restock import main as restock
from shopflow.aws.items import order_to_item
from tests.commands import Ran, runner
from tests.conformance.samples import an_order
from tests.stack import AppliedStack

ORDER_ID = "ORD-BADBADBA"
Run = Callable[..., Ran]


def product_of(name: str) -> dict[str, Any]:
    number = {"N": "1"}
    return {
        "productId": {"S": name},
        "productName": {"S": name},
        **dict.fromkeys(("price", "stock", "received"), number),
    }


@pytest.fixture
def run(stack: AppliedStack, tmp_path: Path) -> Run:
    """Runs the ``main`` of a command. A product has a price of three decimals, and an order no status."""
    client = local_client("dynamodb", stack.stack.own_endpoint)
    product = product_of("PROD-BAD") | {"price": {"N": "1.005"}}
    order: Any = order_to_item(an_order(order_id=ORDER_ID))
    client.put_item(TableName=stack.config.resources.inventory_table, Item=product)
    client.put_item(TableName=stack.config.resources.orders_table, Item=order | {"status": {"S": "PAID"}})
    return lambda main, *arguments: runner(main, stack.env, tmp_path / "operator.log")(*arguments)


def assert_names(ran: Ran, row: str) -> None:
    """It failed, and one line of stderr names the row."""
    named = [line for line in ran.stderr.splitlines() if row in line]
    assert (ran.returncode, len(named), "Traceback" in ran.stderr) == (FAILED, 1, False), ran.stderr


def test_status_and_restock_go_on_with_the_other_products(stack: AppliedStack, run: Run) -> None:
    shows = partial(status, stack.stack, Console())
    for command in (shows, restock):
        assert_names(run(command), "PROD-BAD")
    shown = run(shows).stdout
    assert [name for name in ("PROD-001", "PROD-003", "PROD-BAD") if name in shown] == ["PROD-001", "PROD-003"]
    assert run(restock, "--product=PROD-001", "--units=1").returncode == 0
    assert_names(run(restock, "--product=PROD-BAD", "--units=1"), "PROD-BAD")


def test_a_name_is_shown_as_it_is_though_it_looks_like_markup(stack: AppliedStack, run: Run) -> None:
    name = "Cable [/m] 2m [red]"
    table = stack.config.resources.inventory_table
    local_client("dynamodb", stack.stack.own_endpoint).put_item(TableName=table, Item=product_of(name))
    assert name in run(partial(status, stack.stack, Console())).stdout


def test_an_order_whose_row_is_malformed_is_named_and_a_rebuild_of_all_goes_on(run: Run) -> None:
    ran = run(check_order, ORDER_ID)
    assert (ran.returncode, "Traceback" in ran.stderr) == (FAILED, False)
    assert [line for line in ran.stderr.splitlines() if line.startswith("row left out") and ORDER_ID in line]
    ran = run(replay, "--all")
    assert_names(ran, ORDER_ID)
    assert "orders" in ran.stdout
