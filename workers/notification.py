"""The Notification Service: mails the customer how the order ended."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from shopflow.clock import Clock
from shopflow.domain.event import Event
from shopflow.domain.mail import mail_text
from shopflow.domain.order import Order, notify
from shopflow.errors import Conflict
from shopflow.log import about
from shopflow.messaging.handler import Done, Failed, Handler, Outcome, attempt, attempt_each
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
        """Sends the mails, then records them. If the process dies in between, the customers get the mail twice."""
        orders = self._orders.read({event.order_id for event in events})
        outcomes = attempt_each(lambda event: attempt(self._send, event, orders), events, self._clock)
        sent = [event.order_id for event, outcome in zip(events, outcomes, strict=True) if isinstance(outcome, Done)]
        failures = self._record(orders[order_id] for order_id in dict.fromkeys(sent))
        return [
            failures.get(event.order_id, outcome) if isinstance(outcome, Done) else outcome
            for event, outcome in zip(events, outcomes, strict=True)
        ]

    def _send(self, event: Event, order: Order) -> Outcome:
        if order.notified_at is None:
            self._outbound.send(mail_about(event, order))
            log.info("customer notified of %s", event.event_type, extra=about(event))
        return Done()

    def _record(self, orders: Iterable[Order]) -> Mapping[str, Failed]:
        """Commit that the customers are notified. Returns the failures by order id."""
        now = self._clock.now_ms()
        errors = self._orders.commit_each([notify(order, now) for order in orders if order.notified_at is None])
        return {order_id: Failed(error) for order_id, error in errors.items() if not _is_notified(order_id, error)}


def _is_notified(order_id: str, error: Exception) -> bool:
    """Whether the transition failed because another process has made it."""
    if not isinstance(error, Conflict) or order_id not in error.orders:
        return False
    return error.orders[order_id].notified_at is not None


class OrderMailer:
    """`shopflow.ports.Mailer`: by ``post`` to the address of the order. Without either, the mail is a log line."""

    def __init__(self, post: Mailer | None) -> None:
        self._post = post

    def send(self, mail: Mail) -> None:
        if self._post is not None and mail.address is not None:
            self._post.send(mail)
            return
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
    return Mail(order.customer_id, order.order_id, event.event_id, message.subject, message.text, order.email)
