"""What a crash, a kill or a lost answer leaves behind is finished."""

from __future__ import annotations

import signal
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import ConnectionClosedError
from botocore.httpsession import URLLib3Session

from api.caches import ProductCache
from api.placing import PlaceOrder
from shopflow.aws.calls import INTERACTIVE
from shopflow.aws.tables import DynamoOrders
from shopflow.catalog import load_catalog
from shopflow.clock import HeaderFactory, SystemClock
from shopflow.contracts import Contracts
from shopflow.domain.order import EventType, Line, Order, Status, create, decline, notify, release, reserve
from shopflow.domain.stock import returned
from shopflow.messaging.outbox import Outbox, Publisher, stored_event
from shopflow.messaging.relay import FIRST_LOOK_SECONDS
from tests.live import VISA, Live

CATALOG = load_catalog()
CONTRACTS = Contracts(CATALOG)
OUTBOX = Outbox(CATALOG, CONTRACTS)
NEARLY_DUE_MS = (FIRST_LOOK_SECONDS - 1) * 1000


class AMomentAgo:
    """A clock so far behind that the relay looks at its orders in a second."""

    def now_ms(self) -> int:
        return SystemClock().now_ms() - NEARLY_DUE_MS


HEADERS = HeaderFactory(AMomentAgo())


@pytest.mark.parametrize("service", ["order", "inventory-1", "payment", "notification", "audit"])
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


def test_a_service_that_is_told_to_stop_finishes_what_is_in_flight_and_exits_with_zero(live: Live) -> None:
    product = live.product(stock=100)
    order_ids = live.place_at_once([{product: 1}] * 20)
    assert live.services.kill("payment", signal.SIGTERM) == 0
    live.services.start("payment")
    assert {order.status for order in live.closed(order_ids)} == {Status.COMPLETED}


def _committed(live: Live, product: str) -> Order:
    """An order that was saved a while ago by a process that died before it published."""
    header = HEADERS.new(EventType.ORDER_CREATED)
    order_id = "ORD-" + header.event_id[-8:]
    line = Line(product, "Test product", 2, live.aws.products.read([product])[product].price)
    draft = Order(order_id, "CUST-TEST", (line,), header.time_ms, header.time_ms, payment_method=VISA)
    order = create(draft, header)
    assert live.aws.orders.create(order) == order
    return order


def test_an_order_that_was_committed_but_not_published_is_finished_by_the_relay(live: Live) -> None:
    product = live.product(stock=5)
    order = _committed(live, product)
    assert live.closed([order.order_id])[0].status is Status.COMPLETED
    assert live.stock(product) == 3


@pytest.mark.parametrize("told_first", [True, False], ids=["told first", "told later"])
def test_a_declined_order_whose_release_was_published_but_not_cleared_is_closed(live: Live, told_first: bool) -> None:
    """As the Inventory Service leaves it when it dies right after publishing the release."""
    product = live.product(stock=5)
    order = _died_after_release(live, product, told_first)
    (final,) = live.closed([order.order_id])
    assert (final.status, final.outbox, live.stock(product)) == (Status.PAYMENT_FAILED, None, 5)


def _died_after_release(live: Live, product: str, told_first: bool) -> Order:
    publish = Publisher(live.aws.topic).publish
    order = _committed(live, product)
    events = [stored_event(CATALOG, order)]
    steps: list[tuple[Any, int]] = [
        (lambda order: reserve(order, HEADERS.new(EventType.INVENTORY_RESERVED, events[-1])), -1),
        (lambda order: decline(order, HEADERS.new(EventType.PAYMENT_FAILED, events[-1]), "Card expired"), 0),
        (lambda order: release(order, HEADERS.new(EventType.INVENTORY_RELEASED, events[-1])), 1),
    ]
    for step, sign in steps:
        transition = step(order)
        live.aws.orders.commit(
            [transition], {name: sign * units for name, units in returned(order).items()} if sign else {}
        )
        order = transition.after
        events.append(stored_event(CATALOG, order))
    if told_first:
        told = notify(order, SystemClock().now_ms())
        live.aws.orders.commit([told])
        order = told.after
    assert len(publish([OUTBOX.encode(event) for event in events])) == len(events)
    return order


def test_a_post_whose_put_succeeded_but_lost_its_answer_makes_one_order(live: Live) -> None:
    """boto3 tries the put again and then sees its condition fail: on the very order that it wrote."""
    product = live.product(stock=5)
    lossy = LosesAnswers(live)
    orders = DynamoOrders(
        lossy.client,
        live.config.resources.orders_table,
        live.config.resources.inventory_table,
        live.config.resources.open_orders_index,
    )
    place = PlaceOrder(
        outbox=OUTBOX,
        products=ProductCache(live.aws.products, SystemClock()),
        orders=orders,
        publish=Publisher(live.aws.topic).publish,
        headers=HeaderFactory(SystemClock()),
        new_key=lambda: f"key-of-{product}",
    )
    body = {"customerId": "CUST-TEST", "items": [{"productId": product, "quantity": 2}], "paymentMethod": VISA}
    placed = place.place(body)
    assert lossy.puts == 2
    assert not placed.replayed
    live.closed([placed.order.order_id])
    assert live.stock(product) == 3, "one order, though it was put twice"


class LosesAnswers:
    """A DynamoDB client whose first PutItem reaches the table, but whose answer never arrives."""

    def __init__(self, live: Live) -> None:
        session = boto3.session.Session(region_name=live.config.region)
        self.client = session.client(
            "dynamodb", endpoint_url=live.config.endpoint_url, config=INTERACTIVE.boto_config()
        )
        self.puts = 0
        self.client.meta.events.register("before-send.dynamodb.PutItem", self._send)

    def _send(self, request: AWSPreparedRequest, **_: Any) -> None:
        self.puts += 1
        if self.puts == 1:
            answer = URLLib3Session().send(request)
            assert answer.status_code == 200
            raise ConnectionClosedError(endpoint_url=request.url)
