"""The Payment Service: charges orders whose stock is reserved, and no others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from shopflow.clock import HeaderFactory
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Order, Status, Transition, charge, decline
from shopflow.domain.text import one_line
from shopflow.errors import BadAnswer, Conflict, ContractBreach
from shopflow.log import about
from shopflow.messaging.handler import Done, Handler, Outcome, attempt
from shopflow.messaging.outbox import Outbox
from shopflow.ports import Charge, Decline, Gateway, Orders

log = logging.getLogger(__name__)

MAX_REASON_CHARS = 500
"""The limit in the contract of payment.failed (schemas/common.schema.json)."""
NO_REASON = "The payment was declined"


Mapper = Callable[[Callable[[Event], Outcome], Sequence[Event]], Iterable[Outcome]]
"""``map`` of the builtins or of a thread pool: the gateway is slow, so a batch is charged concurrently."""


class Payment(Handler):
    def __init__(self, orders: Orders, gateway: Gateway, outbox: Outbox, headers: HeaderFactory, each: Mapper) -> None:
        self._orders = orders
        self._gateway = gateway
        self._outbox = outbox
        self._headers = headers
        self._each = each

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        orders = self._orders.read({event.order_id for event in events})
        return list(self._each(lambda event: attempt(self._charge, event, orders), events))

    def _charge(self, event: Event, order: Order) -> Outcome:
        if order.status is not Status.INVENTORY_RESERVED:
            return Done()
        transition = self._ask_gateway(event, order)
        try:
            outgoing = self._outbox.outgoing(transition.after)
        except ContractBreach as breach:
            raise BadAnswer(f"the payment gateway's answer cannot be published: {breach}") from None
        try:
            self._orders.commit([transition])
        except Conflict:
            return Done()
        what = transition.after.failure_reason or f"charged {transition.after.charged_amount}"
        log.info("%s (%s)", what, self._gateway.name, extra=about(outgoing))
        return Done(publish=outgoing)

    def _ask_gateway(self, event: Event, order: Order) -> Transition:
        """The order's id is the idempotency key, so a retried charge is the same charge."""
        answer = checked(
            self._gateway.charge(order.order_id, order.total_amount, order.payment_method), order.total_amount
        )
        if isinstance(answer, Decline):
            return decline(order, self._headers.new(EventType.PAYMENT_FAILED, event), answer.reason)
        header = self._headers.new(EventType.PAYMENT_PROCESSED, event)
        return charge(order, header, answer.transaction_id, answer.amount)


def checked(answer: object, amount: Decimal) -> Charge | Decline:
    """The gateway's ``answer`` to a charge of ``amount``, in a form that can be stored and published.

    A decline is valid whatever its reason is; the reason is cut to a length that an event can carry. Raises `BadAnswer`
    for a charge of another amount, and for anything that is neither a charge nor a decline.
    """
    if isinstance(answer, Decline):
        return Decline(one_line(answer.reason, MAX_REASON_CHARS) or NO_REASON)
    if not isinstance(answer, Charge):
        raise BadAnswer(f"the payment gateway answered {type(answer).__name__}: neither a charge nor a decline")
    if answer.amount != amount:
        raise BadAnswer(f"the payment gateway charged {answer.amount} instead of {amount}")
    return Charge(answer.transaction_id, amount)
