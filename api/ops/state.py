"""The state of the system as the operator's page shows it: queues, throughput, and orders that are open too long."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from api.caches import CachedValue
from api.pollers import BacklogsByService
from api.recent import MAX_RECENT, RecentOrders
from api.views import backlog_view
from shopflow.clock import Clock
from shopflow.domain.order import Order, Status
from shopflow.domain.times import to_text
from shopflow.ports import Orders

MAX_AGE_MS = 1000
MINUTE_MS = 60_000
WINDOW_MINUTES = 10
MAX_CHECKED = 1000
"""Accepted orders that one look checks for their end. The others have their turn in the next looks."""
LONG_OPEN_MS = 60_000
MAX_SCANNED = 20_000
"""Entries of the index of open orders that one look counts. Beyond, the numbers are lower bounds."""
MAX_READ = 200
"""The oldest open orders, which are read to find out which service each waits for."""
MAX_SHOWN = 50


class State:
    """The state, at most a second old, read only when somebody asks. Thread-safe."""

    def __init__(
        self, orders: Orders, recent: RecentOrders, backlogs: Callable[[], BacklogsByService], clock: Clock
    ) -> None:
        self._orders = orders
        self._backlogs = backlogs
        self._clock = clock
        self._throughput = Throughput(recent, orders, clock)
        self._view = CachedValue(self._look, clock, MAX_AGE_MS)

    def view(self) -> dict[str, Any]:
        """Raises `Unavailable`."""
        return self._view.get()

    def _look(self) -> dict[str, Any]:
        open_orders = read_open_orders(self._orders, self._clock)
        return {
            "at": to_text(self._clock.now_ms()),
            "queues": {
                service: {**backlog_view(backlog), "oldestSeconds": open_orders.oldest_seconds.get(service)}
                for service, backlog in self._backlogs().items()
            },
            "orders": self._throughput.summary(),
            "openOrders": open_orders.view,
        }


@dataclass(frozen=True, slots=True)
class Finish:
    """When an order was finished, and how long it took from its acceptance (ms)."""

    at_ms: int
    took_ms: int


class Throughput:
    """Accepted and finished orders of this process in the last minutes. Not thread-safe.

    An order that is finished is remembered and not read again.
    """

    def __init__(self, recent: RecentOrders, orders: Orders, clock: Clock) -> None:
        self._recent = recent
        self._orders = orders
        self._clock = clock
        self._latest = 0  # the number of the latest accepted order that we know of
        self._unfinished: dict[str, int] = {}  # when accepted, by order id; the next to check first
        self._finishes: deque[Finish] = deque(maxlen=MAX_RECENT)

    def summary(self) -> dict[str, Any]:
        """Raises `Unavailable`."""
        now = self._clock.now_ms()
        start = window_start(now)
        self._add_accepted(start)
        self._check_unfinished()
        return summary([order.at_ms for order in self._recent.since(start)], self._finishes, now)

    def _add_accepted(self, since: int) -> None:
        """Add the orders accepted since the last call; forget what happened before ``since``."""
        fresh = self._recent.after(self._latest)
        self._latest = fresh[-1].number if fresh else self._latest
        self._unfinished |= {order.order_id: order.at_ms for order in fresh}
        self._unfinished = {order_id: at_ms for order_id, at_ms in self._unfinished.items() if at_ms >= since}
        while self._finishes and self._finishes[0].at_ms < since:
            self._finishes.popleft()

    def _check_unfinished(self) -> None:
        due = list(islice(self._unfinished, MAX_CHECKED))
        for order_id, order in self._orders.read(due).items() if due else ():
            at_ms = self._unfinished.pop(order_id)
            if finish := finish_of(order):
                self._finishes.append(finish)
            else:
                self._unfinished[order_id] = at_ms  # behind the others


def finish_of(order: Order) -> Finish | None:
    """When ``order`` finished: closed, with its customer notified and the stock of a failed payment released."""
    if order.opened_at is not None or order.notified_at is None:
        return None
    at_ms = max(order.notified_at, order.released_at or 0)
    return Finish(at_ms, max(0, at_ms - order.created_at))


def window_start(now: int) -> int:
    """The start of the window's first minute; its last minute contains ``now``."""
    return now - now % MINUTE_MS - (WINDOW_MINUTES - 1) * MINUTE_MS


def percentile(ascending: Sequence[int], percent: int) -> int | None:
    """The smallest value that at least ``percent`` (1-100) of the values do not exceed; None if there are no values."""
    return ascending[math.ceil(len(ascending) * percent / 100) - 1] if ascending else None


def summary(accepted: Iterable[int], finishes: Iterable[Finish], now: int) -> dict[str, Any]:
    """The window's numbers, from when orders were ``accepted`` (ms) and how they finished."""
    start = window_start(now)
    accepted_in = [0] * WINDOW_MINUTES
    took_in: list[list[int]] = [[] for _ in range(WINDOW_MINUTES)]
    for at_ms in accepted:
        if 0 <= (minute := (at_ms - start) // MINUTE_MS) < WINDOW_MINUTES:
            accepted_in[minute] += 1
    for finish in finishes:
        if 0 <= (minute := (finish.at_ms - start) // MINUTE_MS) < WINDOW_MINUTES:
            took_in[minute].append(finish.took_ms)
    took = [each for minute in took_in for each in minute]
    per_minute = [
        {
            "at": to_text(start + minute * MINUTE_MS),
            "accepted": accepted_in[minute],
            "finished": len(took_in[minute]),
            **_percentiles(took_in[minute], 50, 95),
        }
        for minute in range(WINDOW_MINUTES)
    ]
    return {
        "windowMinutes": WINDOW_MINUTES,
        "accepted": sum(accepted_in),
        "finished": len(took),
        "perMinute": per_minute,
        "timeToComplete": {"count": len(took), **_percentiles(took, 50, 95, 99)},
    }


def _percentiles(values: Iterable[int], *percents: int) -> dict[str, int | None]:
    ascending = sorted(values)
    return {f"p{percent}Ms": percentile(ascending, percent) for percent in percents}


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """The operator's view of the open orders, and the age of the oldest event that each service has not acted on.

    SQS does not tell the age of its oldest message, but the orders do.
    """

    view: dict[str, Any]
    oldest_seconds: Mapping[str, float]


def read_open_orders(orders: Orders, clock: Clock) -> OpenOrders:
    """Raises `Unavailable`."""
    entries = list(islice(orders.open_orders(), MAX_SCANNED))
    oldest = heapq.nsmallest(MAX_READ, entries, key=lambda entry: entry.opened_at)
    found = orders.read([entry.order_id for entry in oldest]) if oldest else {}
    now = clock.now_ms()
    # The index is eventually consistent: an order may have been closed since.
    still_open = [(entry, found[entry.order_id]) for entry in oldest if entry.order_id in found]
    still_open = [(entry, order) for entry, order in still_open if order.opened_at is not None]
    shown = [
        {"orderId": order.order_id, "status": str(order.status), "ageSeconds": _seconds(now - entry.opened_at)}
        for entry, order in still_open
        if now - entry.opened_at > LONG_OPEN_MS
    ]
    total = sum(now - entry.opened_at > LONG_OPEN_MS for entry in entries)
    waiting_since: dict[str, int] = {}
    for _, order in still_open:
        for service in awaited_services(order):
            waiting_since[service] = min(order.updated_at, waiting_since.get(service, order.updated_at))
    oldest_seconds = {service: _seconds(now - since) for service, since in waiting_since.items()}
    return OpenOrders({"total": total, "oldest": shown[:MAX_SHOWN]}, oldest_seconds)


def awaited_services(order: Order) -> set[str]:
    """The services that the order waits for. Their event was published at about the order's last update."""
    if order.status is Status.PENDING:
        return {"inventory"}
    if order.status is Status.INVENTORY_RESERVED:
        return {"payment"}
    awaited = {"notification"} if order.notified_at is None else set()
    if order.status is Status.PAYMENT_FAILED and order.released_at is None:
        awaited.add("inventory")
    return awaited


def _seconds(milliseconds: int) -> float:
    return max(0, milliseconds) / 1000
