"""What a crash, a kill or a lost answer leaves behind is finished."""

from __future__ import annotations

import signal
from typing import Any
from unittest import mock

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from shopflow.aws.calls import INTERACTIVE
from shopflow.aws.tables import DynamoOrders
from shopflow.domain.order import Status
from tests.left_behind import committed, drafted, publish, released
from tests.live import Live
from tests.sizes import full


@pytest.mark.parametrize(
    "service",
    ["order", "payment", *(pytest.param(name, marks=full) for name in ("inventory-1", "notification", "audit"))],
)
def test_killing_a_service_while_thirty_orders_run_loses_nothing(live: Live, service: str) -> None:
    product = live.product(stock=100)
    order_ids = live.place_at_once([{product: 1}] * 15)
    assert live.services.kill(service) == -signal.SIGKILL
    if service == "order":
        live.services.start(service)
    order_ids += live.place_at_once([{product: 1}] * 15, patient=True)
    live.services.start(service)
    orders = live.closed(order_ids)
    assert len(set(order_ids)) == 30
    assert {order.status for order in orders} == {Status.COMPLETED}
    assert live.stock(product) == 70


def test_a_service_finishes_what_is_in_flight_on_sigterm_and_exits_with_zero(live: Live) -> None:
    product = live.product(stock=100)
    order_ids = live.place_at_once([{product: 1}] * 20)
    assert live.services.kill("payment", signal.SIGTERM) == 0
    live.services.start("payment")
    assert {order.status for order in live.closed(order_ids)} == {Status.COMPLETED}


def test_an_order_that_was_committed_but_not_published_is_finished_by_the_relay(live: Live) -> None:
    product = live.product(stock=5)
    order, _ = committed(live, product)
    assert live.closed([order.order_id])[0].status is Status.COMPLETED
    assert live.stock(product) == 3


@pytest.mark.parametrize("notified", [True, False], ids=["notified first", "notified later"])
def test_a_declined_order_whose_release_was_published_but_not_cleared_is_closed(live: Live, notified: bool) -> None:
    """The Inventory Service leaves it so when it dies right after it published the release."""
    product = live.product(stock=5)
    order, events = released(live, product, notified=notified)
    publish(live, events)
    (final,) = live.closed([order.order_id])
    assert (final.status, final.outbox, live.stock(product)) == (Status.PAYMENT_FAILED, None, 5)


def test_an_order_whose_insert_succeeded_but_lost_its_answer_is_created_once(live: Live) -> None:
    """boto3 tries the insert again, and its condition fails: the order that it wrote itself is there."""
    session = boto3.session.Session(region_name=live.config.region)
    client = session.client("dynamodb", endpoint_url=live.config.endpoint_url, config=INTERACTIVE.boto_config())

    def send(request: AWSPreparedRequest, **_: Any) -> None:
        if insert.call_count == 1:
            assert URLLib3Session().send(request).status_code == 200
            raise ConnectionClosedError(endpoint_url=request.url)

    insert = mock.Mock(side_effect=send, return_value=None)
    client.meta.events.register("before-send.dynamodb.BatchExecuteStatement", insert)
    names, order = live.config.resources, drafted(live, live.product(stock=5))
    orders = DynamoOrders(client, names.orders_table, names.inventory_table, names.open_orders_index)
    assert orders.create(order) == order
    assert insert.call_count == 2
    assert live.closed([order.order_id])[0].status is Status.COMPLETED
