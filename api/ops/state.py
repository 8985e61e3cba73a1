"""The state of the system as the operator's page shows it: queues, and orders that are open for too long."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import islice
from typing import Any

from api.pollers import BacklogsByService
from api.views import backlog_view
from shopflow.clock import Clock
from shopflow.domain.order import Order, Status
from shopflow.domain.times import to_text
from shopflow.ports import Orders

LONG_OPEN_MS = 60_000
MAX_SCANNED = 20_000
"""Entries of the index of open orders that are counted. When there are more, the total is a lower bound."""
MAX_SHOWN = 50


class State:
    """Reads the state when somebody asks. Thread-safe."""

    def __init__(self, orders: Orders, backlogs: Callable[[], BacklogsByService], clock: Clock) -> None:
        self._orders = orders
        self._backlogs = backlogs
        self._clock = clock

    def view(self) -> dict[str, Any]:
        """Raises `Unavailable`."""
        return {
            "at": to_text(self._clock.now_ms()),
            "queues": {service: backlog_view(backlog) for service, backlog in self._backlogs().items()},
            "openOrders": self._open_orders(),
        }

    def _open_orders(self) -> dict[str, Any]:
        now = self._clock.now_ms()
        entries = islice(self._orders.open_orders(), MAX_SCANNED)
        long_open = [entry for entry in entries if now - entry.opened_at > LONG_OPEN_MS]
        oldest = heapq.nsmallest(MAX_SHOWN, long_open, key=lambda entry: entry.opened_at)
        read = self._orders.read([entry.order_id for entry in oldest]) if oldest else {}
        # The index is eventually consistent: an order may have been closed since.
        orders = {order_id: order for order_id, order in read.items() if order.opened_at is not None}
        shown = [
            {
                "orderId": entry.order_id,
                "status": str(orders[entry.order_id].status),
                "ageSeconds": (now - entry.opened_at) / 1000,
                "waitsFor": awaited_services(orders[entry.order_id]),
            }
            for entry in oldest
            if entry.order_id in orders
        ]
        return {"total": len(long_open), "oldest": shown}


def awaited_services(order: Order) -> list[str]:
    """The services whose step the order still lacks. The relay closes an order that lacks none."""
    if order.status is Status.PENDING:
        return ["inventory"]
    if order.status is Status.INVENTORY_RESERVED:
        return ["payment"]
    awaited = ["notification"] if order.notified_at is None else []
    if order.status is Status.PAYMENT_FAILED and order.released_at is None:
        awaited.append("inventory")
    return awaited or ["relay"]
