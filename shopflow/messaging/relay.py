"""The relay: alone publishes an event a second time, and closes what a crash left open.

It looks at each open order when its age crosses a threshold, less and less often: an order is open for long because its
chain is slow far more often than because its event was lost. The audit log is the receipt that an event was published.
An order that has its receipt is its consumer's business, until no queue can hold the event any more.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Event as Flag

from shopflow.clock import Clock
from shopflow.domain.order import EventType, Order, settle
from shopflow.errors import Conflict, Contention, Unavailable
from shopflow.log import about
from shopflow.messaging.outbox import Outbox, Publisher
from shopflow.ports import DLQ_RETENTION_SECONDS, AuditLog, Orders
from shopflow.telemetry import Metrics, NoMetrics

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


_MINUTE_MS = 60_000
_FIRST_LOOKS_MS = (30_000, *(minutes * _MINUTE_MS for minutes in (1, 2, 4, 8, 16, 32, 60)))
_HOUR_MS = 60 * _MINUTE_MS
_RETENTION_MS = DLQ_RETENTION_SECONDS * 1000
_CLOCKS_DIFFER_MS = 24 * _HOUR_MS
"""A time that is further ahead was written by a clock that is wrong."""
FIRST_LOOK_SECONDS = _FIRST_LOOKS_MS[0] // 1000
MAX_FAILURES = 10
"""Looks of one sweep that may fail. After that the dependency is taken to be down, and the others wait."""


def is_due(opened_at: int, last_sweep: int | None, now: int) -> bool:
    """Whether the order's age crossed one of 30 s, 1, 2, 4 … 60 min, or a later full hour, since the last sweep.

    All times in milliseconds. Without a last sweep (a relay that just started) every order of 30 s is due. An order
    whose time is in the future, because a wrong clock wrote it, is due once an hour.
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
    """Whether every copy of the order's last event was deleted between the looks by ``last_sweep`` and by ``now``.

    No queue keeps a message for more than 14 days after its first sending. What is published again is kept for 14 days
    again, so this is true at one look in every 14 days, and at the first sweep of a relay.
    """
    if order.opened_at is None:
        return False
    # A time in the future tells no age. Then use the earlier time; if that is in the future too, go by the calendar.
    times = (order.updated_at, order.opened_at)
    published_at = next((time for time in times if time <= now + _CLOCKS_DIFFER_MS), None)
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
        self._owed: set[str] = set()  # ids of events that the topic refused
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
            due, any_open = self._due(self._last_sweep, now)
        except Unavailable as error:
            log.warning("the relay's sweep is put off: %s", error)
        except Exception:
            log.exception("the relay's sweep failed")
        else:
            self._missed = self._look_at_all(due | self._missed, now)
            self._last_sweep = now
            return any_open
        return True

    def sweep_between(self, last_sweep: int | None, now: int) -> None:
        """Look at every open order that fell due after ``last_sweep`` and by ``now``, for a caller that keeps the time.

        Raises `Unavailable` when some could not be looked at: the same times are then to be swept again.
        """
        due, _ = self._due(last_sweep, now)
        if missed := self._look_at_all(due, now):
            raise Unavailable(f"{len(missed)} orders could not be looked at")

    def _due(self, last_sweep: int | None, now: int) -> tuple[dict[str, int | None], bool]:
        """The open orders that are due, each with the last sweep, and whether any is open. Raises `Unavailable`."""
        entries = list(self._orders.open_orders())
        self._measure([entry.opened_at for entry in entries], now)
        due = [entry.order_id for entry in entries if is_due(entry.opened_at, last_sweep, now)]
        return dict.fromkeys(due, last_sweep), bool(entries)

    def _look_at_all(self, due: Mapping[str, int | None], now: int) -> dict[str, int | None]:
        """Look at each of ``due``, which has the last sweep by order id. Returns those to look at again.

        An order that fails keeps the relay from no other: the next time it comes after those that were not reached.
        """
        failed: dict[str, int | None] = {}
        left = dict(due)
        while left and len(failed) < MAX_FAILURES:
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
        """For the alarms: orders that stay open, and events that had to be published again."""
        oldest_seconds = max(0, now - min(opened_at, default=now)) // 1000
        self._metrics.put(
            OpenOrders=len(opened_at), OldestOpenOrderSeconds=oldest_seconds, Republished=self._republished
        )
        self._republished = 0

    def look_at(self, order_id: str, last_sweep: int | None, now: int) -> None:
        """Finish one order's last step, if a crash left it unfinished. Raises `Unavailable`."""
        order = self._orders.read([order_id]).get(order_id)
        if order is None or order.opened_at is None:
            return
        if order.outbox is not None and not self._audit.has(order_id, order.outbox.event_id):
            self._publish(order)
        elif not close_out(self._orders, order):
            self._publish_if_outlived(order, last_sweep, now)

    def _publish(self, order: Order) -> bool:
        """Publish the event in the order's outbox. Returns whether the topic accepted it."""
        event = self._outbox.outgoing(order)
        log.warning("publishing an event that no queue is known to hold", extra=about(event))
        self._republished += 1
        accepted = bool(self._publisher.publish([event]))
        if accepted and event.event_type == EventType.INVENTORY_RELEASED:
            close_out(self._orders, order)
        return accepted

    def _publish_if_outlived(self, order: Order, last_sweep: int | None, now: int) -> None:
        """Publish the event that means the order's status, if SQS has deleted every copy of it.

        When the topic refuses it, it is owed: tried again at the order's next look, an hour later.
        """
        event = order.superseded or order.outbox
        if event is None or not (event.event_id in self._owed or has_outlived_its_copies(order, last_sweep, now)):
            return
        self._owed.discard(event.event_id)
        if not self._publish(replace(order, outbox=event)):
            self._owed.add(event.event_id)
