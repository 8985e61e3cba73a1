"""`make verify` on the live stack."""

from __future__ import annotations

from pathlib import Path

from scripts.infra.clouds import local_client
from scripts.verify import main
from tests.commands import runner
from tests.live import EXPIRED, VISA, Live
from tests.stack import AppliedStack


def test_finished_orders_hold_every_invariant_and_a_lost_unit_is_found(
    live: Live, stack: AppliedStack, tmp_path: Path
) -> None:
    """Other tests share the stack and may leave broken orders: only the product and orders of this one count."""
    verify = runner(main, stack.env, tmp_path / "operator.log")
    product = live.product(5)
    wanted = ((2, VISA), (1, EXPIRED), (9, VISA))
    orders = live.closed([live.place({product: units}, payment_method) for units, payment_method in wanted])
    shown = verify()
    assert shown.stderr == ""
    assert "units received = stock + units held by orders" in shown.stdout
    assert [one for one in (product, *(order.order_id for order in orders)) if one in shown.stdout] == []
    local_client("dynamodb", live.config.endpoint_url or "").update_item(
        TableName=live.config.resources.inventory_table,
        Key={"productId": {"S": product}},
        UpdateExpression="ADD stock :change",
        ExpressionAttributeValues={":change": {"N": "-1"}},
    )
    shown = verify()
    assert (shown.returncode, product in shown.stdout) == (1, True)
