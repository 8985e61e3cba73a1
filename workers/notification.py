"""The Notification Service: mails the customer how the order ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.domain.mail import mail_text
from shopflow.domain.order import Order, notify
from shopflow.errors import Conflict, Contention
from shopflow.log import about
from shopflow.messaging.handler import Done, Handler, Outcome, attempt, attempt_each
from shopflow.ports import Mail, Mailer, Orders
from workers.outbound import Outbound

log = logging.getLogger(__name__)


class Notification(Handler):
    """Sends each order's mail at most once in the life of a process, unless the mailer does not say whether it did."""

    def __init__(self, orders: Orders, mailer: Mailer, clock: Clock) -> None:
        self._orders = orders
        self._clock = clock
        self._outbound = Outbound(mailer, clock)

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        orders = self._orders.read({event.order_id for event in events})
        return attempt_each(lambda event: attempt(self._notify, event, orders), events, self._clock)

    def _notify(self, event: Event, order: Order) -> Outcome:
        """Sends the mail, then records it. If the process dies in between, the customer gets the mail twice."""
        if order.notified_at is not None:
            return Done()
        with self._outbound.sent(mail_about(event, order)):
            self._record(order)
        log.info("customer notified of %s", event.event_type, extra=about(event))
        return Done()

    def _record(self, order: Order) -> None:
        """Commit that the customer is notified, unless another process has done so."""
        try:
            self._orders.commit([notify(order, self._clock.now_ms())])
        except Conflict as conflict:
            if conflict.orders[order.order_id].notified_at is None:
                raise Contention(f"{order.order_id} has changed") from None


class LogMailer:
    """`shopflow.ports.Mailer` that writes into the log, because there is no mail server."""

    def send(self, mail: Mail) -> None:
        log.info(
            "to %s: %s\n%s",
            mail.customer_id,
            mail.subject,
            mail.text,
            extra=about(order_id=mail.order_id, event_id=mail.event_id),
        )


def mail_about(event: Event, order: Order) -> Mail:
    """The mail for the event that ended the order's saga."""
    message = mail_text(order)
    return Mail(order.customer_id, order.order_id, event.event_id, message.subject, message.text)
