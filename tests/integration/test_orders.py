"""Orders over HTTP, through five real processes and the emulator, to their end."""

from __future__ import annotations

from uuid import uuid4

import requests

from shopflow.domain.order import Status
from tests.live import EXPIRED, VISA, Live, count
from tests.system import CATALOG, CONTRACTS


def test_a_paid_order_is_completed_and_takes_its_stock(live: Live) -> None:
    product = live.product(stock=5)
    (order,) = live.closed([live.place({product: 2})])
    assert (order.status, live.stock(product)) == (Status.COMPLETED, 3)


def test_a_declined_order_returns_its_stock_and_says_why(live: Live) -> None:
    product = live.product(stock=5)
    (order,) = live.closed([live.place({product: 2}, EXPIRED)])
    assert (order.status, order.failure_reason, live.stock(product)) == (Status.PAYMENT_FAILED, "Card expired", 5)


def test_an_order_with_an_email_is_mailed_and_shows_the_text_of_the_mail_but_not_the_address(live: Live) -> None:
    address = f"{uuid4().hex}@customer.example"
    (order,) = live.closed([live.place({live.product(stock=5): 2}, email=address)])
    [mail] = live.mails_to(address)
    answer = requests.get(f"{live.url}/orders/{order.order_id}", timeout=10)
    assert {"subject": mail["Subject"], "text": mail["BodyText"]} == answer.json()["notification"]
    assert mail["Source"] == live.config.mail_from
    assert address not in answer.text


def test_an_order_beyond_the_stock_fails_and_nothing_is_charged(live: Live) -> None:
    product = live.product(stock=1)
    (order,) = live.closed([live.place({product: 2})])
    assert (order.status, order.transaction_id, live.stock(product)) == (Status.INVENTORY_FAILED, None, 1)
    assert order.failure_reason == f"Insufficient stock for Test product ({product}): available 1, requested 2"


def test_an_order_of_fifty_products_is_reserved_whole(live: Live) -> None:
    products = {live.product(stock=3): 1 for _ in range(50)}
    (order,) = live.closed([live.place(products)])
    assert order.status is Status.COMPLETED
    assert {live.stock(product) for product in products} == {2}


def test_of_fifty_orders_at_once_for_the_last_ten_units_exactly_ten_get_one(live: Live) -> None:
    product = live.product(stock=10)
    orders = live.closed(live.place_at_once([{product: 1}] * 50))
    assert (count(orders, Status.COMPLETED), count(orders, Status.INVENTORY_FAILED)) == (10, 40)
    assert live.stock(product) == 0


def test_two_line_orders_that_race_leave_no_half_reservation(live: Live) -> None:
    scarce, plenty = live.product(stock=5), live.product(stock=100)
    orders = live.closed(live.place_at_once([{scarce: 1, plenty: 2}, {plenty: 2, scarce: 1}] * 10))
    assert (count(orders, Status.COMPLETED), count(orders, Status.INVENTORY_FAILED)) == (5, 15)
    assert (live.stock(scarce), live.stock(plenty)) == (0, 90)


def test_a_message_delivered_three_times_changes_nothing_the_second_and_third_time(live: Live) -> None:
    """Each queue gets again what was meant for it, of a paid, a declined and an impossible order."""
    product = live.product(stock=10)
    order_ids = [live.place({product: 2}, VISA), live.place({product: 3}, EXPIRED), live.place({product: 900}, VISA)]
    before = live.closed(order_ids)
    letters, stock = live.queues_empty().dead_letters, live.stock(product)
    trails = [live.aws.audit.trail(order_id) for order_id in order_ids]
    for event in [entry.event for trail in trails for entry in trail] * 2:
        for service in CATALOG.consumers:
            if event.event_type in service.consumes:
                live.send(service.name, CONTRACTS.encode(event))
    assert live.queues_empty().dead_letters == letters
    assert live.read(order_ids) == before
    assert [live.aws.audit.trail(order_id) for order_id in order_ids] == trails
    assert live.stock(product) == stock


def test_the_order_of_an_earlier_request_answers_the_same_key_and_another_body_is_refused(live: Live) -> None:
    product = live.product(stock=5)
    body = {"customerId": "CUST-TEST", "items": [{"productId": product, "quantity": 1}], "paymentMethod": VISA}
    headers = {"Idempotency-Key": f"key-of-{product}"}
    first, second = (requests.post(f"{live.url}/orders", json=body, headers=headers, timeout=10) for _ in range(2))
    other = requests.post(f"{live.url}/orders", json=body | {"customerId": "CUST-2"}, headers=headers, timeout=10)
    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 422)
    assert first.json()["orderId"] == second.json()["orderId"]
    live.closed([first.json()["orderId"]])
    assert live.stock(product) == 4
