"""Closing an order whose last event has no consumer (docs/adr/0007)."""

from __future__ import annotations

import logging

from shopflow.domain.order import Order, settle
from shopflow.errors import Conflict, Contention
from shopflow.log import about
from shopflow.ports import Orders

log = logging.getLogger(__name__)

MAX_TRIES = 10
"""Each conflict is a step of another service, and an order has few of them."""


def close_out(orders: Orders, order: Order) -> bool:
    """Clear a published `inventory.released` from the outbox of ``order``, and close it if that was the last step.

    The caller knows that it was published. When another service moves the order at the same time, the decision is made
    again on the order as it stands. Returns whether anything changed. Raises `Unavailable`.
    """
    event_id = order.outbox.event_id if order.outbox else None
    for _ in range(MAX_TRIES):
        transition = settle(order)
        if not transition.changes():
            return False
        try:
            orders.commit([transition])
        except Conflict as conflict:
            order = conflict.orders[order.order_id]
        else:
            done = "order closed" if transition.after.opened_at is None else "outbox cleared"
            log.info(done, extra=about(order_id=order.order_id, event_id=event_id))
            return True
    raise Contention(f"{order.order_id} keeps changing")
