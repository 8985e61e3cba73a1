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
from shopflow.messaging.sweep import Sweep
from shopflow.ports import AuditLog, Orders
from shopflow.telemetry import Metrics

log = logging.getLogger(__name__)

MAX_FAILURES = 10
"""When so many orders of one sweep have failed, the relay assumes that a dependency is down, and ends the sweep."""


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
        self._metrics = metrics or Metrics()
        self._last_sweep: int | None = None
        self._missed: dict[str, Sweep] = {}
        self._refused: set[str] = set()  # ids of expired events that the topic did not take
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
        sweep = Sweep(self._last_sweep, self._clock.now_ms())
        try:
            due, any_open = self._due(sweep)
        except Unavailable as error:
            log.warning("no sweep now: %s", error)
        except Exception:
            log.exception("the relay's sweep failed")
        else:
            missed = {order_id: replace(earlier, now=sweep.now) for order_id, earlier in self._missed.items()}
            self._missed = self._look_at_all(due | missed)
            self._last_sweep = sweep.now
            return any_open
        return True

    def sweep_once(self, sweep: Sweep, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Look at every open order that is due, for a caller that knows when the last sweep was.

        ``goes_on``: whether there is time for another look, which takes up to 25 s while a dependency hangs. Raises
        `Unavailable` when some were not looked at: repeat the same sweep.
        """
        due, _ = self._due(sweep)
        if missed := self._look_at_all(due, goes_on):
            raise Unavailable(f"{len(missed)} orders were not looked at")

    def look_at(self, order_id: str, sweep: Sweep) -> None:
        """Publish the order's event if nothing shows that it was published; else close the order if it is finished.

        Raises `Unavailable`.
        """
        order = self._orders.read([order_id]).get(order_id)
        if order is None or order.opened_at is None:
            return
        if order.outbox is not None and not self._audit.has(order_id, order.outbox.event_id):
            self._publish(order)
        elif not self._close(order):
            self._publish_if_expired(order, sweep)

    def _due(self, sweep: Sweep) -> tuple[dict[str, Sweep], bool]:
        """The open orders that are due, and whether any order is open. Raises `Unavailable`."""
        entries = list(self._orders.open_orders())
        self._measure([entry.opened_at for entry in entries], sweep.now)
        due = [entry.order_id for entry in entries if sweep.is_due(entry.opened_at)]
        return dict.fromkeys(due, sweep), bool(entries)

    def _look_at_all(self, due: Mapping[str, Sweep], goes_on: Callable[[], bool] = lambda: True) -> dict[str, Sweep]:
        """Look at each of ``due``, order ids with their sweep. Returns those to look at again, first those not reached.

        One order's failure never keeps the relay from another order.
        """
        failed: dict[str, Sweep] = {}
        left = dict(due)
        while left and len(failed) < MAX_FAILURES and goes_on():
            order_id = next(iter(left))
            sweep = left.pop(order_id)
            try:
                self.look_at(order_id, sweep)
            except Unavailable as error:
                log.warning("the relay looks again later: %s", error, extra=about(order_id=order_id))
                failed[order_id] = sweep
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

    def _publish_if_expired(self, order: Order, sweep: Sweep) -> None:
        """Publish the event behind the order's status again, if SQS has deleted every copy of it.

        If the topic refuses it, the order's next look tries again, an hour later: a topic that takes the event but
        does not answer gets 24 copies a day, not one at each sweep.
        """
        event = order.superseded or order.outbox
        if event is None or not (event.event_id in self._refused or sweep.copies_have_expired(order)):
            return
        self._refused.discard(event.event_id)
        if not self._publish(replace(order, outbox=event)):
            self._refused.add(event.event_id)
