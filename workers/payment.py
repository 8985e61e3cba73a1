"""The Payment Service: charges reserved orders, and only those."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from shopflow.catalog import Catalog
from shopflow.clock import Headers
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Move, Order, Status, charge, decline
from shopflow.errors import Conflict
from shopflow.log import about
from shopflow.messaging.consumer import Done, Handler, Outcome
from shopflow.messaging.deciding import attempt
from shopflow.ports import Decline, Gateway, Orders

log = logging.getLogger(__name__)


class Mapper(Protocol):
    """``map``, or a thread pool's: the gateway is slow, so a batch is charged concurrently."""

    def __call__(self, call: Callable[[Event], Outcome], events: Sequence[Event], /) -> Iterable[Outcome]: ...


class Payment(Handler):
    def __init__(self, orders: Orders, gateway: Gateway, catalog: Catalog, headers: Headers, each: Mapper) -> None:
        self._orders = orders
        self._gateway = gateway
        self._catalog = catalog
        self._headers = headers
        self._each = each

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        orders = self._orders.read({event.order_id for event in events})
        return list(self._each(lambda event: attempt(self._charge, event, orders), events))

    def _charge(self, event: Event, order: Order) -> Outcome:
        if order.status is not Status.INVENTORY_RESERVED:
            return Done()
        move = self._ask_gateway(event, order)
        try:
            self._orders.commit([move])
        except Conflict:
            return Done()
        outgoing = self._catalog.stored_event(move.after)
        log.info("%s", move.after.failure_reason or f"charged {move.after.charged_amount}", extra=about(outgoing))
        return Done(publish=outgoing)

    def _ask_gateway(self, event: Event, order: Order) -> Move:
        """The order's id is the idempotency key: a charge that is tried again is the same charge."""
        answer = self._gateway.charge(order.order_id, order.total_amount, order.payment_method)
        if isinstance(answer, Decline):
            return decline(order, self._headers.new(EventType.PAYMENT_FAILED, event), answer.reason)
        header = self._headers.new(EventType.PAYMENT_PROCESSED, event)
        return charge(order, header, answer.transaction_id, answer.amount)
