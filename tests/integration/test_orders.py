"""Orders over HTTP, through five real processes and the emulator, to their end."""

from __future__ import annotations

from collections import Counter
from uuid import uuid4

import pytest
import requests

from shopflow.domain.order import Status
from tests.live import EXPIRED, VISA, Live
from tests.system import CATALOG, CONTRACTS


@pytest.mark.parametrize(
    ("payment_method", "units", "status", "left", "reason"),
    [
        (VISA, 2, Status.COMPLETED, 3, None),
        (EXPIRED, 2, Status.PAYMENT_FAILED, 5, "Card expired"),
        (VISA, 6, Status.INVENTORY_FAILED, 5, "Insufficient stock for Test product ({}): available 5, requested 6"),
    ],
)
def test_an_order_ends_and_only_a_paid_one_takes_its_stock(
    live: Live, payment_method: str, units: int, status: Status, left: int, reason: str | None
) -> None:
    product = live.product(stock=5)
    (order,) = live.closed([live.place({product: units}, payment_method)])
    assert (order.status, live.stock(product)) == (status, left)
    assert order.failure_reason == (reason and reason.format(product))


def test_an_order_with_an_email_is_mailed_and_shows_the_text_of_the_mail_but_not_the_address(live: Live) -> None:
    address = f"{uuid4().hex}@customer.example"
    (order,) = live.closed([live.place({live.product(stock=5): 2}, email=address)])
    [mail] = live.mails_to(address)
    answer = requests.get(f"{live.url}/orders/{order.order_id}", timeout=10)
    assert {"subject": mail["Subject"], "text": mail["BodyText"]} == answer.json()["notification"]
    assert mail["Source"] == live.config.mail_from
    assert address not in answer.text


def test_an_order_of_fifty_products_is_reserved_whole(live: Live) -> None:
    products = {live.product(stock=3): 1 for _ in range(50)}
    (order,) = live.closed([live.place(products)])
    assert order.status is Status.COMPLETED
    assert {live.stock(product) for product in products} == {2}


def test_of_fifty_orders_at_once_for_the_last_ten_units_exactly_ten_get_one(live: Live) -> None:
    product = live.product(stock=10)
    orders = live.closed(live.place_at_once([{product: 1}] * 50))
    assert Counter(order.status for order in orders) == {Status.COMPLETED: 10, Status.INVENTORY_FAILED: 40}
    assert live.stock(product) == 0


def test_two_line_orders_that_race_leave_no_half_reservation(live: Live) -> None:
    scarce, plenty = live.product(stock=5), live.product(stock=100)
    orders = live.closed(live.place_at_once([{scarce: 1, plenty: 2}, {plenty: 2, scarce: 1}] * 10))
    assert Counter(order.status for order in orders) == {Status.COMPLETED: 5, Status.INVENTORY_FAILED: 15}
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
