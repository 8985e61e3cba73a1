"""The Notification Service: tells the customer how the order ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Order, notify
from shopflow.errors import Conflict
from shopflow.log import about
from shopflow.messaging.consumer import Done, Handler, Outcome
from shopflow.messaging.deciding import attempt
from shopflow.ports import Mail, Mailer, Orders

log = logging.getLogger(__name__)


class Notification(Handler):
    def __init__(self, orders: Orders, mailer: Mailer, clock: Clock) -> None:
        self._orders = orders
        self._mailer = mailer
        self._clock = clock

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        orders = self._orders.read({event.order_id for event in events})
        return [attempt(self._tell, event, orders) for event in events]

    def _tell(self, event: Event, order: Order) -> Outcome:
        """Send, then record it: who dies in between tells the customer twice, never not at all."""
        if order.notified_at is not None:
            return Done()
        self._mailer.send(mail_about(event, order))
        self._record(order)
        log.info("customer told of %s", event.event_type, extra=about(event))
        return Done()

    def _record(self, order: Order) -> None:
        """Record that the customer is told. If the stock is released meanwhile, decide again whether that closes it."""
        while order.notified_at is None:
            try:
                self._orders.commit([notify(order, self._clock.now_ms())])
            except Conflict as conflict:
                order = conflict.orders[order.order_id]
            else:
                return


class LogMailer:
    """`shopflow.ports.Mailer` into the log, for want of a mail server."""

    def send(self, mail: Mail) -> None:
        log.info(
            "to %s: %s\n%s",
            mail.customer_id,
            mail.subject,
            mail.text,
            extra=about(order_id=mail.order_id, event_id=mail.event_id),
        )


def mail_about(event: Event, order: Order) -> Mail:
    """The message for the event that ended the order's saga."""
    subject, text = _TEXTS[event.event_type](order)
    return Mail(order.customer_id, order.order_id, event.event_id, subject, text)


def _confirmation(order: Order) -> tuple[str, str]:
    lines = [f"  {line.quantity} x {line.product_name}: ${line.line_total}" for line in order.lines]
    return f"Order {order.order_id} confirmed", "\n".join(
        [
            "Thank you for your order.",
            *lines,
            f"Amount charged: ${order.charged_amount}",
            f"Transaction: {order.transaction_id}",
            "Estimated delivery: 3-5 business days",
        ]
    )


def _payment_declined(order: Order) -> tuple[str, str]:
    return f"Payment for order {order.order_id} declined", (
        f"Your payment of ${order.total_amount} was declined: {order.failure_reason}.\n"
        "Please try again, or use another payment method."
    )


def _out_of_stock(order: Order) -> tuple[str, str]:
    return f"Order {order.order_id} could not be fulfilled", (f"{order.failure_reason}.\nNo payment was taken.")


_TEXTS: Mapping[str, Callable[[Order], tuple[str, str]]] = {
    EventType.PAYMENT_PROCESSED: _confirmation,
    EventType.PAYMENT_FAILED: _payment_declined,
    EventType.INVENTORY_FAILED: _out_of_stock,
}
