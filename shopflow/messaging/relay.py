"""The relay: publishes what stayed in an outbox, and closes declined orders.

It looks at each open order when the order's age crosses a threshold, less and less often. Most orders that stay open
are slow; few have lost their event. The audit log is the receipt: an event in it was published, and then its
consumer has to act, until every queue has deleted the event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Event as Flag

from shopflow.clock import Clock
from shopflow.domain.order import EventType, Order, close
from shopflow.errors import Conflict, Unavailable
from shopflow.log import about
from shopflow.messaging.outbox import Outbox, Publisher
from shopflow.ports import DLQ_RETENTION_SECONDS, AuditLog, Orders
from shopflow.telemetry import Metrics, NoMetrics

log = logging.getLogger(__name__)

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_FIRST_LOOKS_MS = (30_000, *(minutes * _MINUTE_MS for minutes in (1, 2, 4, 8, 16, 32, 60)))
FIRST_LOOK_SECONDS = _FIRST_LOOKS_MS[0] // 1000
_RETENTION_MS = DLQ_RETENTION_SECONDS * 1000
_MAX_CLOCK_SKEW_MS = 24 * _HOUR_MS
"""A time that is further in the future was written by a wrong clock."""
MAX_FAILURES = 10
"""When so many orders of one sweep have failed, the relay assumes that a dependency is down, and ends the sweep."""


def is_due(opened_at: int, last_sweep: int | None, now: int) -> bool:
    """Whether the order's age crossed one of 30 s, 1, 2, 4 … 60 min, or a later full hour, since the last sweep.

    All times in milliseconds. Without a last sweep (the relay just started) every order of 30 s is due. An order from
    the future, opened by a wrong clock, is due once an hour.
    """
    if opened_at > now:
        return last_sweep is None or _hourly_look(opened_at, now) > _hourly_look(opened_at, last_sweep)
    age = now - opened_at
    earlier = last_sweep - opened_at if last_sweep is not None else 0
    return _looks_by(age) > _looks_by(earlier)


def _looks_by(age_ms: int) -> int:
    """How many looks an order of that age should have had."""
    return sum(age_ms >= look for look in _FIRST_LOOKS_MS) + max(0, age_ms // _HOUR_MS - 1)


def has_outlived_its_copies(order: Order, last_sweep: int | None, now: int) -> bool:
    """Whether SQS deleted every copy of the order's last event between the looks by ``last_sweep`` and by ``now``.

    No queue keeps a message longer than 14 days after it was first sent. An event that is published again gets another
    14 days. So this is true at one look in 14 days, and at the first sweep of a relay.
    """
    if order.opened_at is None:
        return False
    # A time in the future has no age: use the earlier time instead or, if that is in the future too, 1970.
    times = (order.updated_at, order.opened_at)
    published_at = next((time for time in times if time <= now + _MAX_CLOCK_SKEW_MS), None)
    if last_sweep is None:
        return published_at is not None and now - published_at >= _RETENTION_MS
    this_look, last_look = (_hourly_look(order.opened_at, moment) - (published_at or 0) for moment in (now, last_sweep))
    return this_look // _RETENTION_MS > max(0, last_look) // _RETENTION_MS


def _hourly_look(opened_at: int, moment: int) -> int:
    """The last full hour of the order's age by ``moment``."""
    return opened_at + (moment - opened_at) // _HOUR_MS * _HOUR_MS


class Relay:
    """Finishes what a crash left between two calls."""

    def __init__(
        self,
        orders: Orders,
        audit: AuditLog,
        publisher: Publisher,
        outbox: Outbox,
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        self._orders = orders
        self._audit = audit
        self._publisher = publisher
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics or NoMetrics()
        self._last_sweep: int | None = None
        self._missed: dict[str, int | None] = {}
        self._refused: set[str] = set()  # ids of outlived events that the topic did not take
        self._republished = 0

    def run(self, stop: Flag, interval_seconds: float = 30) -> None:
        """Sweep every ``interval_seconds`` until ``stop`` is set, and half as often while no order is open.

        Either way an order is looked at before it is two intervals old, if its first look is due after one.
        """
        pause = interval_seconds
        while not stop.wait(pause):
            pause = interval_seconds if self.sweep() else 2 * interval_seconds

    def sweep(self) -> bool:
        """Look at every open order that is due. Those that could not be looked at are due again at the next sweep.

        Returns whether any order is open, as far as could be seen. Never raises.
        """
        now = self._clock.now_ms()
        try:
            due, any_open = self._due(self._last_sweep, now)
        except Unavailable as error:
            log.warning("no sweep now: %s", error)
        except Exception:
            log.exception("the relay's sweep failed")
        else:
            self._missed = self._look_at_all(due | self._missed, now)
            self._last_sweep = now
            return any_open
        return True

    def sweep_between(self, last_sweep: int | None, now: int, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Look at every open order that fell due after ``last_sweep`` and by ``now``, for a caller that knows both.

        ``goes_on``: whether there is time for another look, which takes up to 25 s while a dependency hangs. Raises
        `Unavailable` when some were not looked at: sweep the same times again.
        """
        due, _ = self._due(last_sweep, now)
        if missed := self._look_at_all(due, now, goes_on):
            raise Unavailable(f"{len(missed)} orders were not looked at")

    def look_at(self, order_id: str, last_sweep: int | None, now: int) -> None:
        """Publish the order's event if nothing shows that it was published; else close the order if it is finished.

        Raises `Unavailable`.
        """
        order = self._orders.read([order_id]).get(order_id)
        if order is None or order.opened_at is None:
            return
        if order.outbox is not None and not self._audit.has(order_id, order.outbox.event_id):
            self._publish(order)
        elif not self._close(order):
            self._publish_if_outlived(order, last_sweep, now)

    def _due(self, last_sweep: int | None, now: int) -> tuple[dict[str, int | None], bool]:
        """The open orders that are due, each with the last sweep, and whether any is open. Raises `Unavailable`."""
        entries = list(self._orders.open_orders())
        self._measure([entry.opened_at for entry in entries], now)
        due = [entry.order_id for entry in entries if is_due(entry.opened_at, last_sweep, now)]
        return dict.fromkeys(due, last_sweep), bool(entries)

    def _look_at_all(
        self, due: Mapping[str, int | None], now: int, goes_on: Callable[[], bool] = lambda: True
    ) -> dict[str, int | None]:
        """Look at each of ``due`` (last sweep by order id). Returns those to look at again: first those not reached.

        One order's failure never keeps the relay from another order.
        """
        failed: dict[str, int | None] = {}
        left = dict(due)
        while left and len(failed) < MAX_FAILURES and goes_on():
            order_id = next(iter(left))
            last_sweep = left.pop(order_id)
            try:
                self.look_at(order_id, last_sweep, now)
            except Unavailable as error:
                log.warning("the relay looks again later: %s", error, extra=about(order_id=order_id))
                failed[order_id] = last_sweep
            except Exception:
                log.exception("the relay cannot finish an order", extra=about(order_id=order_id))
        return left | failed

    def _measure(self, opened_at: Sequence[int], now: int) -> None:
        """Report the metrics of the alarms: orders that stay open, and events that had to be published again."""
        oldest_seconds = max(0, now - min(opened_at, default=now)) // 1000
        self._metrics.put(
            OpenOrders=len(opened_at), OldestOpenOrderSeconds=oldest_seconds, Republished=self._republished
        )
        self._republished = 0

    def _publish(self, order: Order) -> bool:
        """Publish the event in the order's outbox. Returns whether the topic accepted it."""
        event = self._outbox.outgoing(order)
        log.warning("publishing an event that no queue is known to hold", extra=about(event))
        self._republished += 1
        accepted = bool(self._publisher.publish([event]))
        if accepted and event.event_type == EventType.INVENTORY_RELEASED:
            self._close(order)
        return accepted

    def _close(self, order: Order) -> bool:
        """Clear a published `inventory.released` from the outbox, and close the order if that was the last step.

        Returns whether there was anything to do. When another service changes the order meanwhile, the order's next
        look decides again (docs/adr/0006).
        """
        transition = close(order)
        if not transition.changes():
            return False
        try:
            self._orders.commit([transition])
        except Conflict:
            log.info("the order has changed: the relay looks again later", extra=about(order_id=order.order_id))
        else:
            done = "order closed" if transition.after.opened_at is None else "outbox cleared"
            log.info(done, extra=about(order_id=order.order_id))
        return True

    def _publish_if_outlived(self, order: Order, last_sweep: int | None, now: int) -> None:
        """Publish the event behind the order's status again, if SQS has deleted every copy of it.

        If the topic refuses it, the order's next look tries again, an hour later.
        """
        event = order.superseded or order.outbox
        if event is None or not (event.event_id in self._refused or has_outlived_its_copies(order, last_sweep, now)):
            return
        self._refused.discard(event.event_id)
        if not self._publish(replace(order, outbox=event)):
            self._refused.add(event.event_id)
