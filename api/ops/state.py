"""The state of the system as the operator's page shows it: queues, and orders that are open for too long."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import Any

from api.pollers import QueueViews
from shopflow.domain.order import Order, Status
from shopflow.domain.times import to_text
from shopflow.ports import Orders

LONG_OPEN_MS = 60_000
MAX_SCANNED = 20_000
"""Entries of the index of open orders that are counted. When there are more, the total is a lower bound."""
MAX_SHOWN = 50


def state_view(orders: Orders, queues: QueueViews, now: int) -> dict[str, Any]:
    """The state at ``now`` (ms). Raises `Unavailable`."""
    entries = islice(orders.open_orders(), MAX_SCANNED)
    long_open = [entry for entry in entries if now - entry.opened_at > LONG_OPEN_MS]
    oldest = heapq.nsmallest(MAX_SHOWN, long_open, key=lambda entry: entry.opened_at)
    read = orders.read([entry.order_id for entry in oldest]) if oldest else {}
    shown = [
        {
            "orderId": entry.order_id,
            "status": str(order.status),
            "ageSeconds": (now - entry.opened_at) / 1000,
            "waitsFor": awaited_services(order),
        }
        for entry in oldest
        # The index is eventually consistent: an order may have been closed since.
        if (order := read.get(entry.order_id)) and order.opened_at is not None
    ]
    return {
        "at": to_text(now),
        "queues": queues,
        "openOrders": {"total": len(long_open), "oldest": shown},
    }


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
