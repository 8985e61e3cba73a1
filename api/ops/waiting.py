"""Which orders are open for long, and who keeps them waiting. SQS tells no message's age, but the orders do."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from api.following import MAX_PER_READ
from shopflow.clock import Clock
from shopflow.domain.order import Order, Status
from shopflow.ports import OpenOrder, Orders

LONG_MS = 60_000
MAX_SCANNED = 20_000
"""Entries of the index that are looked at: beyond, the numbers are lower bounds."""
MAX_READ = 200
"""Open orders, the oldest ones, of which it is looked up who keeps them waiting."""
MAX_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Waiting:
    """``open_orders``: what the operator sees of them; ``oldest_seconds``: of the oldest event that each service has
    not acted on yet."""

    open_orders: dict[str, Any]
    oldest_seconds: Mapping[str, float]


def look(orders: Orders, clock: Clock) -> Waiting:
    """Raises `Unavailable`."""
    entries = list(islice(orders.open_orders(), MAX_SCANNED))
    oldest = heapq.nsmallest(MAX_READ, entries, key=lambda entry: entry.opened_at)
    standing = _standing(orders, oldest)
    now = clock.now_ms()
    long_open = [entry for entry in oldest if now - entry.opened_at > LONG_MS and entry.order_id in standing]
    shown = [
        {
            "orderId": entry.order_id,
            "status": str(standing[entry.order_id].status),
            "ageSeconds": _seconds(now - entry.opened_at),
        }
        for entry in long_open[:MAX_SHOWN]
    ]
    total = sum(now - entry.opened_at > LONG_MS for entry in entries)
    return Waiting({"total": total, "oldest": shown}, _oldest_seconds(standing, now))


def owed(order: Order) -> dict[str, int]:
    """The services that the order waits for, and since when (ms): their event was published about then."""
    since = order.updated_at
    if order.status is Status.PENDING:
        return {"inventory": since}
    if order.status is Status.INVENTORY_RESERVED:
        return {"payment": since}
    owing = {} if order.notified_at is not None else {"notification": since}
    if order.status is Status.PAYMENT_FAILED and order.released_at is None:
        owing["inventory"] = since
    return owing


def _standing(orders: Orders, entries: Sequence[OpenOrder]) -> dict[str, Order]:
    """The orders of ``entries`` that are still open, by id."""
    ids = iter([entry.order_id for entry in entries])
    found: dict[str, Order] = {}
    while chunk := list(islice(ids, MAX_PER_READ)):
        found |= orders.read(chunk)
    return {order_id: order for order_id, order in found.items() if order.opened_at is not None}


def _oldest_seconds(standing: Mapping[str, Order], now: int) -> dict[str, float]:
    oldest: dict[str, int] = {}
    for order in standing.values():
        for service, since in owed(order).items():
            oldest[service] = min(since, oldest.get(service, since))
    return {service: _seconds(now - since) for service, since in oldest.items()}


def _seconds(milliseconds: int) -> float:
    return max(0, milliseconds) / 1000
