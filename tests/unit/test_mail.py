"""The mails to the customer."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from shopflow.domain.mail import mail_text
from shopflow.domain.order import Line, Order, Status

LINES = (
    Line("PROD-001", "Wireless Headphones", 2, Decimal("49.99")),
    Line("PROD-003", "USB-C Hub", 1, Decimal("29.00")),
)
ORDER = Order("ORD-A1B2C3D4", "CUST-001", LINES, created_at=0, updated_at=0)
PAID = replace(ORDER, status=Status.PAYMENT_PROCESSED, transaction_id="TXN-1", charged_amount=Decimal("128.98"))
DECLINED = replace(ORDER, status=Status.PAYMENT_FAILED, failure_reason="Card expired")
REFUSED = replace(ORDER, status=Status.INVENTORY_FAILED, failure_reason="Only 1 left")


def test_a_paid_order_is_confirmed_with_its_lines_the_amount_the_transaction_and_the_delivery() -> None:
    mail = mail_text(PAID)
    assert mail.subject == "Order ORD-A1B2C3D4 confirmed"
    assert mail.text.splitlines() == [
        "Thank you for your order.",
        "  2 x Wireless Headphones: $99.98",
        "  1 x USB-C Hub: $29.00",
        "Amount charged: $128.98",
        "Transaction: TXN-1",
        "Estimated delivery: 3-5 business days",
    ]


def test_the_mail_about_a_failed_order_has_the_reason_and_says_what_was_charged() -> None:
    declined = mail_text(DECLINED)
    assert declined.subject == "Payment for order ORD-A1B2C3D4 declined"
    assert "$128.98 was declined: Card expired" in declined.text
    assert mail_text(REFUSED).text == "Only 1 left.\nNo payment was taken."


def test_there_is_no_mail_about_an_unfinished_order() -> None:
    for status in (Status.PENDING, Status.INVENTORY_RESERVED):
        with pytest.raises(ValueError, match="no mail in"):
            mail_text(replace(ORDER, status=status))
