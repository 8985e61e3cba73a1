"""The relay: the only one who publishes an event a second time, and who closes what a crash left open.

It looks at each open order when its age crosses a threshold, rarely and ever more so: an order is open for long because
its chain is slow far more often than because its event was lost. The audit log is the receipt that an event was
published; an order that has its receipt is its consumer's business.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Event as Flag

from shopflow.catalog import Catalog
from shopflow.clock import Clock
from shopflow.domain.order import EventType, Order
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.messaging.closing import close_out
from shopflow.messaging.publisher import Publisher
from shopflow.metrics import Metrics, NoMetrics
from shopflow.ports import AuditLog, Orders

log = logging.getLogger(__name__)

_MINUTE_MS = 60_000
_FIRST_LOOKS_MS = (30_000, *(minutes * _MINUTE_MS for minutes in (1, 2, 4, 8, 16, 32, 60)))
_HOUR_MS = 60 * _MINUTE_MS
FIRST_LOOK_SECONDS = _FIRST_LOOKS_MS[0] // 1000


def is_due(opened_at: int, last_sweep: int | None, now: int) -> bool:
    """Whether the order's age crossed one of 30 s, 1, 2, 4 … 60 min, or a later full hour, since the last sweep.

    All times in milliseconds. Without a last sweep (a relay that just started) every order of 30 s is due.
    """
    age = now - opened_at
    earlier = last_sweep - opened_at if last_sweep is not None else 0
    return _looks_by(age) > _looks_by(earlier)


def _looks_by(age_ms: int) -> int:
    """How many looks an order of that age should have had."""
    return sum(age_ms >= look for look in _FIRST_LOOKS_MS) + max(0, age_ms // _HOUR_MS - 1)


class Relay:
    """Finishes what a crash left between two calls."""

    def __init__(
        self,
        orders: Orders,
        audit: AuditLog,
        publisher: Publisher,
        catalog: Catalog,
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        self._orders = orders
        self._audit = audit
        self._publisher = publisher
        self._catalog = catalog
        self._clock = clock
        self._metrics = metrics or NoMetrics()
        self._last_sweep: int | None = None
        self._republished = 0

    def run(self, stop: Flag, interval_seconds: float = 30) -> None:
        """Sweep every ``interval_seconds`` until ``stop`` is set, and half as often while no order is open.

        An order is looked at before it is two intervals old either way, if the first look is due after one.
        """
        pause = interval_seconds
        while not stop.wait(pause):
            pause = interval_seconds if self.sweep() else 2 * interval_seconds

    def sweep(self) -> bool:
        """Look at every open order that is due. What could not be looked at is due again at the next sweep.

        Returns whether any order is open, as far as could be seen.
        """
        now = self._clock.now_ms()
        try:
            any_open = self.sweep_between(self._last_sweep, now)
        except Unavailable as error:
            log.warning("the relay's sweep is cut short: %s", error)
        except Exception:
            log.exception("the relay's sweep failed")
        else:
            self._last_sweep = now
            return any_open
        return True

    def sweep_between(self, last_sweep: int | None, now: int) -> bool:
        """Look at every open order that fell due after ``last_sweep`` and by ``now``. Returns whether any is open.

        For who knows when the last sweep was. Raises `Unavailable`: the same times are then to be swept again.
        """
        opened_at: list[int] = []
        for entry in self._orders.open_orders():
            opened_at.append(entry.opened_at)
            if is_due(entry.opened_at, last_sweep, now):
                self._try(entry.order_id)
        self._measure(opened_at, now)
        return bool(opened_at)

    def _measure(self, opened_at: Sequence[int], now: int) -> None:
        """For the alarms: orders that stay open, and events that had to be published again."""
        oldest_seconds = max(0, now - min(opened_at, default=now)) // 1000
        self._metrics.put(
            OpenOrders=len(opened_at), OldestOpenOrderSeconds=oldest_seconds, Republished=self._republished
        )
        self._republished = 0

    def look_at(self, order_id: str) -> None:
        """Finish one order's last step, if a crash left it unfinished. Raises `Unavailable`."""
        order = self._orders.read([order_id]).get(order_id)
        if order is None or order.opened_at is None:
            return
        if order.outbox is None or self._audit.has(order_id, order.outbox.event_id):
            close_out(self._orders, order)
        else:
            self._publish(order)

    def _try(self, order_id: str) -> None:
        """Look at one order. What is wrong with it must not keep the relay from the others."""
        try:
            self.look_at(order_id)
        except Unavailable:
            raise
        except Exception:
            log.exception("the relay cannot finish an order", extra=about(order_id=order_id))

    def _publish(self, order: Order) -> None:
        event = self._catalog.stored_event(order)
        log.warning("publishing what was committed but has no receipt", extra=about(event))
        self._republished += 1
        if self._publisher.publish([event]) and event.event_type is EventType.INVENTORY_RELEASED:
            close_out(self._orders, order)
