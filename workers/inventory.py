"""The Inventory Service: reserves stock for new orders, and releases it when their payment fails."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from shopflow.clock import Clock, HeaderFactory
from shopflow.domain.event import Event
from shopflow.domain.order import EventType, Order, Status, Transition, refuse, release, reserve
from shopflow.domain.stock import Plan, first_chunk, plan
from shopflow.errors import Conflict, Contention, MalformedRow, Unavailable
from shopflow.log import about
from shopflow.messaging.handler import Done, Failed, Handler, Outcome, attempt, attempt_each
from shopflow.messaging.outbox import Outbox
from shopflow.ports import MAX_TRANSACTION_ITEMS, Orders, Products

log = logging.getLogger(__name__)

_MAX_PLANS = 10
"""How often a batch is planned. After that, other consumers of the same products go first."""


class Inventory(Handler):
    def __init__(
        self, orders: Orders, products: Products, outbox: Outbox, headers: HeaderFactory, clock: Clock
    ) -> None:
        self._clock = clock
        self._orders = orders
        self._products = products
        self._outbox = outbox
        self._headers = headers

    def handle(self, events: Sequence[Event]) -> Sequence[Outcome]:
        orders = self._orders.read({event.order_id for event in events})
        causes: dict[str, Event] = {}
        for event in events:
            if _changes_stock(event, orders.get(event.order_id)):
                causes.setdefault(event.order_id, event)
        outcomes = self._commit_all(causes, [orders[order_id] for order_id in causes])
        return [
            outcomes[event.order_id]
            if causes.get(event.order_id) is event
            else attempt(lambda *_: Done(), event, orders)
            for event in events
        ]

    def _commit_all(self, causes: Mapping[str, Event], waiting: Sequence[Order]) -> dict[str, Outcome]:
        """Reserve, refuse or release each order of ``waiting``. ``causes`` (their events) and outcomes are by order id.

        One plan is one transaction: a refusal is only true together with the reservations that took the stock. If the
        transaction is cancelled, orders that have changed are dropped, and the rest is planned again with the stock of
        that moment. If it fails for another reason than an outage, each order is tried alone, so that one order never
        fails the others.
        """
        outcomes: dict[str, Outcome] = {}
        for _ in range(_MAX_PLANS):
            if not waiting:
                return outcomes
            chunk = first_chunk(waiting, MAX_TRANSACTION_ITEMS)
            try:
                outcomes |= self._commit(chunk, causes)
            except Conflict as conflict:
                outcomes |= dict.fromkeys(conflict.orders, Done())
            except Unavailable as error:
                return outcomes | {order.order_id: Failed(error) for order in waiting}
            except Exception as error:
                alone = len(chunk) == 1
                outcomes |= {chunk[0].order_id: Failed(error)} if alone else self._one_by_one(chunk, causes)
            waiting = [order for order in waiting if order.order_id not in outcomes]
        busy = Contention("others keep taking the same stock")
        return outcomes | {order.order_id: Failed(busy) for order in waiting}

    def _one_by_one(self, orders: Sequence[Order], causes: Mapping[str, Event]) -> dict[str, Outcome]:
        """Each of ``orders`` in a transaction of its own."""
        by_id = {order.order_id: order for order in orders}
        outcomes = attempt_each(
            lambda event: self._commit_all(causes, [by_id[event.order_id]])[event.order_id],
            [causes[order_id] for order_id in by_id],
            self._clock,
        )
        return dict(zip(by_id, outcomes, strict=True))

    def _commit(self, orders: Sequence[Order], causes: Mapping[str, Event]) -> dict[str, Outcome]:
        """Plan and commit all of ``orders`` or none. Raises `Conflict` after a lost race."""
        wanted = {line.product_id for order in orders for line in order.lines}
        products = self._products.read(wanted)
        declined = [order for order in orders if order.status is Status.PAYMENT_FAILED]
        if missing := {line.product_id for order in declined for line in order.lines} - products.keys():
            raise MalformedRow("inventory", frozenset(missing))
        decided = plan([order for order in orders if order not in declined], declined, products)
        transitions = [self._decide(order, causes[order.order_id], decided) for order in orders]
        events = [self._outbox.outgoing(transition.after) for transition in transitions]
        self._orders.commit(transitions, decided.stock)
        for transition, event in zip(transitions, events, strict=True):
            log.info("%s", transition.after.failure_reason or event.event_type, extra=about(event))
        return {event.order_id: Done(publish=event) for event in events}

    def _decide(self, order: Order, cause: Event, decided: Plan) -> Transition:
        if order.status is Status.PAYMENT_FAILED:
            return release(order, self._headers.new(EventType.INVENTORY_RELEASED, cause))
        if reason := decided.refused.get(order.order_id):
            return refuse(order, self._headers.new(EventType.INVENTORY_FAILED, cause), reason)
        return reserve(order, self._headers.new(EventType.INVENTORY_RESERVED, cause))


def _changes_stock(event: Event, order: Order | None) -> bool:
    """Whether the event asks for a step that the order has not made yet."""
    if order is None:
        return False
    if event.event_type is EventType.ORDER_CREATED:
        return order.status is Status.PENDING
    is_declined = event.event_type is EventType.PAYMENT_FAILED and order.status is Status.PAYMENT_FAILED
    return is_declined and order.released_at is None
