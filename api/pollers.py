"""Pollers read once for all watchers. Without a watcher they read nothing."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from shopflow.clock import Clock
from shopflow.domain.order import LEGAL_TRAILS, Order
from shopflow.errors import Unavailable
from shopflow.log import about
from shopflow.ports import AuditEntry, AuditLog, Backlog, Orders

log = logging.getLogger(__name__)

ORDER_POLL_SECONDS = 0.2
QUEUE_POLL_SECONDS = 1.0
MAX_POLLED = 50
"""Recent orders polled at a time for listeners. In a flood some orders are followed to their end, others not at all."""
RECENT_MS = 120_000
"""An order that was accepted longer ago is polled only for those who watch it."""
MIN_TRAIL_PAUSE_MS, MAX_TRAIL_PAUSE_MS = 200, 2_000
"""The pause between two reads of a trail that lacks an entry."""
SETTLING_MS = 2_000
"""How long an order is polled after its legal trail is complete: until its customer is notified, and services that
were added have recorded their events."""
NEWS_MS = 10_000
"""Events that are older than this when an order is first read are not reported as changes."""

S = TypeVar("S")
InBackground = Callable[[Callable[[], None]], object]
BacklogsByService = Mapping[str, Backlog]


def in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="poller", daemon=True).start()


class Poller(Generic[S]):
    """Calls ``poll`` with the subscribers every ``seconds``, in one thread that ends with the last subscriber.

    Logs what ``poll`` raises and goes on. Thread-safe.
    """

    def __init__(
        self, poll: Callable[[Sequence[S]], None], seconds: float, in_background: InBackground = in_thread
    ) -> None:
        self._poll = poll
        self._seconds = seconds
        self._in_background = in_background
        self._subscribers: set[S] = set()
        self._running = False
        self._lock = threading.Lock()
        self._hurry = threading.Event()

    def subscribe(self, subscriber: S) -> None:
        """Add ``subscriber``, and poll at once."""
        with self._lock:
            self._subscribers.add(subscriber)
            starts = not self._running
            self._running = True
        self._hurry.set()
        if starts:
            self._in_background(self._run)

    def unsubscribe(self, subscriber: S) -> None:
        """Remove ``subscriber``, if it is there."""
        with self._lock:
            self._subscribers.discard(subscriber)

    def poll(self) -> None:
        """Poll once. Raises what ``poll`` raises."""
        with self._lock:
            subscribers = list(self._subscribers)
        self._poll(subscribers)

    def _run(self) -> None:
        while self._has_subscribers():
            self._hurry.clear()
            try:
                self.poll()
            except Unavailable as error:
                log.warning("live views are delayed: %s", error)
            except Exception:
                log.exception("a poll failed")
            self._hurry.wait(self._seconds)

    def _has_subscribers(self) -> bool:
        with self._lock:
            self._running = bool(self._subscribers)
            return self._running


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An order and its audit trail as last read. ``settled``: nothing more is expected of it."""

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


@dataclass(frozen=True, slots=True)
class Change:
    """What is new about an order: ``entries`` of its trail, and whether its status has changed."""

    order: Order
    entries: tuple[AuditEntry, ...] = ()
    status_changed: bool = False


class Watch:
    """One watcher's view of one order: ``snapshot`` is replaced when there is something new."""

    def __init__(self, order: Order) -> None:
        self.snapshot = Snapshot(order)
        self._news = threading.Event()

    @property
    def order_id(self) -> str:
        return self.snapshot.order.order_id

    def show(self, snapshot: Snapshot) -> None:
        if snapshot is not self.snapshot:
            self.snapshot = snapshot
            self._news.set()

    def wait(self, seconds: float) -> None:
        """Wait up to ``seconds`` for something new."""
        if self._news.wait(seconds):
            self._news.clear()


Listener = Callable[[Change], None]


class PolledOrder:
    """The snapshot of one order, and when to read its trail again. No clock, no I/O; all times in milliseconds.

    The trail is read when the order has changed, repeatedly while it lacks an entry, and once more before the order
    settles, because added services may have recorded events that do not change the order.
    """

    def __init__(self, order: Order, now: int) -> None:
        self.snapshot = Snapshot(order)
        self._first_read_at = now
        self._next_trail_at: int | None = now
        self._pause = MIN_TRAIL_PAUSE_MS
        self._complete_at: int | None = None

    def update(self, order: Order, now: int) -> bool:
        """Take over ``order``. Returns whether its status has changed."""
        before = self.snapshot.order
        if order != before:
            self.snapshot = replace(self.snapshot, order=order)
        if (order.status, order.trail) != (before.status, before.trail):
            self._next_trail_at, self._pause = now, MIN_TRAIL_PAUSE_MS
        return order.status is not before.status

    def trail_is_due(self, now: int) -> bool:
        return self._next_trail_at is not None and now >= self._next_trail_at

    def update_trail(self, trail: Collection[AuditEntry], now: int) -> tuple[AuditEntry, ...]:
        """Take over ``trail``. Returns its new entries, without those that were old at the first read."""
        known = {entry.event.event_id for entry in self.snapshot.entries}
        new = tuple(entry for entry in trail if entry.event.event_id not in known)
        if new:
            self.snapshot = replace(self.snapshot, entries=(*self.snapshot.entries, *new))
        self._schedule(now)
        return tuple(entry for entry in new if entry.event.time_ms >= self._first_read_at - NEWS_MS)

    def retry_trail(self, now: int) -> None:
        """Read the trail again after a pause, which doubles each time."""
        self._next_trail_at = now + self._pause
        self._pause = min(2 * self._pause, MAX_TRAIL_PAUSE_MS)

    def _schedule(self, now: int) -> None:
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


class OrderPoller(Poller[Watch | Listener]):
    """Polls the orders that are watched and, while somebody listens, those that this process accepts.

    A `Watch` sees its own order. A listener hears, in the poller's thread, every change of every order that is polled.
    One poll is one read of all these orders, and a read of an order's trail only when it may have something new.
    """

    def __init__(
        self,
        orders: Orders,
        audit: AuditLog,
        clock: Clock,
        in_background: InBackground = in_thread,
    ) -> None:
        super().__init__(self._poll_orders, ORDER_POLL_SECONDS, in_background)
        self._orders = orders
        self._audit = audit
        self._clock = clock
        self._fresh: deque[Order] = deque(maxlen=MAX_POLLED)  # accepted since the last poll for a listener
        # Only the poller's thread uses these.
        self._polled: dict[str, PolledOrder] = {}
        self._accepted: dict[str, int] = {}  # the accepted orders to poll: when each was created, by order id

    def accept(self, order: Order) -> None:
        """This process has just accepted ``order``: poll it for the listeners."""
        self._fresh.append(order)

    def _poll_orders(self, subscribers: Sequence[Watch | Listener]) -> None:
        """Raises `Unavailable`, after reporting what was read until then."""
        watches = [subscriber for subscriber in subscribers if isinstance(subscriber, Watch)]
        listeners = [subscriber for subscriber in subscribers if not isinstance(subscriber, Watch)]
        watched = {watch.order_id for watch in watches}
        self._accepted = self._choose_accepted() if listeners else {}
        wanted = watched | self._accepted.keys()
        self._polled = {order_id: polled for order_id, polled in self._polled.items() if order_id in wanted}
        try:
            for change in self._read(wanted, watched):
                for listener in listeners:
                    listener(change)
        finally:
            for watch in watches:
                if polled := self._polled.get(watch.order_id):
                    watch.show(polled.snapshot)

    def _choose_accepted(self) -> dict[str, int]:
        """Keep the orders that are polled already, and fill up with the latest."""
        since = self._clock.now_ms() - RECENT_MS
        kept = {order_id: at for order_id, at in self._accepted.items() if at >= since and not self._settled(order_id)}
        while self._fresh:
            order = self._fresh.pop()
            if len(kept) < MAX_POLLED and order.created_at >= since:
                kept[order.order_id] = order.created_at
        return kept

    def _settled(self, order_id: str) -> bool:
        polled = self._polled.get(order_id)
        return polled is not None and polled.snapshot.settled

    def _read(self, order_ids: Collection[str], watched: Collection[str]) -> Iterator[Change]:
        unsettled = sorted(order_id for order_id in order_ids if not self._settled(order_id))
        for order in self._orders.read(unsettled).values() if unsettled else ():
            now = self._clock.now_ms()
            if order.order_id in self._polled or order.order_id in watched or not _finished_long_ago(order, now):
                yield from self._changes(order, now)
            else:
                del self._accepted[order.order_id]

    def _changes(self, order: Order, now: int) -> Iterator[Change]:
        is_first = order.order_id not in self._polled
        polled = self._polled.setdefault(order.order_id, PolledOrder(order, now))
        if polled.update(order, now) or is_first:
            yield Change(order, status_changed=True)
        if polled.trail_is_due(now) and (entries := self._read_trail(polled, now)):
            yield Change(order, entries)

    def _read_trail(self, polled: PolledOrder, now: int) -> tuple[AuditEntry, ...]:
        order_id = polled.snapshot.order.order_id
        try:
            return polled.update_trail(self._audit.trail(order_id), now)
        except Unavailable:
            polled.retry_trail(now)
            raise
        except Exception:
            # One unreadable trail must not hide the other orders.
            log.exception("cannot read a trail", extra=about(order_id=order_id))
            polled.retry_trail(now)
            return ()


class QueuePoller(Poller[Callable[[BacklogsByService], None]]):
    """Reports the backlogs of all services to its listeners, once a second."""

    def __init__(self, backlogs: Callable[[], BacklogsByService], in_background: InBackground = in_thread) -> None:
        super().__init__(self._poll_queues, QUEUE_POLL_SECONDS, in_background)
        self._backlogs = backlogs

    def _poll_queues(self, listeners: Sequence[Callable[[BacklogsByService], None]]) -> None:
        backlogs = self._backlogs()
        for listener in listeners:
            listener(backlogs)


def _finished_long_ago(order: Order, now: int) -> bool:
    return order.opened_at is None and max(order.updated_at, order.notified_at or 0) < now - NEWS_MS
