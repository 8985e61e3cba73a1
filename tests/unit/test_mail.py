"""The mails to the customer, how they go out, and what their sender hears when Amazon SES refuses one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from shopflow.aws.mail import SesMailer
from shopflow.domain.mail import mail_text
from shopflow.domain.order import Line, Order, Status
from shopflow.errors import BadAnswer, Contention, Unavailable
from shopflow.ports import Mail
from tests.taps import CountingMailer
from workers.notification import OrderMailer

LINES = (
    Line("PROD-001", "Wireless Headphones", 2, Decimal("49.99")),
    Line("PROD-003", "USB-C Hub", 1, Decimal("29.00")),
)
ORDER = Order("ORD-A1B2C3D4", "CUST-001", LINES, created_at=0, updated_at=0)
PAID = replace(ORDER, status=Status.PAYMENT_PROCESSED, transaction_id="TXN-1", charged_amount=Decimal("128.98"))
DECLINED = replace(ORDER, status=Status.PAYMENT_FAILED, failure_reason="Card expired")
REFUSED = replace(ORDER, status=Status.INVENTORY_FAILED, failure_reason="Only 1 left")
ADDRESS = "customer@shop.example"
MAIL = Mail("CUST-001", "ORD-A1B2C3D4", "01", "Order confirmed", "Thank you.", ADDRESS)


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


@pytest.mark.parametrize("status", [Status.PENDING, Status.INVENTORY_RESERVED])
def test_there_is_no_mail_about_an_unfinished_order(status: Status) -> None:
    with pytest.raises(ValueError, match="no mail in"):
        mail_text(replace(ORDER, status=status))


def test_a_mail_has_one_recipient_and_the_configured_sender() -> None:
    sent: list[dict[str, Any]] = []
    ses: Any = SimpleNamespace(send_email=lambda **request: sent.append(request))
    SesMailer(ses, "orders@shop.example").send(MAIL)
    [request] = sent
    assert (request["Source"], request["Destination"]) == ("orders@shop.example", {"ToAddresses": [ADDRESS]})


def refusal(code: str) -> ClientError:
    text = f"the following identities failed the check: {ADDRESS}"
    return ClientError({"Error": {"Code": code, "Message": text}}, "SendEmail")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refusal("Throttling"), Contention),
        (refusal("MessageRejected"), Unavailable),
        (refusal("AccessDenied"), Unavailable),
        (refusal("InvalidParameterValue"), BadAnswer),
        (ReadTimeoutError(endpoint_url=f"https://ses/?to={ADDRESS}"), Unavailable),
    ],
    ids=str,
)
def test_an_error_says_what_to_do_but_never_to_whom(error: Exception, raised: type[Exception]) -> None:
    def refuse(**_: Any) -> None:
        raise error

    ses: Any = SimpleNamespace(send_email=refuse)
    with pytest.raises(raised) as caught:
        SesMailer(ses, "orders@shop.example").send(MAIL)
    assert caught.type is raised
    assert ADDRESS not in str(caught.value)
    assert caught.value.__suppress_context__  # so no traceback in the log has it either


def test_without_an_address_or_a_sender_the_mail_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="workers.notification")
    post = CountingMailer()
    OrderMailer(None).send(MAIL)
    OrderMailer(post).send(replace(MAIL, address=None))
    assert [record.getMessage() for record in caplog.records] == ["to CUST-001: Order confirmed\nThank you."] * 2
    assert ADDRESS not in caplog.text
    OrderMailer(post).send(MAIL)
    assert (post.sent, len(caplog.records)) == ({MAIL.order_id: 1}, 2)
