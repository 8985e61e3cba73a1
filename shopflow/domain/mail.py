"""The mail to the customer when an order has ended: a pure function of the order, so that it can be shown again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shopflow.domain.order import Order, Status


@dataclass(frozen=True, slots=True)
class MailText:
    subject: str
    text: str


def mail_text(order: Order) -> MailText:
    """The mail about ``order``. Raises ``ValueError`` while the order has not ended."""
    write = _TEXTS.get(order.status)
    if write is None:
        raise ValueError(f"{order.order_id}: no mail in {order.status}")
    return write(order)


def _confirmation(order: Order) -> MailText:
    lines = [f"  {line.quantity} x {line.product_name}: ${line.line_total}" for line in order.lines]
    text = [
        "Thank you for your order.",
        *lines,
        f"Amount charged: ${order.charged_amount}",
        f"Transaction: {order.transaction_id}",
        "Estimated delivery: 3-5 business days",
    ]
    return MailText(f"Order {order.order_id} confirmed", "\n".join(text))


def _payment_declined(order: Order) -> MailText:
    text = (
        f"Your payment of ${order.total_amount} was declined: {order.failure_reason}.\n"
        "Please try again, or use another payment method."
    )
    return MailText(f"Payment for order {order.order_id} declined", text)


def _out_of_stock(order: Order) -> MailText:
    text = f"{order.failure_reason}.\nNo payment was taken."
    return MailText(f"Order {order.order_id} could not be fulfilled", text)


_TEXTS: Mapping[Status, Callable[[Order], MailText]] = {
    Status.PAYMENT_PROCESSED: _confirmation,
    Status.COMPLETED: _confirmation,
    Status.PAYMENT_FAILED: _payment_declined,
    Status.INVENTORY_FAILED: _out_of_stock,
}
