"""The mails to the customer."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from shopflow.domain.mail import mail_text
from shopflow.domain.order import Line, Order, Status

ORDER = Order(
    order_id="ORD-A1B2C3D4",
    customer_id="CUST-001",
    lines=(
        Line("PROD-001", "Wireless Headphones", 2, Decimal("49.99")),
        Line("PROD-003", "USB-C Hub", 1, Decimal("29.99")),
    ),
    created_at=0,
    updated_at=0,
)


@pytest.mark.parametrize("status", [Status.PAYMENT_PROCESSED, Status.COMPLETED])
def test_a_paid_order_is_confirmed_with_its_lines_the_amount_the_transaction_and_the_delivery(status: Status) -> None:
    paid = replace(ORDER, status=status, transaction_id="TXN-1", charged_amount=Decimal("129.97"))
    message = mail_text(paid)
    assert message.subject == "Order ORD-A1B2C3D4 confirmed"
    assert message.text.splitlines() == [
        "Thank you for your order.",
        "  2 x Wireless Headphones: $99.98",
        "  1 x USB-C Hub: $29.99",
        "Amount charged: $129.97",
        "Transaction: TXN-1",
        "Estimated delivery: 3-5 business days",
    ]


def test_the_mail_about_a_declined_payment_has_the_reason_the_amount_and_what_to_do() -> None:
    message = mail_text(replace(ORDER, status=Status.PAYMENT_FAILED, failure_reason="Card expired"))
    assert message.subject == "Payment for order ORD-A1B2C3D4 declined"
    assert "$129.97 was declined: Card expired" in message.text
    assert "try again" in message.text


def test_the_mail_about_an_order_out_of_stock_has_the_reason_and_says_that_nothing_was_charged() -> None:
    message = mail_text(replace(ORDER, status=Status.INVENTORY_FAILED, failure_reason="Only 1 left"))
    assert message.text == "Only 1 left.\nNo payment was taken."


@pytest.mark.parametrize("status", [Status.PENDING, Status.INVENTORY_RESERVED])
def test_there_is_no_mail_about_an_unfinished_order(status: Status) -> None:
    with pytest.raises(ValueError, match="no mail in"):
        mail_text(replace(ORDER, status=status))
