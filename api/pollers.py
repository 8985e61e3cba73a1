"""Pollers read once for all watchers. Without a watcher they read nothing."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shopflow.clock import Clock
from shopflow.domain.order import LEGAL_TRAILS, Order
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.ports import AuditEntry, AuditLog, Orders

log = logging.getLogger(__name__)

MAX_POLLED = 50
"""Recent orders polled at a time for the flow. In a flood some orders are followed to their end, others not at all."""
RECENT_MS = 120_000
"""An order that was accepted longer ago is polled only for those who watch it."""
MIN_TRAIL_PAUSE_MS, MAX_TRAIL_PAUSE_MS = 200, 2_000
"""The pause between two reads of a trail that lacks an entry."""
SETTLING_MS = 2_000
"""How long an order is polled after its legal trail is complete: until its customer is notified, and services that
were added have recorded their events."""

V = TypeVar("V")
QueueViews = Mapping[str, Mapping[str, int]]
"""What `api.views.backlog_view` says of each service's queue."""


class Poller(ABC, Generic[V]):
    """Polls every ``seconds``, and shows each watcher what it read, in one thread that ends with the last watcher.

    Logs what fails and goes on. Thread-safe.
    """

    seconds: float

    def __init__(self, view: V) -> None:
        self._view = view
        """What was read last. It is replaced, never changed."""
        self._watchers: dict[Callable[[V], None], str | None] = {}
        self._running = False
        self._lock = threading.Lock()
        self._hurry = threading.Event()

    def subscribe(self, show: Callable[[V], None], order_id: str | None = None) -> None:
        """Poll at once, and call ``show`` after each poll. ``order_id``: the one order to watch, if it is only one."""
        with self._lock:
            self._watchers[show] = order_id
            starts = not self._running
            self._running = True
        self._hurry.set()
        if starts:
            self._start()

    def unsubscribe(self, show: Callable[[V], None]) -> None:
        """Call ``show`` no more."""
        with self._lock:
            self._watchers.pop(show, None)

    def poll(self) -> None:
        """Poll once. Raises `Unavailable`, after it has shown what was read until then."""
        with self._lock:
            watchers = dict(self._watchers)
        try:
            self._read(set(watchers.values()))
        finally:
            for show in watchers:
                show(self._view)

    @abstractmethod
    def _read(self, order_ids: Collection[str | None]) -> None:
        """Replace the view by what somebody watches: the orders with ``order_ids``; if None is among those, all."""

    def _start(self) -> None:
        threading.Thread(target=self._run, name="poller", daemon=True).start()

    def _run(self) -> None:
        while self._has_watchers():
            self._hurry.clear()
            try:
                self.poll()
            except Unavailable as error:
                log.warning("live views are delayed: %s", error)
            except Exception:
                log.exception("a poll failed")
            self._hurry.wait(self.seconds)

    def _has_watchers(self) -> bool:
        with self._lock:
            self._running = bool(self._watchers)
            return self._running


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An order and its audit trail as last read, new entries last. ``settled``: nothing more is expected of it."""

    order: Order
    entries: tuple[AuditEntry, ...] = ()
    settled: bool = False

    @property
    def lacks_entries(self) -> bool:
        """Whether the trail lacks an event that the order has been through."""
        return not set(self.order.trail) <= self._event_types

    @property
    def complete(self) -> bool:
        """Whether the status is terminal and the trail has all its legal events."""
        legal = LEGAL_TRAILS.get(self.order.status)
        return legal is not None and set(legal) <= self._event_types

    @property
    def _event_types(self) -> set[str]:
        return {entry.event.event_type for entry in self.entries}


Snapshots = Mapping[str, Snapshot]


class PolledOrder:
    """The snapshot of one order, and when to read its trail again. No clock, no I/O; all times in milliseconds.

    The trail is read when the order has changed, repeatedly while it lacks an entry, and once more before the order
    settles, because added services may have recorded events that do not change the order.
    """

    def __init__(self, order: Order, now: int) -> None:
        self.snapshot = Snapshot(order)
        self._next_trail_at: int | None = now
        self._pause = MIN_TRAIL_PAUSE_MS
        self._complete_at: int | None = None

    def update(self, order: Order, now: int) -> None:
        """Take over ``order``."""
        before = self.snapshot.order
        if order != before:
            self.snapshot = replace(self.snapshot, order=order)
        if (order.status, order.trail) != (before.status, before.trail):
            self._next_trail_at, self._pause = now, MIN_TRAIL_PAUSE_MS

    def trail_is_due(self, now: int) -> bool:
        return self._next_trail_at is not None and now >= self._next_trail_at

    def update_trail(self, trail: Collection[AuditEntry], now: int) -> None:
        """Take over ``trail``, and decide when to read it again."""
        known = {entry.event.event_id for entry in self.snapshot.entries}
        if new := tuple(entry for entry in trail if entry.event.event_id not in known):
            self.snapshot = replace(self.snapshot, entries=(*self.snapshot.entries, *new))
        if self.snapshot.lacks_entries:
            self.retry_trail(now)
        elif not self.snapshot.complete:
            self._next_trail_at = None
        elif self._complete_at is None or now < self._complete_at + SETTLING_MS:
            self._complete_at = self._complete_at or now
            self._next_trail_at = self._complete_at + SETTLING_MS
        else:
            self._next_trail_at = None
            self.snapshot = replace(self.snapshot, settled=True)

    def retry_trail(self, now: int) -> None:
        """Read the trail again after a pause, which doubles each time."""
        self._next_trail_at = now + self._pause
        self._pause = min(2 * self._pause, MAX_TRAIL_PAUSE_MS)


class OrderPoller(Poller[Snapshots]):
    """Shows the orders that are watched and, if somebody watches all, those that this process accepts.

    One poll is one read of all these orders, and a read of an order's trail only when it may have something new.
    """

    seconds = 0.2

    def __init__(self, orders: Orders, audit: AuditLog, clock: Clock) -> None:
        super().__init__({})
        self._orders = orders
        self._audit = audit
        self._clock = clock
        self._fresh: deque[Order] = deque(maxlen=MAX_POLLED)  # accepted since the last poll for the flow
        # Only the poller's thread uses these.
        self._polled: dict[str, PolledOrder] = {}
        self._accepted: list[Order] = []  # those to poll, as they were accepted

    def accept(self, order: Order) -> None:
        """This process has just accepted ``order``: poll it for those who watch all."""
        self._fresh.append(order)

    def _start(self) -> None:
        self._polled = {}  # nobody has watched these for a while
        super()._start()

    def _read(self, order_ids: Collection[str | None]) -> None:
        self._accepted = self._choose_accepted() if None in order_ids else []
        wanted = {order_id for order_id in order_ids if order_id is not None}
        wanted |= {order.order_id for order in self._accepted}
        self._polled = {order_id: polled for order_id, polled in self._polled.items() if order_id in wanted}
        unsettled = sorted(order_id for order_id in wanted if not self._settled(order_id))
        try:
            for order in self._orders.read(unsettled).values() if unsettled else ():
                now = self._clock.now_ms()
                polled = self._polled.setdefault(order.order_id, PolledOrder(order, now))
                polled.update(order, now)
                if polled.trail_is_due(now):
                    self._read_trail(polled, now)
        finally:
            self._view = {order_id: polled.snapshot for order_id, polled in self._polled.items()}

    def _choose_accepted(self) -> list[Order]:
        """Keep the orders that are polled already, and fill up with the latest."""
        latest_first = [self._fresh.pop() for _ in range(len(self._fresh))]
        since = self._clock.now_ms() - RECENT_MS
        recent = [order for order in (*self._accepted, *latest_first) if order.created_at >= since]
        return [order for order in recent if not self._settled(order.order_id)][:MAX_POLLED]

    def _settled(self, order_id: str) -> bool:
        polled = self._polled.get(order_id)
        return polled is not None and polled.snapshot.settled

    def _read_trail(self, polled: PolledOrder, now: int) -> None:
        order_id = polled.snapshot.order.order_id
        try:
            polled.update_trail(self._audit.trail(order_id), now)
        except Exception as error:
            polled.retry_trail(now)
            if isinstance(error, Unavailable):
                raise
            # One unreadable trail must not hide the other orders.
            log.exception("cannot read a trail", extra=about(order_id=order_id))


class QueuePoller(Poller[QueueViews]):
    """Shows what waits in the queues of all services."""

    seconds = 1.0

    def __init__(self, backlogs: Callable[[], QueueViews]) -> None:
        super().__init__({})
        self._backlogs = backlogs

    def _read(self, order_ids: Collection[str | None]) -> None:  # noqa: ARG002 - it reads all queues
        self._view = self._backlogs()
